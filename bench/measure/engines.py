"""`python -m bench measure engines`: seconds to encode and decode, of each engine on so many threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

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


@click.command()
@data_option
@click.option("--threads", type=click.IntRange(1), multiple=True, default=(1, 2), show_default=True)
@click.option("--quality", type=float, default=50, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@json_option
def engines(data: Path, threads: tuple[int, ...], quality: float, repeats: int, out: Path | None) -> None:
    """Seconds from image to file and back, warm, by ONNX Runtime and by torch, taking turns."""
    images = load_folder(data)
    found = [_in_a_process(list(images.values()), count, quality, repeats) for count in threads]
    Console().print(_table(found))
    if out:
        record = {"images": len(images), "quality": quality, "repeats": repeats, "machine": machine()}
        write_record(out, {**record, "seconds_an_image": found}, indent=1)


def _in_a_process(images: list[Image.Image], threads: int, quality: float, repeats: int) -> dict[str, Any]:
    """What `measured` finds, where both engines start with so many threads."""
    with ProcessPoolExecutor(1, get_context("spawn"), use_threads, (threads,)) as pool:
        return {"threads": threads, **pool.submit(measured, images, quality, repeats).result()}


def measured(images: list[Image.Image], quality: float, repeats: int) -> dict[str, dict[str, float]]:
    """Of each engine, mean seconds an image to encode and to decode, of each image the shortest of `repeats`
    runs. The engines take turns, so that what else the machine does disturbs both.
    """
    codecs = {name: Codec(engine=name) for name in ENGINES}
    for codec in codecs.values():  # warm
        codec.decompress(codec.compress(images[0], quality))
    rows: dict[str, dict[str, list[float]]] = {name: {"encode": [], "decode": []} for name in ENGINES}
    for image in images:
        data = codecs["onnx"].compress(image, quality)
        best = {name: {"encode": float("inf"), "decode": float("inf")} for name in ENGINES}
        for _ in range(repeats):
            for name, codec in codecs.items():
                for what, run in (
                    ("encode", partial(codec.compress, image, quality)),
                    ("decode", partial(codec.decompress_array, data)),
                ):
                    best[name][what] = min(best[name][what], _seconds(run))
        for name, times in best.items():
            for what, value in times.items():
                rows[name][what].append(value)
    return {name: {what: fmean(values) for what, values in times.items()} for name, times in rows.items()}


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


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
