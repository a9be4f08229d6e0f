"""`python -m bench measure engines`: seconds to encode and decode with each engine, by number of threads."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import click
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.folder import data_option, load_folder
from bench.options import json_option
from bench.record import machine, write_record
from rdpcodec import Codec, use_threads
from rdpcodec.engine.choice import EngineName

ENGINES: tuple[EngineName, ...] = ("onnx", "torch")


class Times(NamedTuple):
    """Seconds for one image."""

    encode: float
    decode: float


@click.command()
@data_option
@click.option("--threads", type=click.IntRange(1), multiple=True, default=(1, 2), show_default=True)
@click.option("--quality", type=float, default=50, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@json_option
def engines(data: Path, threads: tuple[int, ...], quality: float, repeats: int, out: Path | None) -> None:
    """Warm seconds from image to file and back, by ONNX Runtime and by torch, taking turns.

    Each engine has its own processes: waiting threads of torch would take the cores from the other engine.
    """
    images = list(load_folder(data).values())
    found = [{"threads": count, **_of_both(images, count, quality, repeats)} for count in threads]
    Console().print(_table(found))
    if out:
        record = {"images": len(images), "quality": quality, "repeats": repeats, "machine": machine()}
        write_record(out, {**record, "seconds_an_image": found}, indent=1)


def _of_both(
    images: list[Image.Image], threads: int, quality: float, repeats: int
) -> dict[str, dict[str, float]]:
    """For each engine, mean seconds to encode and to decode an image.

    Each image counts with its shortest time in `repeats` processes.
    """
    runs: dict[str, list[list[Times]]] = {name: [] for name in ENGINES}
    for _ in range(repeats):
        for name in ENGINES:
            with ProcessPoolExecutor(1, get_context("spawn"), use_threads, (threads,)) as pool:
                runs[name].append(pool.submit(measured, images, quality, name).result())
    best = {name: [_shortest(rows) for rows in zip(*found, strict=True)] for name, found in runs.items()}
    return {
        name: {"encode": fmean(row.encode for row in rows), "decode": fmean(row.decode for row in rows)}
        for name, rows in best.items()
    }


def measured(images: list[Image.Image], quality: float, engine: EngineName) -> list[Times]:
    """The times of each image, by a codec that is already warm."""
    codec = Codec(engine=engine)
    codec.decompress(codec.compress(images[0], quality))
    found = []
    for image in images:
        started = time.perf_counter()
        data = codec.compress(image, quality)
        coded = time.perf_counter()
        codec.decompress_array(data)
        found.append(Times(coded - started, time.perf_counter() - coded))
    return found


def _shortest(rows: Sequence[Times]) -> Times:
    return Times(min(row.encode for row in rows), min(row.decode for row in rows))


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table(title="ms an image, warm")
    for head in ("threads", "", *ENGINES, "images of onnx for one of torch"):
        table.add_column(head, justify="right")
    for row in found:
        for what in ("encode", "decode"):
            times = [row[name][what] for name in ENGINES]
            numbers = [f"{1e3 * value:.1f}" for value in times]
            table.add_row(str(row["threads"]), what, *numbers, f"{times[1] / times[0]:.2f}")
    return table
