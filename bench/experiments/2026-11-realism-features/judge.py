"""What realism syntheses make of held-out crops of the training images, by the bench's measures.

python judge.py DATA LPIPS_ALEX OUT.json QUALITIES NAME=RUN…

QUALITIES: numbers joined by commas. RUN: a folder with a realism run's checkpoint.pt. The released syntheses are judged
beside them.
"""

import copy
import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.metrics.distribution import band_energies, kernel_distance
from bench.metrics.held_out import EfficientNetLite2
from bench.metrics.image_metrics import patch_features
from bench.metrics.natural import niqe
from rdpcodec.metrics.efficientnet import FEATURES
from rdpcodec.metrics.eyes import ssimulacra2_distortion, ssimulacra2_score
from rdpcodec.metrics.lpips import load_lpips
from rdpcodec.metrics.weave import weave_distortion
from rdpcodec.training.checkpoint import load_checkpoint
from rdpcodec.training.data import SUFFIXES, VALIDATION_EVERY, ImageSet
from rdpcodec.training.start import load_start
from rdpcodec.weights.manifest import find_model

SIDE, CPU = 384, torch.device("cpu")


def held_out(data):
    """A crop `[1, 3, SIDE, SIDE]` of each image that training holds out and that is large enough."""
    paths = sorted(path for path in data.rglob("*") if path.suffix.lower() in SUFFIXES)[::VALIDATION_EVERY]
    arrays = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    generator = torch.Generator().manual_seed(2)
    return [ImageSet([a], CPU).crops(1, SIDE, generator) for a in arrays if min(a.shape[:2]) >= SIDE]


def judged(x, y, lpips):
    """The measures of a decoded crop y of x, `[1, 3, H, W]` each."""
    mse = (y - x).square().mean()
    bands = [a / b for a, b in zip(band_energies(y[0]), band_energies(x[0]), strict=True)]
    return {
        "psnr": float(-10 * mse.log10()),
        "ssimulacra2": float(ssimulacra2_score(ssimulacra2_distortion(x, y))),
        "lpips": float(lpips(y, x)),
        "weave": float(weave_distortion(x, y) / mse),
        "niqe": niqe((y[0] * 255).round().byte().permute(1, 2, 0).numpy()),
        **{f"band_{number}": ratio for number, ratio in enumerate(bands[:3], 1)},
    }


def of_set(images, network):
    """Features of the images' patches, and the number of each patch's image."""
    found = [patch_features(image[0], network.features, FEATURES) for image in images]
    return np.concatenate(found), np.repeat(np.arange(len(found)), [len(part) for part in found])


@torch.no_grad()
def main(data, lpips_alex, out, qualities, *runs):
    torch.set_num_threads(1)
    start, crops, network = load_start(find_model("fast").path), held_out(Path(data)), EfficientNetLite2()
    lpips, model = load_lpips("alex", Path(lpips_alex)), start.model.eval()
    syntheses = {"realism 0": model.synthesis, "released": start.realism_synthesis()}
    for name, run in (run.split("=", 1) for run in runs):
        syntheses[name] = copy.deepcopy(model.synthesis)
        syntheses[name].load_state_dict(load_checkpoint(Path(run) / "checkpoint.pt", CPU)["average"])
    wanted, numbers = of_set(crops, network)
    found = {}
    for quality in map(float, qualities.split(",")):
        q = torch.full((1,), quality)
        latents = [model.analyse(x, q, by_rate=True).rounded for x in crops]
        for name, synthesis in syntheses.items():
            images = [(synthesis(y, q).clamp(0, 1) * 255).round() / 255 for y in latents]
            rows = [judged(x, y, lpips) for x, y in zip(crops, images, strict=True)]
            of_images = {key: round(float(np.mean([row[key] for row in rows])), 4) for key in rows[0]}
            distance = kernel_distance(of_set(images, network)[0], wanted, (numbers, numbers))
            found[f"{name} {quality:g}"] = of_images | {"kernel_held_out": round(distance, 5)}
            print(quality, name, found[f"{name} {quality:g}"], flush=True)
    Path(out).write_text(json.dumps(found, indent=1) + "\n")


main(*sys.argv[1:])
