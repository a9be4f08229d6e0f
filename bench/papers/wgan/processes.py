"""Groups of models trained side by side: one process each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

import torch

from bench.threads import threads_a_process

T = TypeVar("T")
R = TypeVar("R")


def in_processes(work: Callable[[T], R], tasks: Sequence[T], workers: int) -> list[R]:
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
