"""What a decoded image gains from a 5×5 filter of its own.

python filters.py IMAGES LPIPS OUT.json   IMAGES: the training images; LPIPS: the folder of LPIPS networks

A filter maps 5×5 RGB pixels to a correction of the middle one. A basis of `SIZE` filters is fitted, by
alternating least squares, to training images decoded at realism 0; an image then needs `SIZE` numbers. Judged
on held-out images against the same files without a filter. Needs butteraugli_main of Debian's
libjxl-devtools.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from bench.metrics.image_metrics import ImageMetrics
from rdpcodec.training.checkpoints.start import load_start
from rdpcodec.training.images.image_set import SUFFIXES, VALIDATION_EVERY

QUALITIES, SIZE, ROUNDS, TRAINED_ON = (5.0, 25.0, 50.0, 80.0), 8, 6, 240
MEASURES = ("psnr", "ssimulacra2", "butteraugli", "psnr_hvs_m", "ms_ssim", "vif", "lpips_alex")


class Fit(NamedTuple):
    """What least squares need of one image: squares of the inputs `[76, 76]`, their products with the errors
    `[76, 3]`, and the squared error itself.
    """

    squares: Tensor
    products: Tensor
    error: float

    def coefficients(self, basis: Tensor) -> Tensor:
        """The best combination of a basis `[k, 76, 3]`."""
        gram = torch.einsum("kio,ij,ljo->kl", basis, self.squares, basis)
        ridge = 1e-4 * gram.diagonal().mean() * torch.eye(len(gram)).double()
        return torch.linalg.solve(gram + ridge, torch.einsum("kio,io->k", basis, self.products))


def crops(images: Path, *, held_out: bool) -> Iterator[np.ndarray]:
    """The middle of each image, up to 768×512 pixels."""
    paths = sorted(path for path in images.rglob("*") if path.suffix.lower() in SUFFIXES)
    judged = paths[::VALIDATION_EVERY]
    others = [path for path in paths if path not in set(judged)]
    np.random.default_rng(0).shuffle(others)
    for path in judged if held_out else others[:TRAINED_ON]:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        height, width = pixels.shape[:2]
        if min(height, width) >= 512:
            top, left = (height - 512) // 2, max(0, (width - 768) // 2)
            crop = pixels[top : top + 512, left : left + 768]
            yield crop[:, : crop.shape[1] // 64 * 64].copy()


def inputs(decoded: Tensor) -> Tensor:
    """`[1, 3, H, W]` → 5×5 neighbourhoods and a constant, `[H·W, 76]`."""
    found = F.unfold(F.pad(decoded - 0.5, (2, 2, 2, 2), mode="reflect"), 5)[0].T
    return torch.cat([found, torch.ones(len(found), 1)], 1)


@torch.no_grad()
def decoded(model: torch.nn.Module, pixels: np.ndarray, quality: float) -> tuple[Tensor, Tensor, float]:
    """Original and decoded image, `[1, 3, H, W]`, and the bits of the file."""
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    q = torch.full((1,), quality)
    latents = model.analyse(x, q, by_rate=True)
    bits = sum(float(part.sum()) for part in model.information(latents, q, noisy=False))
    return x, model.synthesis(latents.rounded, q).float(), bits


def fit(x: Tensor, y: Tensor) -> Fit:
    """The sums of one image."""
    seen, error = inputs(y), (x - y)[0].flatten(1).T
    return Fit((seen.T @ seen).double(), (seen.T @ error).double(), float(error.square().sum()))


def common_filter(fits: list[Fit]) -> Tensor:
    """One filter for all images, `[1, 76, 3]`."""
    squares = sum(one.squares / one.error for one in fits)
    ridge = 1e-5 * squares.diagonal().mean() * torch.eye(len(squares)).double()
    return torch.linalg.solve(squares + ridge, sum(one.products / one.error for one in fits))[None]


def fitted_basis(fits: list[Fit]) -> Tensor:
    """A basis of filters, `[SIZE, 76, 3]`."""
    alone = []
    for one in fits:
        ridge = 1e-2 * one.squares.diagonal().mean() * torch.eye(76).double()
        alone.append(torch.linalg.solve(one.squares + ridge, one.products).flatten())
    basis = torch.linalg.svd(torch.stack(alone), full_matrices=False)[2][:SIZE].reshape(SIZE, 76, 3)
    for _ in range(ROUNDS):
        products, squares = torch.zeros(SIZE * 76, 3).double(), torch.zeros(SIZE * 76, SIZE * 76).double()
        for one in fits:
            a = one.coefficients(basis)
            products += torch.einsum("k,io->kio", a, one.products).reshape(-1, 3) / one.error
            squares += torch.kron(torch.outer(a, a), one.squares) / one.error
        ridge = 1e-5 * squares.diagonal().mean() * torch.eye(len(squares)).double()
        basis = torch.linalg.solve(squares + ridge, products).reshape(SIZE, 76, 3)
    return basis


def more_is_better(name: str, value: float) -> float:
    return -math.log(value) if name in ("butteraugli", "lpips_alex") else value


def main(images: Path, lpips: Path, out: Path) -> None:
    model = load_start(Path("weights/fast.safetensors")).model.eval()
    tool = shutil.which("butteraugli_main")
    metrics = ImageMetrics(lpips, "cpu", Path(tool) if tool else None)
    rows = []
    for quality in QUALITIES:
        fits = [fit(*decoded(model, pixels, quality)[:2]) for pixels in crops(images, held_out=False)]
        bases = {"none": None, "common": common_filter(fits), "own": fitted_basis(fits)}
        for pixels in crops(images, held_out=True):
            x, y, bits = decoded(model, pixels, quality)
            reference, sums, seen = metrics.reference(pixels), fit(x, y), inputs(y)
            row = {"quality": quality, "bits": bits}
            for name, basis in bases.items():
                z = y
                if basis is not None:
                    a = torch.ones(1).double() if name == "common" else sums.coefficients(basis)
                    z = y + (seen @ torch.einsum("k,kio->io", a, basis).float()).T.reshape(y.shape)
                shown = (z[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
                found = metrics.distortion(reference, shown)
                row[name] = {key: more_is_better(key, float(found[key])) for key in MEASURES if key in found}
            rows.append(row)
    out.write_text(json.dumps(rows))
    report(rows)


def report(rows: list[dict]) -> None:
    """Change in bits at equal measure, in per cent, by the slope of the unfiltered curve."""

    def mean(quality: float, name: str, key: str) -> float:
        return float(np.mean([row[name][key] for row in rows if row["quality"] == quality]))

    bits = {q: np.log(np.mean([row["bits"] for row in rows if row["quality"] == q])) for q in QUALITIES}
    for key in rows[0]["none"]:
        for i, quality in enumerate(QUALITIES):
            low, high = QUALITIES[min(i, len(QUALITIES) - 2)], QUALITIES[min(i, len(QUALITIES) - 2) + 1]
            slope = (mean(high, "none", key) - mean(low, "none", key)) / (bits[high] - bits[low])
            changes = [mean(quality, n, key) - mean(quality, "none", key) for n in ("common", "own")]
            print(key, quality, *(f"{-100 * change / slope:+.1f}" for change in changes))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
