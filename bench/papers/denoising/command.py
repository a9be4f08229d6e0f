"""`python -m bench papers denoising`: the generator of Blau & Michaeli (2018) on digits in noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import torch
from rich.console import Console

from bench.folder import FOLDER
from bench.papers.reproduction import claims_on_screen, claims_table, write_figure, written
from bench.papers.wgan.workers import progress, training_options
from bench.record import write_record
from rdpcodec.errors import RdpError
from rdpcodec.training.markdown import replace_block

if TYPE_CHECKING:
    from bench.papers.denoising.experiments import DenoisingRun


@click.command()
@click.option(
    "--data",
    type=FOLDER,
    help="Folder of MNIST's four IDX files; otherwise torchvision downloads them.",
)
@click.option(
    "--grid",
    type=click.Choice(("full", "cores", "quick")),
    default="full",
    show_default=True,
    help="For a GPU; with smaller critics, for a processor's cores; or four denoisers in minutes.",
)
@click.option("--seeds", type=click.IntRange(1), help="So many of the grid's seeds.  [default: all]")
@training_options("denoising")
def denoising(
    data: Path | None,
    grid: str,
    seeds: int | None,
    device: str,
    workers: int,
    runs: Path | None,
    out: Path,
    page: Path | None,
) -> None:
    """Denoisers of digits between least error and perfect perception (Blau & Michaeli 2018)."""
    from bench.papers.denoising.experiments import GRIDS, DenoisingRun, measured
    from bench.papers.wgan.data import load_mnist

    runs = runs or Path(f"build/denoising-{grid}")
    try:
        plan = replace(GRIDS[grid], seeds=GRIDS[grid].seeds[:seeds])
        run = DenoisingRun(plan, load_mnist(data), torch.device(device), runs, progress)
        result = measured(run, workers)
    except RdpError as error:
        raise click.ClickException(str(error)) from error
    _report(run, result, grid, out, page)


def _report(run: DenoisingRun, result: dict[str, Any], grid: str, out: Path, page: Path | None) -> None:
    from bench.papers.denoising import claims, experiments, figures
    from bench.papers.wgan.pictures import rows_of_digits

    console = Console()
    record = claims.reproduction(result).record()
    console.print(claims_on_screen(f"Denoising of digits, {grid} grid", record))
    out.mkdir(parents=True, exist_ok=True)
    write_record(out / f"{grid}.json", record)
    points = {name: run.plan.weights.index(weight) for name, weight in experiments.POINTS.items()}
    write_figure(out / f"{grid}-curve.png", figures.curve(result, points))
    shown = experiments.shown_images(run, f"denoisers-{run.plan.seeds[0]}")
    exact = experiments.shown_images(run, "estimators")
    rows = [("original", shown[0]), ("given", experiments.noisy_images(run))]
    rows += [
        (f"{name}, λ = {experiments.POINTS[name]:g}".replace("inf", "∞"), shown[1 + at])
        for name, at in points.items()
    ]
    rows += list(zip(result["estimators"]["names"], exact[1:], strict=True))
    write_figure(out / f"{grid}-digits.png", rows_of_digits(rows, f"noise σ = {experiments.NOISE:g}"))
    if page:
        replace_block(page, f"claims denoising-2018 {grid}", claims_table(record))
    console.print(written(out, page))
