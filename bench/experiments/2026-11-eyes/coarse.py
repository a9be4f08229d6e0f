"""What Butteraugli feels that squared error and SSIMULACRA2 do not, on crops of training images.

    python coarse.py PICTURES FOLLOWED.json

Decodes 24 crops of 256² at 15 settings of this codec, AVIF, JPEG and WebP, and fits the logarithm of
Butteraugli's 3-norm (`butteraugli_main`) by those of other distortions. Images differ by a constant of their
own, so only differences within an image count.
"""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import rdpcodec
from rdpcodec.metrics.eyes import _both, ssimulacra2_distortion

CROPS, SIDE = 24, 256
OURS = (5, 20, 40, 60, 80, 95)
OTHERS = (("AVIF", (25, 45, 65, 85)), ("JPEG", (40, 75, 92)), ("WEBP", (40, 80)))
# Weights of the scales from full resolution on, of X, Y and B, and the norm.
COARSE = {
    "all scales, 2-norm": ((1, 1, 1, 1, 1, 1), (1, 1, 1), 2),
    "2 to 16 pixels, 2-norm": ((0, 1, 1, 1, 1), (1, 1, 1), 2),
    "2 to 16 pixels, colours 0.3, 2-norm": ((0, 1, 1, 1, 1), (0.3, 1, 0.3), 2),
    "2 to 16 pixels, colours 0.3, 3-norm": ((0, 1, 1, 1, 1), (0.3, 1, 0.3), 3),
    "2 to 16 pixels, colours 0.3, 4-norm": ((0, 1, 1, 1, 1), (0.3, 1, 0.3), 4),
    "8 to 32 pixels, colours 0.3, 3-norm": ((0, 0, 0, 1, 1, 1), (0.3, 1, 0.3), 3),
    "2 to 16 pixels, Y alone, 3-norm": ((0, 1, 1, 1, 1), (0, 1, 0), 3),
}


def crops(folder: Path) -> list[Image.Image]:
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".png", ".jpg", ".webp", ".avif"))
    chance, found = random.Random(5), []
    chance.shuffle(paths)
    for path in paths:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        if min(image.size) < SIDE + 4:
            continue
        x, y = chance.randrange(image.width - SIDE + 1), chance.randrange(image.height - SIDE + 1)
        image = image.crop((x, y, x + SIDE, y + SIDE))
        if np.asarray(image).std() >= 15:
            found.append(image)
        if len(found) == CROPS:
            break
    return found


def decoded(image: Image.Image) -> list[Image.Image]:
    found = [rdpcodec.decompress(rdpcodec.compress(image, quality)) for quality in OURS]
    for name, qualities in OTHERS:
        for quality in qualities:
            file = io.BytesIO()
            more = {"subsampling": "4:4:4", "speed": 8} if name == "AVIF" else {}
            image.save(file, name, quality=quality, **more)
            found.append(Image.open(file).convert("RGB"))
    return found


def butteraugli(image: Image.Image, other: Image.Image) -> float:
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{n}.png" for n in "ab"]
        for path, saved in zip(paths, (image, other), strict=True):
            saved.save(path, compress_level=1)
        said = subprocess.run(["butteraugli_main", *paths], capture_output=True, text=True, check=True)
    return float(said.stdout.split()[-1])


def tensor(image: Image.Image) -> Tensor:
    return torch.tensor(np.asarray(image)).permute(2, 0, 1)[None].float() / 255


def coarse(x: Tensor, y: Tensor, scales: tuple[float, ...], colours: tuple[float, ...], norm: int) -> Tensor:
    total = torch.zeros(len(x))
    for weight, (a, b) in zip(scales, islice(_both(x, y), len(scales)), strict=True):
        squares = ((b - a).square() * torch.tensor(colours)[:, None, None]).sum(1)
        total = total + weight * (squares ** (norm / 2)).mean((1, 2)) ** (2 / norm)
    return total


def main() -> None:
    logs: dict[str, list[list[float]]] = {}
    for image in crops(Path(sys.argv[1])):
        row: dict[str, list[float]] = {}
        x = tensor(image)
        for other in decoded(image):
            y = tensor(other)
            felt = {"Butteraugli": butteraugli(image, other), "squared error": (x - y).square().mean()}
            felt |= {"SSIMULACRA2": ssimulacra2_distortion(x, y)}
            felt |= {name: coarse(x, y, *settings) for name, settings in COARSE.items()}
            for name, value in felt.items():
                row.setdefault(name, []).append(float(np.log(float(value))))
        for name, values in row.items():
            logs.setdefault(name, []).append(values)
    within = {n: np.array(v) - np.mean(v, 1, keepdims=True) for n, v in logs.items()}
    wanted = within["Butteraugli"].ravel()
    fits = [("squared error",), ("SSIMULACRA2",), ("SSIMULACRA2", "squared error")]
    found = []
    for names in [*fits, *(("SSIMULACRA2", name) for name in COARSE)]:
        columns = np.stack([within[name].ravel() for name in names], 1)
        slopes = np.linalg.lstsq(columns, wanted, rcond=None)[0]
        residual = (wanted - columns @ slopes).reshape(within["Butteraugli"].shape)
        found.append(
            {
                "by": names,
                "slopes": [round(float(s), 2) for s in slopes],
                "residual": round(float(residual.std()), 4),
                "ours_above": round(float(residual[:, : len(OURS)].mean()), 4),
            }
        )
        print(found[-1])
    Path(sys.argv[2]).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
