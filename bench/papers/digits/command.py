"""`python -m bench papers digits`: codecs of digits over rates and weights of perception, and claims."""

from __future__ import annotations

from pathlib import Path

import click
import torch
from rich.console import Console

from bench.folder import FOLDER
from bench.papers.reproduction import claims_on_screen, claims_table, write_figure, written
from bench.papers.wgan.workers import progress, training_options
from bench.record import write_record
from rdpcodec.errors import RdpError
from rdpcodec.training.markdown import replace_block

_EXPERIMENTS = ("pairs", "universal", "conditioned", "features", "layer")


@click.command()
@click.option(
    "--data",
    type=FOLDER,
    help="Folder of MNIST's four IDX files; otherwise torchvision downloads them.",
)
@click.option("--quick", is_flag=True, help="12 pairs and short training: minutes instead of hours.")
@click.option(
    "--only",
    type=click.Choice(_EXPERIMENTS),
    multiple=True,
    help="Leave out all but these and the pairs.",
)
@training_options("mnist")
def digits(
    data: Path | None,
    quick: bool,
    only: tuple[str, ...],
    device: str,
    workers: int,
    runs: Path | None,
    out: Path,
    page: Path | None,
) -> None:
    """Rate, distortion and perception of trained codecs of digits (Blau & Michaeli 2019)."""
    # scipy and matplotlib take a second to import.
    from bench.papers.digits import claims, experiments, figures
    from bench.papers.wgan.data import load_mnist

    console = Console()
    name = "quick" if quick else "full"
    runs = runs or Path("build/mnist-quick" if quick else "build/mnist")
    chosen = [kind for kind in _EXPERIMENTS if kind == "pairs" or not only or kind in only]
    try:
        plan = experiments.QUICK if quick else experiments.FULL
        run = experiments.DigitsRun(plan, load_mnist(data), torch.device(device), runs, progress)
        results = experiments.measured_groups(run, chosen, workers)
    except RdpError as error:
        raise click.ClickException(str(error)) from error
    reproduction = claims.reproduction(results)
    record = reproduction.record()
    console.print(claims_on_screen(f"MNIST, {name} grid", record))
    out.mkdir(parents=True, exist_ok=True)
    write_record(out / f"{name}.json", record)
    write_figure(out / f"{name}-surface.png", figures.surface(reproduction.curves))
    if len(results) > 1:
        write_figure(out / f"{name}-variants.png", figures.variants(reproduction.curves))
    shown = experiments.shown_images(run, "pairs")
    write_figure(out / f"{name}-digits.png", figures.reconstructions(results["pairs"], shown))
    if page:
        replace_block(page, f"claims mnist {name}", claims_table(record))
    console.print(written(out, page))
