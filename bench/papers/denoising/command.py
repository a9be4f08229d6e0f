"""`python -m bench papers denoising`: the generator of Blau & Michaeli (2018) on digits in noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench.papers.classification.plan import NOISE
from bench.papers.denoising.experiments import keep_results, measured, noisy_images, shown_images
from bench.papers.denoising.plan import GRIDS, POINTS, Plan
from bench.papers.options import TrainingOptions, mnist_option, training_options
from bench.papers.reproduction import as_stored, report_claims, write_page_figure, written
from bench.papers.wgan.data import load_mnist
from bench.papers.wgan.run import Run


@click.command()
@mnist_option("--data")
@training_options(
    "denoising",
    "full is for a GPU; cores, with smaller critics, is for a CPU; quick trains four denoisers in minutes.",
)
def denoising(data: Path | None, training: TrainingOptions, out: Path, page: Path | None) -> None:
    """Denoisers of digits between least error and perfect perception (Blau & Michaeli 2018)."""
    run = training.run(GRIDS[training.grid], load_mnist(data))
    if training.keep:
        keep_results(run, out / f"{training.grid}.json")
    _report(run, measured(run, training.workers), training.grid, out, page)


def _report(run: Run[Plan], result: dict[str, Any], grid: str, out: Path, page: Path | None) -> None:
    # scipy and matplotlib take a second to import.
    from bench.papers.denoising import claims, figures
    from bench.papers.digit_rows import rows_of_digits

    record = claims.reproduction(as_stored(result)).record()
    title = f"Denoising of digits, {grid} grid"
    report_claims(record, title, out / f"{grid}.json", page, f"denoising-2018 {grid}")
    points = {name: run.plan.weights.index(weight) for name, weight in POINTS.items()}
    write_page_figure(out / f"{grid}-curve.png", figures.curve(result, points))
    shown = shown_images(run, [f"denoisers-{seed}" for seed in run.plan.seeds])
    exact = shown_images(run, ["estimators"])
    if shown is not None and exact is not None:
        rows = [("original", shown[0]), ("given", noisy_images(run))]
        rows += [
            (f"{name}, λ = {POINTS[name]:g}".replace("inf", "∞"), shown[1 + at])
            for name, at in points.items()
        ]
        rows += list(zip(result["estimators"]["names"], exact[1:], strict=True))
        write_page_figure(out / f"{grid}-digits.png", rows_of_digits(rows, f"noise σ = {NOISE:g}"))
    Console().print(written(out, page))
