"""`python -m bench papers digits`: codecs of digits over rates and weights of perception, and claims."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

from bench.papers.digits.codec import Bottleneck
from bench.papers.digits.experiments import EXPERIMENTS, keep_results, measured_groups
from bench.papers.digits.group import shown_images, shown_seed
from bench.papers.digits.plan import GRIDS, Plan
from bench.papers.options import TrainingOptions, mnist_option, training_options
from bench.papers.reproduction import as_stored, report_claims, write_page_figure, written
from bench.papers.wgan.data import load_mnist
from bench.papers.wgan.run import Run


@click.command()
@mnist_option("--data")
@click.option(
    "--only",
    type=click.Choice(list(EXPERIMENTS)),
    multiple=True,
    help="Run only these and the pairs; may be given several times.",
)
@training_options(
    "mnist",
    "full, 98 pairs, is for a GPU; cores, with smaller critics, is for a CPU; quick trains 12 in minutes.",
)
def digits(
    data: Path | None, training: TrainingOptions, only: tuple[str, ...], out: Path, page: Path | None
) -> None:
    """Rate, distortion and perception of trained codecs of digits (Blau & Michaeli 2019)."""
    run = training.run(GRIDS[training.grid], load_mnist(data))
    chosen = [kind for kind in EXPERIMENTS if kind == "pairs" or not only or kind in only]
    kept = keep_results(run, out / f"{training.grid}.json") if training.keep else {}
    results = {**kept, **measured_groups(run, chosen, training.workers)}
    _report(run, {kind: results[kind] for kind in EXPERIMENTS if kind in results}, training.grid, out, page)


def _report(
    run: Run[Plan], results: dict[str, list[dict[str, Any]]], grid: str, out: Path, page: Path | None
) -> None:
    # scipy and matplotlib take a second to import.
    from bench.papers.digit_rows import rows_of_digits
    from bench.papers.digits import claims, figures

    reproduction = claims.reproduction(as_stored(results))
    title, path = f"MNIST, {grid} grid", out / f"{grid}.json"
    report_claims(reproduction.record(), title, path, page, f"mnist {grid}")
    write_page_figure(out / f"{grid}-surface.png", figures.surface(reproduction.curves))
    if len(results) > 1:
        write_page_figure(out / f"{grid}-variants.png", figures.variants(reproduction.curves))
        middle = run.plan.some_bottlenecks[len(run.plan.some_bottlenecks) // 2]
        seed = shown_seed(run, list(results), [middle])
        if seed is not None:
            rows = _rows(run, list(results), middle, seed)
            title = f"{middle.bits:g} bits, largest λ unless noted"
            write_page_figure(out / f"{grid}-layers.png", rows_of_digits(rows, title))
    seed = shown_seed(run, ["pairs"], run.plan.bottlenecks)
    if seed is not None:
        shown = [shown_images(run, "pairs", bottleneck, seed) for bottleneck in run.plan.bottlenecks]
        pairs = [group for group in results["pairs"] if group["seed"] == seed]
        write_page_figure(out / f"{grid}-digits.png", figures.reconstructions(pairs, shown))
    Console().print(written(out, page))


def _rows(
    run: Run[Plan], kinds: list[str], bottleneck: Bottleneck, seed: int
) -> list[tuple[str, np.ndarray]]:
    """The digits of all experiments at one rate: features and layers beside pixels, with and without squared
    error.
    """
    pairs = shown_images(run, "pairs", bottleneck, seed)
    rows = [("original", pairs[0]), ("pixels, λ = 0", pairs[1]), ("pixels and the critic", pairs[-1])]
    for kind in kinds:
        if kind == "features":
            rows.append(("features and pixels, λ = 0", shown_images(run, kind, bottleneck, seed)[1]))
        elif kind.startswith("layer-"):
            rows.append((f"pixels and layer {kind[-1]}", shown_images(run, kind, bottleneck, seed)[-1]))
        elif kind.startswith("alone-"):
            rows.append((f"layer {kind[-1]} alone", shown_images(run, kind, bottleneck, seed)[-1]))
    return rows
