"""Groups of models trained side by side: one process each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

import click
import torch

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


def workers_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--workers` of the commands that train groups."""
    return click.option(
        "--workers",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Processes that train groups side by side; as many as cores are fastest on a CPU.",
    )(command)


def progress(label: str) -> Callable[[int], None]:
    """Says every half minute how far a training is: a line each, that a log can hold."""
    told = time.monotonic()

    def report(step: int) -> None:
        nonlocal told
        if time.monotonic() - told > 30:
            told = time.monotonic()
            click.echo(f"{label}: step {step}")

    return report
