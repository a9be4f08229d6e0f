"""`python -m bench classification`: what classifiers recognise in restored and in coded images."""

from __future__ import annotations

from pathlib import Path

import click
import torch
from rich.console import Console

from bench.papers.reproduction import claims_on_screen, claims_table, rounded, write_figure, write_record
from bench.papers.wgan.workers import progress, training_options
from bench.report.markdown import replace_block
from rdpcodec.errors import RdpError


@click.command()
@click.option(
    "--mnist",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of MNIST's four IDX files; otherwise torchvision downloads them.",
)
@click.option(
    "--cifar10",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of CIFAR-10 as train.npz and test.npz; otherwise torchvision downloads it.",
)
@click.option(
    "--surface",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Only report on codecs: a folder of `bench surface` and `bench peers` on labelled images.",
)
@click.option("--quick", is_flag=True, help="Fewer restorers and short training: minutes instead of hours.")
@training_options("classification")
def classification(
    mnist: Path | None,
    cifar10: Path | None,
    surface: Path | None,
    quick: bool,
    device: str,
    workers: int,
    runs: Path | None,
    out: Path,
    page: Path | None,
) -> None:
    """What a classifier still recognises (Liu, Zhang & Xiong 2019)."""
    out.mkdir(parents=True, exist_ok=True)
    if surface is not None:
        _report_codecs(surface, out, page)
        return
    # scipy and matplotlib take a second to import.
    from bench.papers.classification import claims, experiments, figures
    from bench.papers.wgan.data import load_cifar10, load_mnist

    console = Console()
    grid = "quick" if quick else "full"
    runs = runs or Path("build/classification-quick" if quick else "build/classification")
    for task, load, folder in (
        (experiments.DENOISING, load_mnist, mnist),
        (experiments.SUPER_RESOLUTION, load_cifar10, cifar10),
    ):
        chosen = experiments.quick(task) if quick else task
        try:
            bench = experiments.Bench(chosen, load(folder), torch.device(device), runs, progress)
            result = experiments.run(bench, workers)
        except RdpError as error:
            raise click.ClickException(str(error)) from error
        record = claims.reproduction(result).record()
        console.print(claims_on_screen(f"{task.title}, {grid} grid", record))
        write_record(out / f"{grid}-{task.name}.json", record)
        write_figure(out / f"{grid}-{task.name}.png", figures.curves(result))
        design, group = next(iter(result["groups"].items()))
        shown = experiments.shown_pictures(bench, design)
        write_figure(out / f"{grid}-{task.name}-pictures.png", figures.pictures(group, shown))
        if page:
            replace_block(page, f"claims {task.name} {grid}", claims_table(record))
    console.print(f"written: {out}/" + (f", {page}" if page else ""))


def _report_codecs(surface: Path, out: Path, page: Path | None) -> None:
    from bench.papers.classification import codecs, figures

    axes = codecs.axes_of(surface)
    record = rounded({"codecs": axes, "realism": codecs.effect_of_realism(axes)})
    write_record(out / "codecs.json", record)
    write_figure(out / "codecs.png", figures.codecs(axes))
    if page:
        replace_block(page, "classification of codecs", codecs.codec_table(axes))
    Console().print(f"written: {out}/" + (f", {page}" if page else ""))
