"""`python -m bench papers methods`: codecs and super-resolution in the plane of Blau & Michaeli (2018)."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from rich.console import Console

from bench.folder import data_option, image_paths
from bench.options import lpips_option
from bench.papers.reproduction import (
    as_stored,
    report_claims,
    result_options,
    write_page_figure,
    written,
)


@click.command()
@data_option
@click.option(
    "--count",
    type=click.IntRange(2),
    default=8,
    show_default=True,
    help="How many images to take, spread over the folder.",
)
@lpips_option
@click.option(
    "--runs",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/methods"),
    show_default=True,
    help="Folder for measurements, from which a killed run resumes.",
)
@result_options("methods")
def methods(
    data: Path, count: int, lpips_weights: Path | None, runs: Path, out: Path, page: Path | None
) -> None:
    """A score without a reference against scores with one, for codecs and super-resolution (2018)."""
    from bench.papers.methods import claims, figures
    from bench.papers.methods.enlarge import enlargers
    from bench.papers.methods.measure import available_peers, measured_image

    console = Console()
    for note in (*available_peers()[1], *enlargers()[1]):
        console.print(note, markup=False)
    names = [path.name for path in image_paths(data)]
    chosen = [names[int(place)] for place in np.linspace(0, len(names) - 1, min(count, len(names)))]
    images = {}
    for name in chosen:
        images[name] = measured_image(data / name, runs, lpips_weights)
        console.print(f"measured: {name}")
    record = {"data": data.name, **claims.reproduction(as_stored(images)).record()}
    report_claims(record, "The plane over methods", out / "plane.json", page, "methods")
    natural = float(np.mean([image["original niqe"] for image in images.values()]))
    write_page_figure(out / "plane.png", figures.methods(claims.planes(images), natural))
    console.print(written(out, page))
