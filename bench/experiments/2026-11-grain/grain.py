"""Realism 1 with grain added: what would it win if a decoder knew exactly where fine detail is missing?

python grain.py IMAGES LPIPS OUT.json [QUALITIES]

IMAGES: training images, of which every 40th is taken; LPIPS: a folder with lpips-alex.safetensors and
lpips-squeeze.safetensors.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from bench.measure.metrics import Metrics, distances, image_tensor
from rdpcodec import Codec
from rdpcodec.training.data import SUFFIXES, VALIDATION_EVERY

SIDE = 512
BINOMIAL = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0])
# Deviation, in pixels, of the window in which the missing energy is known.
WINDOW = 6.0
LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)


def held_out(data: Path) -> list[Image.Image]:
    """The middle `SIDE`² pixels of each image that training holds out and that is large enough."""
    found = []
    for path in sorted(p for p in data.rglob("*") if p.suffix.lower() in SUFFIXES)[::VALIDATION_EVERY]:
        image = Image.open(path).convert("RGB")
        if min(image.size) >= SIDE:
            left, top = (side - SIDE for side in image.size)
            found.append(image.crop((left // 2, top // 2, left // 2 + SIDE, top // 2 + SIDE)))
    return found


def filtered(x: Tensor, taps: Tensor) -> Tensor:
    """`[1, 1, H, W]` smoothed in both directions."""
    reach, kernel = len(taps) // 2, taps[:, None] * taps / taps.sum() ** 2
    return F.conv2d(F.pad(x, (reach,) * 4, mode="reflect"), kernel[None, None])


def fine(x: Tensor) -> Tensor:
    """What smoothing over five pixels takes away."""
    return x - filtered(x, BINOMIAL)


def energy(luma: Tensor) -> Tensor:
    """Mean square of fine detail around each pixel."""
    reach = round(3 * WINDOW)
    return filtered(fine(luma).square(), torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * WINDOW**2)))


def variants(
    original: np.ndarray, decoded: dict[str, np.ndarray], draw: torch.Generator
) -> dict[str, np.ndarray]:
    """The decoded images, and realism 1 with grain: half and all of the missing energy's root where it is
    missing, and the same energy spread evenly.
    """
    x, y = (image_tensor(image)[None] for image in (original, decoded["1"]))
    missing = (energy((x * LUMA).sum(1, keepdim=True)) - energy((y * LUMA).sum(1, keepdim=True))).clamp(min=0)
    noise = fine(torch.randn(1, 1, *x.shape[2:], generator=draw))
    strength = (missing / noise.square().mean()).sqrt()
    even = (missing.mean() / noise.square().mean()).sqrt()
    grains = {"half": 0.5 * strength, "all": strength, "even": even}
    return decoded | {name: pixels(y + grain * noise) for name, grain in grains.items()}


def pixels(x: Tensor) -> np.ndarray:
    """`[1, 3, H, W]` → 8-bit `[H, W, 3]`."""
    return (255 * x[0].permute(1, 2, 0).clamp(0, 1)).round().byte().numpy()


def main(data: str, lpips: str, out: str, qualities: str = "5,25,60") -> None:
    torch.set_num_threads(1)
    metrics, codec, draw = Metrics(Path(lpips)), Codec(), torch.Generator().manual_seed(1)
    originals, rows, features = [], {}, {}
    for image in held_out(Path(data)):
        original = np.asarray(image)
        reference = metrics.reference(original)
        originals.append(metrics.set_features(original))
        for quality in map(float, qualities.split(",")):
            file = codec.compress(image, quality=quality)
            decoded = {f"{r}": np.asarray(codec.decompress(file, realism=r)) for r in (0, 1)}
            for name, found in variants(original, decoded, draw).items():
                key = f"{quality:g} {name}"
                rows.setdefault(key, []).append(metrics.distortion(reference, found))
                features.setdefault(key, []).append(metrics.set_features(found))
    results = {}
    for key, images in rows.items():
        means = {measure: float(np.mean([row[measure] for row in images])) for measure in images[0]}
        results[key] = {
            m: float(f"{v:.5g}") for m, v in (means | distances(originals, features[key])).items()
        }
        print(key, results[key], flush=True)
    Path(out).write_text(json.dumps(results, indent=1) + "\n")


main(*sys.argv[1:])
