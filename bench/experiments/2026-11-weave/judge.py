"""PSNR, LPIPS-AlexNet, energy of the finest detail and weave of syntheses, on held-out crops of the training images.

python judge.py DATA LPIPS_ALEX OUT.json RUN…   each RUN a folder with a realism run's checkpoint.pt

A tidied copy of the script that made judged.json, where the run is called "noise".
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from rdpcodec.metrics.perceptual import load_lpips
from rdpcodec.metrics.weave import weave_distortion
from rdpcodec.training.checkpoint import load_checkpoint, load_realism_start, load_start
from rdpcodec.training.data import SUFFIXES, VALIDATION_EVERY, ImageSet
from rdpcodec.weights.manifest import find_model

QUALITIES, SIDE, CPU = (5.0, 25.0, 45.0, 85.0), 384, torch.device("cpu")


def held_out(data):
    """A crop `[1, 3, SIDE, SIDE]` of each picture that training holds out and that is large enough."""
    paths = sorted(path for path in data.rglob("*") if path.suffix.lower() in SUFFIXES)[::VALIDATION_EVERY]
    arrays = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    generator = torch.Generator().manual_seed(2)
    return [ImageSet([a], CPU).crops(1, SIDE, generator) for a in arrays if min(a.shape[:2]) >= SIDE]


def finest(x):
    """Mean squared difference of gray values from their means over 3×3 pixels."""
    gray = x.mean(1, keepdim=True)
    return float((gray - F.avg_pool2d(gray, 3, 1, 1, count_include_pad=False)).square().mean())


def main(data, lpips_alex, out, *runs):
    torch.set_num_threads(1)
    released = find_model("fast").path
    model, lpips, crops = load_start(released).eval(), load_lpips("alex", Path(lpips_alex)), held_out(Path(data))
    syntheses = {"fidelity": model.synthesis, "released": load_realism_start(released, model)}
    for run in runs:
        syntheses[run] = load_realism_start(released, model)
        syntheses[run].load_state_dict(load_checkpoint(Path(run) / "checkpoint.pt", CPU)["average"])
    found = {}
    for quality in QUALITIES:
        q = torch.full((1,), quality)
        for name, synthesis in syntheses.items():
            rows = {"psnr": [], "lpips": [], "band": [], "weave": []}
            for x in crops:
                with torch.no_grad():
                    y = synthesis(model.analyse(x, q, by_rate=True).rounded, q)
                    y = (y.clamp(0, 1) * 255).round() / 255
                    mse = (y - x).square().mean()
                    rows["psnr"].append(float(-10 * mse.log10()))
                    rows["lpips"].append(float(lpips(y, x)))
                    rows["band"].append(finest(y) / finest(x))
                    rows["weave"].append(float(weave_distortion(x, y) / mse))
            found[f"{name} {quality:g}"] = {k: [round(v, 5) for v in values] for k, values in rows.items()}
            print(quality, name, {k: round(float(np.mean(v)), 4) for k, v in rows.items()}, flush=True)
    Path(out).write_text(json.dumps(found))


main(*sys.argv[1:])
