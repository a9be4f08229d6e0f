"""`python -m bench measure effort`: what the search for better latents saves, and how long it takes."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.analysis.bd_rate import bd_rate, bd_rate_by_image, mean_curve
from bench.codecs import weights_identity
from bench.folder import data_option, load_folder
from bench.measure.rd import means, rate_and_distortion
from bench.record import machine, write_record
from rdpcodec import Codec
from rdpcodec.metrics.ssimulacra2 import ssimulacra2
from rdpcodec.operating_point import EFFORT_MAX

QUALITIES = (10.0, 30.0, 50.0, 70.0)


def measure(
    codec: Codec, images: dict[str, Image.Image], qualities: tuple[float, ...], top: int, console: Console
) -> list[dict[str, list[dict[str, float]]]]:
    """For each effort 0..`top`, the points of each image, one for each quality.

    The search runs once: every effort continues from the one before, and its seconds count from the start.
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
                        "ssimulacra2": round(ssimulacra2(original, decoded), 4),
                        "encoding_time": round(seconds, 4),
                    }
                )
    return measured


def curves(images: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Points of each image → a record with them and their means over images, for BD-rates."""
    keys = ("bpp", "psnr-rgb", "ms-ssim-rgb", "ssimulacra2", "encoding_time")
    return {"results": means(images, keys), "pictures": images}


def savings(measured: list[dict[str, Any]]) -> list[dict[str, float]]:
    """`curves` by effort → BD-rates against effort 0, of the means and of each image, and mean seconds."""

    def of_means(found: dict[str, Any], metric: str) -> float:
        return round(bd_rate(mean_curve(measured[0], metric), mean_curve(found, metric)), 2)

    return [
        {
            "effort": effort,
            "bd_rate": of_means(found, "psnr-rgb"),
            "bd_rate_by_picture": round(bd_rate_by_image(measured[0], found, "psnr-rgb"), 2),
            "bd_rate_ms_ssim": of_means(found, "ms-ssim-rgb"),
            "bd_rate_ssimulacra2": of_means(found, "ssimulacra2"),
            "seconds": round(float(np.mean(found["results"]["encoding_time"])), 2),
        }
        for effort, found in enumerate(measured)
    ]


def plot(rows: list[dict[str, float]], path: Path, title: str) -> None:
    """Plot what each effort of `savings` saves over its seconds, as a PNG."""
    from bench.drawing import pyplot, write_figure  # takes a second to import

    figure, axes = pyplot.subplots(figsize=(6.4, 4.2), layout="constrained")
    seconds, saved = [row["seconds"] for row in rows], [-row["bd_rate_ssimulacra2"] for row in rows]
    axes.plot(seconds, saved, marker="o")
    for row, x, y in zip(rows, seconds, saved, strict=True):
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
@click.option("--qualities", default=",".join(f"{q:g}" for q in QUALITIES), show_default=True)
@click.option("--first", type=click.IntRange(1), help="Take only this many images, the first by name.")
def effort(data: Path, out: Path | None, top: int, qualities: str, first: int | None) -> None:
    """BD-rates against effort 0, and seconds, for every effort up to the highest."""
    console, codec = Console(), Codec()
    images = dict(islice(load_folder(data).items(), first))
    dial = tuple(float(word) for word in qualities.split(","))
    measured = [curves(points) for points in measure(codec, images, dial, top, console)]
    rows = savings(measured)
    table = Table(title=f"{len(images)} images of {data.name}")
    measures = ("BD-rate, PSNR", "each image", "BD-rate, MS-SSIM", "BD-rate, SSIMULACRA2")
    for column in ("effort", *measures, "seconds an image"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            f"{row['effort']:g}",
            f"{row['bd_rate']:+.1f} %",
            f"{row['bd_rate_by_picture']:+.1f} %",
            f"{row['bd_rate_ms_ssim']:+.1f} %",
            f"{row['bd_rate_ssimulacra2']:+.1f} %",
            f"{row['seconds']:.1f}",
        )
    console.print(table)
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
