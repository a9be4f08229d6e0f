"""`python -m bench measure drawn`: images that are not photographs, against AVIF and lossless WebP."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.analysis.measured import LOSSLESS_PSNR
from bench.codecs import weights_identity
from bench.folder import load_folder
from bench.measure.drawn.classes import made_set
from bench.measure.drawn.floors import IMAGES, floor, floors_table, lossless_webp_bytes
from bench.measure.drawn.photographs import photographs, photographs_table
from bench.measure.drawn.sheet import sheet
from bench.options import json_option, workers_option
from bench.record import write_record
from rdpcodec import Codec, use_threads
from rdpcodec.metrics.distortion import psnr
from rdpcodec.metrics.ssimulacra2 import ssimulacra2

QUALITIES = (30, 50, 70, 90, 100)
AVIF_QUALITIES = (10, 30, 50, 70, 85, 95, 100)
AVIF_OPTIONS = {"speed": 6, "subsampling": "4:4:4"}
METRICS = ("psnr", "ssimulacra2")
# Smaller images have too few scales for SSIMULACRA2.
_LEAST_SIDE = 64

Point = dict[str, float]


@click.command()
@json_option
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to which the images are also written.",
)
@click.option(
    "--crops",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Only write FILE.png with crops to look at.",
)
@click.option(
    "--floors", is_flag=True, help="Only print the floors that no image falls below at quality 100."
)
@click.option(
    "--photographs",
    "folders",
    type=click.Path(exists=True, path_type=Path, file_okay=False),
    multiple=True,
    help="Only report what the photographs in FOLDER lose by the exact layer; may be given several times.",
)
@workers_option
def drawn(
    out: Path | None,
    folder: Path | None,
    crops: Path | None,
    floors: bool,
    folders: tuple[Path, ...],
    workers: int,
) -> None:
    """Bytes at equal quality on interfaces, text, charts, line art, icons and mixed pages."""
    if floors:
        Console().print(floors_table([floor(_codec(), name) for name in IMAGES]))
        return
    if folders:
        _photographs(folders, out)
        return
    images = made_set()
    if crops:
        sheet(_codec(), images).save(crops, optimize=True)
        return
    if folder:
        _write_images(images, folder)
    records = all_measured(images, workers)
    console = Console()
    for metric in METRICS:
        console.print(_table(records, metric))
    if out:
        setup = {"weights": weights_identity(_codec()), "avif": AVIF_OPTIONS, "qualities": list(QUALITIES)}
        write_record(out, {**setup, "classes": records})


def _photographs(folders: tuple[Path, ...], out: Path | None) -> None:
    """Print what photographs lose, and write it to `out` if it is given."""
    found = photographs(_codec(), {folder.name: load_folder(folder) for folder in folders})
    Console().print(photographs_table(found))
    if out:
        write_record(out, {"weights": weights_identity(_codec()), "folders": found})


def all_measured(
    images: dict[str, dict[str, Image.Image]], workers: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """The result of `measured` for each image of each class, from `workers` processes."""
    everything = [image for members in images.values() for image in members.values()]
    with ProcessPoolExecutor(workers, get_context("spawn"), use_threads, (1,)) as pool:
        records = track(pool.map(_measured, everything), "images", len(everything), transient=True)
        found = iter(list(records))
    return {name: {title: next(found) for title in members} for name, members in images.items()}


def _measured(image: Image.Image) -> dict[str, Any]:
    return measured(_codec(), image)


@cache
def _codec() -> Codec:
    """The released codec, loaded once in each process."""
    return Codec()


def measured(codec: Codec, image: Image.Image) -> dict[str, Any]:
    """Bytes and quality of our files and of AVIF's, and the bytes of lossless WebP."""
    return {
        "size": list(image.size),
        "lossless_webp": lossless_webp_bytes(image),
        "rdpcodec": _points(image, QUALITIES, lambda q: codec.compress(image, q), codec.decompress),
        "avif": _points(image, AVIF_QUALITIES, lambda q: _avif(image, q), _opened),
    }


def _points(
    image: Image.Image,
    settings: Iterable[int],
    encode: Callable[[int], bytes],
    decode: Callable[[bytes], Image.Image],
) -> list[Point]:
    original, points = np.asarray(image), []
    for setting in settings:
        data = encode(setting)
        decoded = np.asarray(decode(data).convert("RGB"))
        point = {"setting": setting, "bytes": len(data), "psnr": min(psnr(original, decoded), LOSSLESS_PSNR)}
        if min(image.size) >= _LEAST_SIDE:
            point["ssimulacra2"] = ssimulacra2(original, decoded)
        points.append({name: round(value, 4) for name, value in point.items()})
    return points


def bytes_for(points: list[Point], metric: str, value: float) -> float:
    """The fewest bytes at which a curve reaches a value, interpolated between points on a logarithmic scale;
    infinite if it never does.
    """
    ordered = sorted(points, key=lambda point: point["bytes"])
    if ordered[0][metric] >= value:
        return ordered[0]["bytes"]
    for before, after in pairwise(ordered):
        if after[metric] >= value:
            share = max(0.0, (value - before[metric]) / (after[metric] - before[metric]))
            return math.exp((1 - share) * math.log(before["bytes"]) + share * math.log(after["bytes"]))
    return math.inf


def ratio(record: dict[str, Any], number: int, metric: str) -> float | None:
    """Our bytes at one quality over the fewest that AVIF or lossless WebP needs for the same; None if the
    metric was not measured.
    """
    point = record["rdpcodec"][number]
    if metric not in point:
        return None
    rival = min(bytes_for(record["avif"], metric, point[metric]), record["lossless_webp"])
    return float(point["bytes"] / rival)


def summary(records: dict[str, Any], metric: str, number: int) -> tuple[float, float]:
    """For a class at one quality: the geometric mean of the images' ratios, and the largest."""
    ratios = [found for record in records.values() if (found := ratio(record, number, metric)) is not None]
    return math.exp(float(np.mean(np.log(ratios)))), max(ratios)


def _table(classes: dict[str, Any], metric: str) -> Table:
    table = Table(
        title=f"our bytes over the better of AVIF and lossless WebP, at equal {metric}: mean (worst)"
    )
    table.add_column("quality")
    for name in classes:
        table.add_column(name, justify="right")
    for number, quality in enumerate(QUALITIES):
        cells = (summary(records, metric, number) for records in classes.values())
        table.add_row(str(quality), *(f"{mean:.2f} ({worst:.2f})" for mean, worst in cells))
    return table


def _write_images(images: dict[str, dict[str, Image.Image]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, members in images.items():
        for title, image in members.items():
            image.save(folder / f"{name.replace(' ', '-')}-{title}.png")


def _avif(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "AVIF", quality=quality, **AVIF_OPTIONS)
    return buffer.getvalue()


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))
