"""What syntheses of `train.py` save, in per cent of the bits at equal measure, against the released one.

python judge.py IMAGES LPIPS_ALEX OUT.json RUN…   each RUN a folder named after its variant

All decode the same latents, of one crop of 384² of each held-out image. A difference in a measure becomes bits
by the slope of the released curve. Needs butteraugli_main of Debian's libjxl-devtools.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from train import grown

from rdpcodec.metrics.eyes import ssimulacra2_distortion, ssimulacra2_score
from rdpcodec.metrics.lpips import Lpips, load_lpips
from rdpcodec.training.data import SUFFIXES, VALIDATION_EVERY, ImageSet
from rdpcodec.training.start import load_start

QUALITIES, SIDE, WEIGHTS = (5.0, 15.0, 25.0, 35.0, 50.0, 65.0), 384, Path("weights/fast.safetensors")
Coded = dict[float, list[tuple[Any, Tensor, float]]]


def held_out(images: Path) -> list[Tensor]:
    """A crop `[1, 3, SIDE, SIDE]` of each image that training holds out and that is large enough."""
    paths = sorted(path for path in images.rglob("*") if path.suffix.lower() in SUFFIXES)[::VALIDATION_EVERY]
    arrays = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    generator, cpu = torch.Generator().manual_seed(2), torch.device("cpu")
    return [ImageSet([a], cpu).crops(1, SIDE, generator) for a in arrays if min(a.shape[:2]) >= SIDE]


def butteraugli(x: Tensor, y: Tensor) -> float:
    """The 3-norm."""
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/{name}.png" for name in "xy"]
        for image, file in zip((x, y), files, strict=True):
            Image.fromarray((image[0] * 255).round().byte().permute(1, 2, 0).numpy()).save(file)
        found = subprocess.run(["butteraugli_main", *files], capture_output=True, text=True, check=True)
    return float(found.stdout.split()[-1])


@torch.no_grad()
def coded(crops: list[Tensor]) -> Coded:
    """Latents, features of hyper-latents, and log bits per pixel, for each quality and crop."""
    model, found = load_start(WEIGHTS).model.eval(), {}
    for quality in QUALITIES:
        q, found[quality] = torch.full((1,), quality), []
        for x in crops:
            latents = model.analyse(x, q, by_rate=True)
            bits = sum(float(part.sum()) for part in model.information(latents, q, noisy=False))
            features = model.mean_network.features(latents.hyper_rounded, q)
            found[quality].append((latents, features, float(np.log(bits / SIDE**2))))
    return found


@torch.no_grad()
def measured(synthesis: torch.nn.Module, variant: str, crops: list[Tensor], files: Coded, lpips: Lpips) -> Any:
    """Mean measures by quality; more is better."""
    rows = []
    for quality, found in files.items():
        values = []
        for x, (latents, features, _) in zip(crops, found, strict=True):
            known = (latents.table, features, latents.residual) if variant in ("side", "points") else ()
            y = synthesis(latents.rounded, torch.full((1,), quality), *known)
            y = (y.float().clamp(0, 1) * 255).round() / 255
            values.append(
                {
                    "psnr": float(-10 * (y - x).square().mean().log10()),
                    "ssimulacra2": float(ssimulacra2_score(ssimulacra2_distortion(x, y))),
                    "butteraugli_3": -np.log(butteraugli(x, y)),
                    "lpips_alex": -np.log(float(lpips(x, y))),
                }
            )
        rows.append({name: float(np.mean([value[name] for value in values])) for name in values[0]})
    return rows


def main(images: str, lpips_alex: str, out: str, *runs: str) -> None:
    torch.set_num_threads(1)
    crops, lpips = held_out(Path(images)), load_lpips("alex", Path(lpips_alex))
    files = coded(crops)
    rate = np.array([np.mean([bits for *_, bits in found]) for found in files.values()])
    released = measured(load_start(WEIGHTS).model.synthesis.eval(), "", crops, files, lpips)
    record = {}
    for run in map(Path, runs):
        synthesis = grown(load_start(WEIGHTS).model, run.name).synthesis
        synthesis.load_state_dict(torch.load(run / "synthesis.pt"))
        rows = measured(synthesis.eval(), run.name, crops, files, lpips)
        record[run.name] = {}
        for name in rows[0]:
            before, after = (np.array([row[name] for row in table]) for table in (released, rows))
            change = -100 * (after - before) / np.gradient(before, rate)
            record[run.name][name] = [round(float(value), 1) for value in change]
    Path(out).write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
