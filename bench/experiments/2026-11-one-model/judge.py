"""What sets of weights make of held-out crops of the training images, at realism 0 and 1.

python judge.py DATA LPIPS OUT.json QUALITIES NAME=WEIGHTS…

LPIPS: the folder with lpips-alex.safetensors. QUALITIES: numbers joined by commas. WEIGHTS: a file of weights, or a
run's checkpoint.pt. Needs libjxl's butteraugli_main.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.metrics.distribution import band_energies, kernel_distance
from bench.metrics.held_out import EfficientNetLite2
from bench.metrics.image_metrics import patch_features
from bench.metrics.natural import niqe
from rdpcodec.metrics.efficientnet import FEATURES
from rdpcodec.metrics.eyes import ssimulacra2_distortion
from rdpcodec.metrics.lpips import load_lpips
from rdpcodec.metrics.weave import weave_distortion
from rdpcodec.training.data import load_images
from rdpcodec.training.losses import rate_distortion_loss
from rdpcodec.training.start import load_start

SIDE, CROPS = 384, 22


def butteraugli(x, y):
    """The 3-norm of two images, `[3, H, W]` in [0, 1]."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{name}.png" for name in "xy"]
        for image, path in zip((x, y), paths, strict=True):
            Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(path)
        words = ["butteraugli_main", *paths, "--pnorm", "3"]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return float(said.split("3-norm:")[1].split()[0])


def judged(x, y, lpips):
    """The measures of decoded crops y of x, `[B, 3, H, W]`: a list over crops for each."""
    mse, pairs = (y - x).square().mean((1, 2, 3)), list(zip(x, y, strict=True))
    bands = [[a / b for a, b in zip(band_energies(d), band_energies(o), strict=True)] for o, d in pairs]
    return {
        "psnr": (-10 * mse.log10()).tolist(),
        "ssimulacra2": (-ssimulacra2_distortion(x, y).log()).tolist(),  # linear in the logarithm of the rate
        "butteraugli": [-float(np.log(butteraugli(o, d))) for o, d in pairs],
        "lpips": [-float(np.log(lpips(d[None], o[None]))) for o, d in pairs],
        "weave": [float(weave_distortion(o[None], d[None]) / e) for (o, d), e in zip(pairs, mse, strict=True)],
        "niqe": [niqe((d * 255).round().byte().permute(1, 2, 0).numpy()) for d in y],
        **{f"band_{number}": [row[number - 1] for row in bands] for number in (1, 2, 3)},
    }


def features_of(images, network):
    """Features of the images' patches, and the number of each patch's image."""
    found = [patch_features(image, network.features, FEATURES) for image in images]
    return np.concatenate(found), np.repeat(np.arange(len(found)), [len(part) for part in found])


@torch.no_grad()
def main(data, lpips_folder, out, qualities, *weights):
    torch.set_num_threads(1)
    _, held_out = load_images(Path(data), 256, torch.device("cpu"), held_out_side=SIDE)
    crops = held_out.crops(CROPS, SIDE, torch.Generator().manual_seed(1))
    lpips, network = load_lpips("alex", Path(lpips_folder)), EfficientNetLite2()
    wanted, numbers = features_of(crops, network)
    found = {}
    for name, path in (each.split("=", 1) for each in weights):
        start = load_start(Path(path))
        model, realism = start.model.eval(), start.realism_synthesis().eval()
        found[name] = []
        for quality in map(float, qualities.split(",")):
            at = torch.full((len(crops),), quality)
            coded = model(crops, at, by_rate=True)
            row = {"quality": quality, "log_bpp": rate_distortion_loss(coded, crops, at).bpp.log().tolist()}
            for level, decoded in enumerate((coded.reconstruction, realism(coded.rounded, at).float())):
                images = (decoded.clamp(0, 1) * 255).round() / 255
                distance = kernel_distance(features_of(images, network)[0], wanted, (numbers, numbers))
                row[f"realism {level}"] = judged(crops, images, lpips) | {"kernel_held_out": distance}
            found[name].append(row)
            print(name, quality, flush=True)
    Path(out).write_text(json.dumps(found) + "\n")


main(*sys.argv[1:])
