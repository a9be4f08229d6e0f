"""`python -m bench measure distance`: how far decoded images are from the originals as distributions.

It compares images of any codec in two folders. `bench measure surface` measures the same with
EfficientNet-Lite0 at every setting of ours; this command can also use Inception-v3, as published
distances do.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from bench.folder import FOLDER, data_option, image_paths, load_folder
from bench.metrics import inception
from bench.metrics.distribution import frechet_distance, kernel_distance
from bench.metrics.image_metrics import image_tensor, patch_features
from bench.metrics.inception import InceptionV3
from bench.options import json_option
from bench.record import write_record
from rdpcodec.errors import UsageError
from rdpcodec.metrics import efficientnet
from rdpcodec.metrics.efficientnet import EfficientNetLite0
from rdpcodec.model.device import usable_device


@torch.inference_mode()
def folder_features(
    folder: Path, network: EfficientNetLite0 | InceptionV3, width: int, device: str, console: Console
) -> tuple[np.ndarray, list[str]]:
    """Features `[n, width]` of the patches of all images in a folder, and for each patch the name of its
    image without the suffix.
    """
    features, names = [], []
    for name, image in track(list(load_folder(folder).items()), folder.name, console=console):
        x = image_tensor(np.asarray(image)).to(device)
        features.append(patch_features(x, network.features, width))
        names += [Path(name).stem] * len(features[-1])
    return np.concatenate(features), names


def image_numbers(first: list[str], second: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Names as numbers; a name has the same number in both lists."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys([*first, *second]))}
    a, b = (np.array([numbers[name] for name in names], int) for names in (first, second))
    return a, b


@click.command()
@data_option
@click.option(
    "--decoded",
    type=FOLDER,
    required=True,
    help="Folder of the decoded images.",
)
@click.option(
    "--network", type=click.Choice(["efficientnet", "inception"]), default="efficientnet", show_default=True
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="torch-fidelity's weights of Inception-v3, if it cannot download them.",
)
@json_option
@click.option("--device", default="cpu", show_default=True)
def distance(
    data: Path, decoded: Path, network: str, weights: Path | None, out: Path | None, device: str
) -> None:
    """Fréchet and kernel distance between the patches of two folders of images."""
    console = Console()
    stems = [sorted(path.stem for path in image_paths(folder)) for folder in (data, decoded)]
    if stems[0] != stems[1]:
        raise UsageError("decoded images must have the originals' names, extensions aside")
    extractor, width = (
        (InceptionV3(weights), inception.FEATURES)
        if network == "inception"
        else (EfficientNetLite0(), efficientnet.FEATURES)
    )
    extractor.to(usable_device(device))
    (first, names), (second, other_names) = (
        folder_features(f, extractor, width, device, console) for f in (data, decoded)
    )
    # Published kernel distances (KID) count pairs of an image with itself; ours do not.
    numbers = None if network == "inception" else image_numbers(names, other_names)
    record = {
        "data": data.name,
        "decoded": decoded.name,
        "network": network,
        "patches": [len(first), len(second)],
        "frechet": frechet_distance(first, second),
        "kernel": kernel_distance(first, second, numbers),
    }
    console.print(
        f"{network}, {len(first)} and {len(second)} patches of 256×256: Fréchet distance "
        f"{record['frechet']:.4g}, kernel distance {record['kernel']:.4g}"
    )
    if out:
        write_record(out, record, indent=1)
