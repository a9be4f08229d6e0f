"""How many bits other weights need, in per cent of the released ones' at equal measure.

python judge.py IMAGES LPIPS_ALEX OUT.json RUN…   each RUN a checkpoint or weights, named in OUT by its path

One crop of 384×320 of each image that training holds out. Bits are those of the latents' information content. A
difference in a measure becomes bits by the slope of the released curve. Needs butteraugli_main of Debian's
libjxl-devtools.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.measure.full_reference import butteraugli_norm
from rdpcodec.metrics.eyes import ssimulacra2_distortion, ssimulacra2_score
from rdpcodec.metrics.lpips import Lpips, load_lpips
from rdpcodec.training.data import SUFFIXES, VALIDATION_EVERY
from rdpcodec.training.start import load_start

QUALITIES, SIDES, WEIGHTS = (5.0, 20.0, 35.0, 50.0, 65.0, 80.0), (384, 320), Path("weights/fast.safetensors")
BUTTERAUGLI = Path(shutil.which("butteraugli_main") or "butteraugli_main")
# All made so that more is better, and logarithms where ratios count.
MEASURES = ("PSNR", "SSIMULACRA2", "Butteraugli", "LPIPS-alex", "LPIPS-alex at realism 1")


def held_out(images: Path) -> list[Tensor]:
    """The middle, `[1, 3, H, W]` in 0..1, of each image that training holds out and that is large enough."""
    paths = sorted(path for path in images.rglob("*") if path.suffix.lower() in SUFFIXES)[::VALIDATION_EVERY]
    crops = []
    for path in paths:
        image = Image.open(path).convert("RGB")
        width, height = SIDES if image.width >= image.height else SIDES[::-1]
        if image.width >= width and image.height >= height:
            left, top = (image.width - width) // 2, (image.height - height) // 2
            crop = np.array(image.crop((left, top, left + width, top + height)))
            crops.append(torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255)
    return crops


def eight_bits(x: Tensor) -> np.ndarray:
    """`[1, 3, H, W]` in 0..1 → uint8 `[H, W, 3]`."""
    return (x[0] * 255).round().byte().permute(1, 2, 0).numpy()


@torch.no_grad()
def curves(run: Path, crops: list[Tensor], alex: Lpips) -> np.ndarray:
    """Means over crops of log bits per pixel and of `MEASURES`, `[qualities, 6]`."""
    start = load_start(run)
    model, realism, rows = start.model.eval(), start.realism_synthesis().eval(), []
    for quality in QUALITIES:
        q, each = torch.full((1,), quality), []
        for x in crops:
            latents = model.analyse(x, q, by_rate=True)
            bits = sum(float(part.sum()) for part in model.information(latents, q, noisy=False))
            y, z = (
                (decode(latents.rounded, q).float().clamp(0, 1) * 255).round() / 255
                for decode in (model.synthesis, realism)
            )
            each.append(
                [
                    np.log(bits / x[0, 0].numel()),
                    -10 * float((x - y).square().mean().log10()),
                    float(ssimulacra2_score(ssimulacra2_distortion(x, y))),
                    -np.log(butteraugli_norm(BUTTERAUGLI, eight_bits(x), eight_bits(y))),
                    -np.log(float(alex(x, y))),
                    -np.log(float(alex(x, z))),
                ]
            )
        rows.append(np.mean(each, 0))
    return np.array(rows)


def more_bits(run: np.ndarray, released: np.ndarray) -> dict[str, list[float]]:
    """Per cent more bits at equal measure, at each quality."""
    found = {}
    for column, name in enumerate(MEASURES, 1):
        slope = np.gradient(released[:, column], released[:, 0])
        more = run[:, 0] - released[:, 0] - (run[:, column] - released[:, column]) / slope
        found[name] = [round(float(100 * value), 1) for value in more]
    return found


def main() -> None:
    images, lpips, out, *runs = map(Path, sys.argv[1:])
    crops, alex = held_out(images), load_lpips("alex", lpips)
    released, results = curves(WEIGHTS, crops, alex), {}
    for run in runs:
        results[str(run)] = more_bits(curves(run, crops, alex), released)
        for name, values in results[str(run)].items():
            print(f"{run}: {name} {np.mean(values):+.1f} % {values}", flush=True)
    out.write_text(json.dumps({"qualities": QUALITIES, "crops": len(crops), "more bits, %": results}, indent=1))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
