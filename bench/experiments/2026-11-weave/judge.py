"""PSNR, SSIMULACRA2, LPIPS-AlexNet, energy by band and weave of syntheses, on held-out crops of the training images.

python judge.py DATA LPIPS_ALEX OUT.json RUN…   each RUN a folder with a realism run's checkpoint.pt

A tidied copy of the scripts that made the JSON files here. In judged.json the run is called "noise"; it and
judged-more-texture.json have the finest band alone, called "band".
"""

import copy
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from rdpcodec.metrics.eyes import ssimulacra2_distortion, ssimulacra2_score
from rdpcodec.metrics.lpips import load_lpips
from rdpcodec.metrics.weave import weave_distortion
from rdpcodec.training.checkpoint import load_checkpoint
from rdpcodec.training.data import SUFFIXES, VALIDATION_EVERY, ImageSet
from rdpcodec.training.start import load_start
from rdpcodec.weights.manifest import find_model

QUALITIES, SIDE, CPU = (5.0, 25.0, 60.0, 85.0), 384, torch.device("cpu")


def held_out(data):
    """A crop `[1, 3, SIDE, SIDE]` of each picture that training holds out and that is large enough."""
    paths = sorted(path for path in data.rglob("*") if path.suffix.lower() in SUFFIXES)[::VALIDATION_EVERY]
    arrays = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    generator = torch.Generator().manual_seed(2)
    return [ImageSet([a], CPU).crops(1, SIDE, generator) for a in arrays if min(a.shape[:2]) >= SIDE]


def bands(x):
    """Mean squared differences of gray values from their means over 3×3 pixels, at full, half and quarter size."""
    gray, found = x.mean(1, keepdim=True), []
    for _ in range(3):
        smooth = F.avg_pool2d(gray, 3, 1, 1, count_include_pad=False)
        found.append(float((gray - smooth).square().mean()))
        gray = F.avg_pool2d(gray, 2)
    return found


def judged(x, y, lpips):
    """The measures of a decoded crop y of x, `[1, 3, H, W]` each."""
    y = (y.clamp(0, 1) * 255).round() / 255
    mse = (y - x).square().mean()
    return {
        "psnr": float(-10 * mse.log10()),
        "ssimulacra2": float(ssimulacra2_score(ssimulacra2_distortion(x, y))),
        "lpips": float(lpips(y, x)),
        "weave": float(weave_distortion(x, y) / mse),
        **{f"band_{number}": a / b for number, (a, b) in enumerate(zip(bands(y), bands(x)), 1)},
    }


@torch.no_grad()
def main(data, lpips_alex, out, *runs):
    torch.set_num_threads(1)
    released = find_model("fast").path
    start, lpips, crops = load_start(released), load_lpips("alex", Path(lpips_alex)), held_out(Path(data))
    model = start.model.eval()
    syntheses = {"fidelity": model.synthesis, "released": start.realism_synthesis()}
    for run in runs:
        syntheses[run] = copy.deepcopy(model.synthesis)
        syntheses[run].load_state_dict(load_checkpoint(Path(run) / "checkpoint.pt", CPU)["average"])
    found = {}
    for quality in QUALITIES:
        q = torch.full((1,), quality)
        latents = [model.analyse(x, q, by_rate=True).rounded for x in crops]
        for name, synthesis in syntheses.items():
            rows = [judged(x, synthesis(y, q), lpips) for x, y in zip(crops, latents)]
            found[f"{name} {quality:g}"] = {key: [round(row[key], 5) for row in rows] for key in rows[0]}
            means = {key: round(float(np.mean([row[key] for row in rows])), 4) for key in rows[0]}
            print(quality, name, means, flush=True)
    Path(out).write_text(json.dumps(found))


main(*sys.argv[1:])
