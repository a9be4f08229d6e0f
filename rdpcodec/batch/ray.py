"""The engine that works through a plan with actors of a Ray cluster.

Ray Data was tried, but when a worker dies it retries the same image for ever, or hangs.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rdpcodec.batch.plan import Task
from rdpcodec.batch.work import Outcome, Outcomes, Work, lost, prepare, process
from rdpcodec.errors import RdpError, UsageError

if TYPE_CHECKING:
    from ray import ObjectRef


def run_ray(tasks: Sequence[Task], work: Work, *, workers: int, force: bool) -> Outcomes:
    """Work through `tasks` with up to `workers` actors of a Ray cluster: the connected one or that in
    `RAY_ADDRESS`, otherwise one that is started on this machine.

    As in `run_local`, an actor has one task at a time: if it dies, it costs one image and is replaced.
    Closing the iterator ends all actors. Sources and outputs must mean the same on all machines: URLs, or
    paths in a shared folder.

    Raises `UsageError` when Ray is not installed or has no device of the kind, `RdpError` when no actor can
    start or Ray itself fails.
    """
    try:
        import ray
    except ImportError as error:
        raise UsageError(f"the engine ray needs Ray: pip install 'rdpcodec[ray]' ({error})") from error
    if not tasks:
        return
    if not ray.is_initialized():
        ray.init(logging_level=logging.ERROR, log_to_driver=False)
    try:
        yield from _run(tasks, work, _usable_workers(workers, work.device), force)
    except ray.exceptions.RayError as error:
        raise RdpError(f"Ray: {str(error).strip().splitlines()[-1]}") from error


def _usable_workers(workers: int, device: str) -> int:
    """`workers`, but at most as many as the cluster has devices. Raises `UsageError` if it has none."""
    import ray

    if device != "cpu":
        workers = min(workers, int(ray.cluster_resources().get("GPU", 0)))
        if not workers:
            raise UsageError(f"device {device!r}: the Ray cluster has no GPUs")
    return workers


def _run(tasks: Sequence[Task], work: Work, workers: int, force: bool) -> Outcomes:
    """Give every actor one task after another, until none is left."""
    import ray

    cpus = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    share = min(sum(cpus) / workers, max(cpus))
    threads = max(1, int(share))
    actor: Any = ray.remote(num_cpus=min(share, threads), num_gpus=0 if work.device == "cpu" else 1)(_Actor)
    waiting = deque(tasks)
    busy: dict[ObjectRef[Outcome], tuple[Any, Task]] = {}

    def hand_out(worker: Any) -> None:
        task = waiting.popleft()
        worker = worker or actor.remote(work, force, threads)
        busy[worker.process.remote(task)] = worker, task

    try:
        for _ in range(min(workers, len(tasks))):
            hand_out(None)
        while busy:
            (result,), _ = ray.wait(list(busy))
            worker, task = busy.pop(result)
            try:
                outcome = ray.get(result)
            except ray.exceptions.RayActorError as error:
                if error.actor_init_failed:  # its __init__ raised, and the next would too
                    raise
                worker, outcome = None, lost(task)
            if waiting:
                hand_out(worker)
            yield outcome
    finally:
        for worker, _ in busy.values():
            ray.kill(worker)


class _Actor:
    """A worker process of Ray."""

    def __init__(self, work: Work, force: bool, threads: int) -> None:
        prepare(work, threads)
        self._work, self._force = work, force

    def process(self, task: Task) -> Outcome:
        return process(task, self._work, force=self._force)
