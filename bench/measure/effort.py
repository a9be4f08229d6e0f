"""`python -m bench measure effort`: what the search for better latents saves, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.analysis.bd_rate import (
    bd_rate_by_image,
    bd_rate_if_shared,
    mean_curve,
    rate_text,
    stored_rate,
)
from bench.codecs import weights_identity
from bench.folder import data_option, load_folder
from bench.measure.rd import means, rate_and_distortion
from bench.metrics.eye_measures import MAIN, Comparison, eye_measures
from bench.options import qualities_option
from bench.record import machine, write_record
from rdpcodec import Codec
from rdpcodec.operating_point import EFFORT_MAX

QUALITIES = (10.0, 30.0, 50.0, 70.0)
# The BD-rates of a row, by the measure whose mean curve they compare, and their names for readers.
_RATES = {
    "psnr-rgb": ("bd_rate", "PSNR"),
    "ms-ssim-rgb": ("bd_rate_ms_ssim", "MS-SSIM"),
    "ssimulacra2": ("bd_rate_ssimulacra2", "SSIMULACRA2"),
    "butteraugli": ("bd_rate_butteraugli", "Butteraugli"),
}


def measure(
    codec: Codec,
    images: dict[str, Image.Image],
    qualities: tuple[float, ...],
    top: int,
    measures: Mapping[str, Comparison],
    console: Console,
) -> list[dict[str, list[dict[str, float]]]]:
    """For each effort 0..`top`, the points of each image, one for each quality.

    The search runs once: every effort continues from the one before, and its seconds count from the start.
    measures: of `eye_measures`, besides PSNR and MS-SSIM.
    """
    measured: list[dict[str, list[dict[str, float]]]] = [
        {name: [] for name in images} for _ in range(top + 1)
    ]
    for name, image in track(list(images.items()), "effort", console=console, transient=True):
        original = np.asarray(image)
        for quality in qualities:
            seconds, files = 0.0, codec.efforts(image, quality)
            for points in measured:
                started = time.perf_counter()
                data = next(files)
                seconds += time.perf_counter() - started
                decoded = np.asarray(codec.decompress(data))
                points[name].append(
                    {
                        "quality": quality,
                        **rate_and_distortion(data, original, decoded),
                        **{name: round(between(original, decoded), 4) for name, between in measures.items()},
                        "encoding_time": round(seconds, 4),
                    }
                )
    return measured


def curves(images: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Points of each image → a record with them and their means over images, for BD-rates."""
    first = next(iter(images.values()))[0]
    keys = ("bpp", *(metric for metric in _RATES if metric in first), "encoding_time")
    return {"results": means(images, keys), "images": images}


def savings(measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`curves` by effort → BD-rates against effort 0, of the means and of each image, and mean seconds.

    A BD-rate is None where curves share no quality, as those of images that are coded without error.
    """

    def of_means(found: dict[str, Any], metric: str) -> float:
        return bd_rate_if_shared(mean_curve(measured[0], metric), mean_curve(found, metric))

    return [
        {
            "effort": effort,
            **{
                name: stored_rate(of_means(found, metric))
                for metric, (name, _) in _RATES.items()
                if metric in found["results"]
            },
            "bd_rate_by_image": stored_rate(bd_rate_by_image(measured[0], found, "psnr-rgb")),
            "seconds": round(float(np.mean(found["results"]["encoding_time"])), 2),
        }
        for effort, found in enumerate(measured)
    ]


def table_of(rows: list[dict[str, Any]], title: str) -> Table:
    """The result of `savings`, one row for each effort."""
    columns = {name: f"BD-rate, {label}" for name, label in _RATES.values() if name in rows[0]}
    columns["bd_rate_by_image"] = "PSNR, each image"
    table = Table(title=title)
    for head in ("effort", *columns.values(), "seconds an image"):
        table.add_column(head, justify="right")
    for row in rows:
        rates = (rate_text(row[name]) for name in columns)
        table.add_row(f"{row['effort']:g}", *rates, f"{row['seconds']:.1f}")
    return table


def plot(rows: list[dict[str, Any]], path: Path, title: str) -> None:
    """Plot what each effort of `savings` saves over its seconds, as a PNG; undefined savings are left out."""
    from bench.drawing import pyplot, write_figure  # takes a second to import

    figure, axes = pyplot.subplots(figsize=(6.4, 4.2), layout="constrained")
    known = [row for row in rows if row["bd_rate_ssimulacra2"] is not None]
    seconds, saved = [row["seconds"] for row in known], [-row["bd_rate_ssimulacra2"] for row in known]
    axes.plot(seconds, saved, marker="o")
    for row, x, y in zip(known, seconds, saved, strict=True):
        axes.annotate(f"{row['effort']:g}", (x, y), (0, 7), textcoords="offset points", ha="center")
    axes.set(
        xlabel="seconds to encode an image",
        ylabel="bits saved at equal SSIMULACRA2 (BD-rate, %)",
        xscale="log",
    )
    axes.margins(y=0.12)
    axes.grid(alpha=0.3)
    axes.set_title(title)
    write_figure(path, figure, dpi=110)


@click.command()
@data_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="FILE.json for the results; FILE.png the curve.",
)
@click.option(
    "--top",
    type=click.IntRange(1, EFFORT_MAX),
    default=EFFORT_MAX,
    show_default=True,
    help="The highest effort.",
)
@qualities_option(QUALITIES, count=2)
@click.option("--first", type=click.IntRange(1), help="Take only this many images, the first by name.")
def effort(data: Path, out: Path | None, top: int, qualities: tuple[float, ...], first: int | None) -> None:
    """BD-rates against effort 0, and seconds, for every effort up to the highest."""
    console, codec = Console(), Codec()
    images = dict(islice(load_folder(data).items(), first))
    eyes, notes = eye_measures()
    for note in notes:
        console.print(note, markup=False)
    measures = {name: eyes[name] for name in MAIN if name in eyes}
    measured = [curves(points) for points in measure(codec, images, qualities, top, measures, console)]
    rows = savings(measured)
    console.print(table_of(rows, f"{len(images)} images of {data.name}"))
    if out:
        record = {
            "data": data.name,
            "codec": weights_identity(codec),
            "machine": machine(),
            "efforts": rows,
            "measured": measured,
        }
        write_record(out, record)
        title = f"effort, {len(images)} images of {data.name}, {machine()['threads']} cores"
        plot(rows, out.with_suffix(".png"), title)
