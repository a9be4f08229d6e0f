"""Groups of models trained side by side: one process each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import wraps
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import click
import torch

from bench.folder import FOLDER
from bench.options import Command, with_options
from bench.papers.reproduction import result_options
from bench.threads import threads_a_process
from rdpcodec.model.device import usable_device

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], tasks: Sequence[T], workers: int) -> list[R]:
    """What `work` returns for every task, in the order of the tasks.

    Several workers are processes that share the processor's cores; everything sent to them is pickled. The
    first error cancels all tasks that have not begun.
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        return [work(task) for task in tasks]
    threads = threads_a_process(workers)
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(threads,)
    ) as pool:
        return list(pool.map(work, tasks))


@dataclass(frozen=True)
class TrainingOptions:
    """How a command trains groups. grid: its name; runs: the folder of checkpoints; keep: do not train again
    what the results hold.
    """

    grid: str
    seeds: int | None
    device: torch.device
    workers: int
    runs: Path
    keep: bool

    def of_grid(self, seeds: Sequence[int]) -> tuple[int, ...]:
        """As many of a grid's seeds as are asked for."""
        return tuple(seeds[: self.seeds])


def mnist_option(name: str) -> Callable[[Command], Command]:
    """An option that names a folder of MNIST."""
    return click.option(
        name, type=FOLDER, help="Folder of MNIST's four IDX files; otherwise torchvision downloads them."
    )


def _grid_option(grids: str) -> Callable[[Command], Command]:
    sizes = click.Choice(("full", "cores", "quick"))
    return click.option("--grid", type=sizes, default="full", show_default=True, help=grids)


def training_options(name: str, grids: str) -> Callable[[Command], Command]:
    """The options of a command that trains groups; it takes them as `training`, besides `out` and `page`.

    name: of its results; its checkpoints are in `build/<name>-<grid>`. grids: a description of the grids.
    """
    options = (
        _grid_option(grids),
        click.option(
            "--seeds", type=click.IntRange(1), help="How many of the grid's seeds to train.  [default: all]"
        ),
        click.option("--device", default="cpu", show_default=True, help="Device to train on."),
        click.option(
            "--workers",
            type=click.IntRange(1),
            default=1,
            show_default=True,
            help="Processes that train groups side by side; on a CPU, one per core is fastest.",
        ),
        click.option(
            "--keep",
            is_flag=True,
            help="Train only what the results in --out lack, as another of --seeds; figures of images show "
            "what was trained here.",
        ),
        click.option(
            "--runs",
            type=click.Path(path_type=Path, file_okay=False),
            help="Folder of checkpoints, from which a killed run resumes.  "
            f"[default: build/{name} with the name of the grid]",
        ),
        result_options(name),
    )

    def decorate(command: Command) -> Command:
        @wraps(command)
        def with_training(
            grid: str,
            seeds: int | None,
            device: str,
            workers: int,
            keep: bool,
            runs: Path | None,
            **rest: Any,
        ) -> None:
            folder = runs or Path(f"build/{name}-{grid}")
            training = TrainingOptions(grid, seeds, usable_device(device), workers, folder, keep)
            command(training=training, **rest)

        return with_options(with_training, options)

    return decorate


def progress(label: str) -> Callable[[int], None]:
    """A function that says every half minute how far a training is, in lines that suit a log."""
    told = time.monotonic()

    def report(step: int) -> None:
        nonlocal told
        if time.monotonic() - told > 30:
            told = time.monotonic()
            click.echo(f"{label}: step {step}")

    return report
