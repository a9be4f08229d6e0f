"""`python -m bench measure auto-realism`: what `--realism auto` chooses, gives and costs."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.codecs import weights_identity
from bench.folder import data_option, load_folder
from bench.metrics.eye_measures import MAIN, Comparison, eye_measures
from bench.options import json_option, lpips_option, qualities_option
from bench.record import write_record
from rdpcodec import Codec
from rdpcodec.errors import UsageError
from rdpcodec.format.container import bits_per_pixel, read_header
from rdpcodec.metrics.distortion import psnr
from rdpcodec.metrics.lpips import load_lpips

QUALITIES = (5.0, 20.0, 35.0, 50.0, 70.0, 90.0)


def averages(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means over images, and the range of the chosen realisms."""
    means = {name: float(f"{np.mean([row[name] for row in rows]):.5g}") for name in rows[0]}
    chosen = [row["realism"] for row in rows]
    return {**means, "least_realism": round(min(chosen), 3), "most_realism": round(max(chosen), 3)}


def measured(
    codec: Codec, image: Image.Image, quality: float, measures: dict[str, Comparison]
) -> dict[str, float]:
    """One image's rate, the realism chosen for it, and each measure at realism 0, the chosen one and 1."""
    original = np.asarray(image)
    file = codec.compress(image, quality, realism="auto")
    chosen = read_header(file)[0].realism
    row = {"bpp": bits_per_pixel(file), "realism": chosen}
    for name, realism in (("at_0", 0.0), ("chosen", chosen), ("at_1", 1.0)):
        decoded = np.asarray(codec.decompress(file, realism=realism).convert("RGB"))
        for measure, between in measures.items():
            row[f"{measure}_{name}"] = between(original, decoded)
    return row


def table_of(points: list[dict[str, float]], measures: list[str]) -> Table:
    """The results, one row for each quality."""
    table = Table("quality", "bpp", "chosen", "from … to", *(f"{name} at 0, chosen, 1" for name in measures))
    for point in points:
        table.add_row(
            f"{point['quality']:g}",
            f"{point['bpp']:.3f}",
            f"{point['realism']:.2f}",
            f"{point['least_realism']:.2f} … {point['most_realism']:.2f}",
            *(
                ", ".join(f"{point[f'{measure}_{name}']:.4g}" for name in ("at_0", "chosen", "at_1"))
                for measure in measures
            ),
        )
    return table


@click.command()
@data_option
@json_option
@qualities_option(QUALITIES)
@lpips_option
def auto_realism(
    data: Path, out: Path | None, qualities: tuple[float, ...], lpips_weights: Path | None
) -> None:
    """Compare the realism chosen for each image with 0 and 1, on the same files."""
    codec, images = Codec(), load_folder(data)
    eyes, notes = eye_measures()
    measures = {"psnr": psnr, **{name: eyes[name] for name in MAIN if name in eyes}}
    measures["lpips"] = load_lpips("alex", lpips_weights).distance
    if not codec.weights.has_realism:
        raise UsageError("these weights have no realism setting")

    points = []
    for quality in track(qualities, "measuring", transient=True):
        rows = [measured(codec, image, quality, measures) for image in images.values()]
        points.append({"quality": quality, **averages(rows)})
    console = Console()
    for note in notes:
        console.print(note, markup=False)
    console.print(table_of(points, list(measures)))
    if out:
        record = {"data": data.name, "weights": weights_identity(codec), "points": points}
        write_record(out, record, indent=1)
