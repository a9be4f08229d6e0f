"""`python -m bench papers digits`: codecs of digits over rates and weights of perception, and claims."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import torch
from rich.console import Console

from bench.folder import FOLDER
from bench.papers.reproduction import claims_on_screen, claims_table, write_figure, written
from bench.papers.wgan.workers import progress, training_options
from bench.record import write_record
from rdpcodec.errors import RdpError
from rdpcodec.training.markdown import replace_block

if TYPE_CHECKING:
    from bench.papers.digits.codec import Bottleneck
    from bench.papers.digits.group import DigitsRun

_EXPERIMENTS = (
    "pairs",
    "universal",
    "conditioned",
    "features",
    *(f"{kind}-{layer}" for kind in ("layer", "alone") for layer in "abc"),
)


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
    help="98 pairs for a GPU; as many, with smaller critics, for a processor's cores; or 12 in minutes.",
)
@click.option("--seeds", type=click.IntRange(1), help="So many of the grid's seeds.  [default: all]")
@click.option(
    "--only",
    type=click.Choice(_EXPERIMENTS),
    multiple=True,
    help="Leave out all but these and the pairs.",
)
@training_options("mnist")
def digits(
    data: Path | None,
    grid: str,
    seeds: int | None,
    only: tuple[str, ...],
    device: str,
    workers: int,
    runs: Path | None,
    out: Path,
    page: Path | None,
) -> None:
    """Rate, distortion and perception of trained codecs of digits (Blau & Michaeli 2019)."""
    # scipy and matplotlib take a second to import.
    from bench.papers.digits.experiments import measured_groups
    from bench.papers.digits.group import DigitsRun
    from bench.papers.digits.plan import GRIDS
    from bench.papers.wgan.data import load_mnist

    runs = runs or Path(f"build/mnist-{grid}")
    chosen = [kind for kind in _EXPERIMENTS if kind == "pairs" or not only or kind in only]
    try:
        plan = replace(GRIDS[grid], seeds=GRIDS[grid].seeds[:seeds])
        run = DigitsRun(plan, load_mnist(data), torch.device(device), runs, progress)
        results = measured_groups(run, chosen, workers)
    except RdpError as error:
        raise click.ClickException(str(error)) from error
    _report(run, results, grid, out, page)


def _report(
    run: DigitsRun, results: dict[str, list[dict[str, Any]]], grid: str, out: Path, page: Path | None
) -> None:
    from bench.papers.digits import claims, figures
    from bench.papers.digits.group import shown_images
    from bench.papers.wgan.pictures import rows_of_digits

    console = Console()
    reproduction = claims.reproduction(results)
    record = reproduction.record()
    console.print(claims_on_screen(f"MNIST, {grid} grid", record))
    out.mkdir(parents=True, exist_ok=True)
    write_record(out / f"{grid}.json", record)
    write_figure(out / f"{grid}-surface.png", figures.surface(reproduction.curves))
    if len(results) > 1:
        write_figure(out / f"{grid}-variants.png", figures.variants(reproduction.curves))
        middle = run.plan.some_bottlenecks[len(run.plan.some_bottlenecks) // 2]
        rows = _rows(run, list(results), middle)
        title = f"{middle.bits:g} bits, largest λ unless noted"
        write_figure(out / f"{grid}-layers.png", rows_of_digits(rows, title))
    shown = [shown_images(run, "pairs", bottleneck) for bottleneck in run.plan.bottlenecks]
    first = [group for group in results["pairs"] if group["seed"] == run.plan.seeds[0]]
    write_figure(out / f"{grid}-digits.png", figures.reconstructions(first, shown))
    if page:
        replace_block(page, f"claims mnist {grid}", claims_table(record))
    console.print(written(out, page))


def _rows(run: DigitsRun, kinds: list[str], bottleneck: Bottleneck) -> list[tuple[str, np.ndarray]]:
    """The digits of all experiments at one rate: features and layers beside pixels, with squared error and
    without.
    """
    from bench.papers.digits.group import shown_images

    pairs = shown_images(run, "pairs", bottleneck)
    rows = [("original", pairs[0]), ("pixels, λ = 0", pairs[1]), ("pixels and the critic", pairs[-1])]
    for kind in kinds:
        if kind == "features":
            rows.append(("features and pixels, λ = 0", shown_images(run, kind, bottleneck)[1]))
        elif kind.startswith("layer-"):
            rows.append((f"pixels and layer {kind[-1]}", shown_images(run, kind, bottleneck)[-1]))
        elif kind.startswith("alone-"):
            rows.append((f"layer {kind[-1]} alone", shown_images(run, kind, bottleneck)[-1]))
    return rows
