"""`python -m bench papers classification`: what classifiers recognise in restored and in coded images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench.folder import FOLDER
from bench.papers.classification.experiments import keep_results, measured_groups, shown_images
from bench.papers.classification.plan import TASKS, Task, sized
from bench.papers.options import TrainingOptions, mnist_option, training_options
from bench.papers.reproduction import as_stored, report_claims, write_page_figure, written
from bench.papers.wgan.data import load_cifar10, load_mnist
from bench.papers.wgan.run import Run
from bench.record import rounded, write_record
from rdpcodec.training.markdown import replace_block


@click.command()
@mnist_option("--mnist")
@click.option(
    "--cifar10",
    type=FOLDER,
    help="Folder of CIFAR-10 as train.npz and test.npz; otherwise torchvision downloads it.",
)
@click.option(
    "--surface",
    type=FOLDER,
    help="Only report on codecs: a folder of `bench measure surface` and `peers` on labelled images.",
)
@click.option(
    "--only",
    type=click.Choice([task.name for task in TASKS]),
    multiple=True,
    help="Run only these tasks; may be given several times.",
)
@training_options(
    "classification",
    "full is for a GPU; cores, with smaller critics, is for a CPU; quick trains few restorers in minutes.",
)
def classification(
    mnist: Path | None,
    cifar10: Path | None,
    surface: Path | None,
    only: tuple[str, ...],
    training: TrainingOptions,
    out: Path,
    page: Path | None,
) -> None:
    """What a classifier still recognises (Liu, Zhang & Xiong 2019)."""
    if surface is not None:
        _report_codecs(surface, out, page)
        return
    loads = {"mnist": partial(load_mnist, mnist), "cifar10": partial(load_cifar10, cifar10)}
    chosen = [task for task in TASKS if not only or task.name in only]
    data = {name: load() for name, load in loads.items() if any(task.data == name for task in chosen)}
    for whole in chosen:
        run = training.run(sized(whole, training.grid), data[whole.data])
        if training.keep:
            keep_results(run, out / f"{training.grid}-{whole.name}.json")
        _report_restorers(run, measured_groups(run, training.workers), training.grid, out, page)
    Console().print(written(out, page))


def _report_restorers(
    run: Run[Task], result: dict[str, Any], grid: str, out: Path, page: Path | None
) -> None:
    # scipy and matplotlib take a second to import.
    from bench.papers.classification import claims, figures

    name = f"{grid}-{run.plan.name}"
    record = claims.reproduction(as_stored(result)).record()
    title = f"{run.plan.title}, {grid} grid"
    report_claims(record, title, out / f"{name}.json", page, f"{run.plan.name} {grid}")
    write_page_figure(out / f"{name}.png", figures.curves(result))
    group = result["groups"][0]
    shown = shown_images(run, group["design"])
    if shown is not None:
        write_page_figure(out / f"{name}-images.png", figures.restored_images(group, shown))


def _report_codecs(surface: Path, out: Path, page: Path | None) -> None:
    from bench.papers.classification import codecs, figures

    axes = codecs.axes_of(surface)
    record = rounded({"codecs": axes, "realism": codecs.effect_of_realism(axes)})
    write_record(out / "codecs.json", record)
    write_page_figure(out / "codecs.png", figures.codecs(axes))
    if page:
        replace_block(page, "classification of codecs", codecs.codec_table(axes))
    Console().print(written(out, page))
