"""Groups of models trained side by side: one process each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import click
import torch

from bench.papers.reproduction import result_options

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], tasks: Sequence[T], workers: int) -> list[R]:
    """What `work` returns for every task, in their order. Several workers are processes, to which all is
    pickled, and share the processor's cores. The first error ends all that has not begun.
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        return [work(task) for task in tasks]
    threads = max(1, (os.cpu_count() or 1) // workers)
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(threads,)
    ) as pool:
        return list(pool.map(work, tasks))


def training_options(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of a command that trains groups, with checkpoints in `build/<name>`."""
    options = (
        click.option("--device", default="cpu", show_default=True, help="Where networks are trained."),
        click.option(
            "--workers",
            type=click.IntRange(1),
            default=1,
            show_default=True,
            help="Processes that train groups side by side; as many as cores are fastest on a CPU.",
        ),
        click.option(
            "--runs",
            type=click.Path(path_type=Path, file_okay=False),
            help="Folder of checkpoints, from which a killed run goes on.  "
            f"[default: build/{name} with the name of the grid]",
        ),
        result_options(name),
    )
    return lambda command: reduce(lambda decorated, option: option(decorated), reversed(options), command)


def progress(label: str) -> Callable[[int], None]:
    """Says every half minute how far a training is: a line each, that a log can hold."""
    told = time.monotonic()

    def report(step: int) -> None:
        nonlocal told
        if time.monotonic() - told > 30:
            told = time.monotonic()
            click.echo(f"{label}: step {step}")

    return report
