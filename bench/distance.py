"""`python -m bench distance`: how far the distribution of decoded pictures is from that of the originals.

For pictures of any codec, in two folders. `bench surface` measures the same with EfficientNet-Lite0, at every
point of our dials; this command also takes Inception-v3, whose distances are the published ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import click
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor

from bench.judge import PATCHES_AT_ONCE
from bench.rd import data_option, load_folder
from rdpcodec.errors import RdpError
from rdpcodec.metrics.distribution import frechet_distance, kernel_distance, picture_patches
from rdpcodec.metrics.efficientnet import EfficientNetLite0
from rdpcodec.metrics.inception import InceptionV3


class Network(Protocol):
    """What makes features `[B, d]` of pictures `[B, 3, H, W]`, sRGB in [0, 1]."""

    def features(self, x: Tensor) -> Tensor: ...


@torch.inference_mode()
def patch_features(pictures: Iterable[Image.Image], network: Network, device: torch.device) -> np.ndarray:
    """Features `[n, d]` of the patches of all pictures, see `picture_patches`."""
    found = [
        network.features(part).float().cpu().numpy()
        for picture in pictures
        for part in _patches(picture).to(device).split(PATCHES_AT_ONCE)
        if len(part)
    ]
    return np.concatenate(found) if found else np.zeros((0, 1), np.float32)


def _patches(picture: Image.Image) -> Tensor:
    return picture_patches(torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255)


@click.command()
@data_option
@click.option(
    "--decoded",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder of what they became.",
)
@click.option(
    "--network", type=click.Choice(["efficientnet", "inception"]), default="efficientnet", show_default=True
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="torch-fidelity's weights of Inception-v3, if it cannot download them.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="FILE.json for the results.")
@click.option("--device", default="cpu", show_default=True)
def distance(
    data: Path, decoded: Path, network: str, weights: Path | None, out: Path | None, device: str
) -> None:
    """Fréchet and kernel distance between the patches of two folders of pictures."""
    console, where = Console(), torch.device(device)
    sets = [load_folder(folder) for folder in (data, decoded)]
    try:
        judge = InceptionV3(weights) if network == "inception" else EfficientNetLite0()
        judge.to(where)
        first, second = (
            patch_features(track(pictures.values(), folder.name, console=console), judge, where)
            for pictures, folder in zip(sets, (data, decoded), strict=True)
        )
        record = {
            "data": data.name,
            "decoded": decoded.name,
            "network": network,
            "pictures": [len(pictures) for pictures in sets],
            "patches": [len(first), len(second)],
            "frechet": frechet_distance(first, second),
            "kernel": kernel_distance(first, second),
        }
    except RdpError as error:
        raise click.ClickException(str(error)) from error
    console.print(
        f"{network}, {len(first)} and {len(second)} patches of 256×256: Fréchet distance "
        f"{record['frechet']:.4g}, kernel distance {record['kernel']:.4g}"
    )
    if out:
        out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
