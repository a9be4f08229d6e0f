"""A run through a plan: what is done already stays, the rest is worked on, and the manifest hears of all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from numbers import Integral
from pathlib import Path

from rdpcodec.batch.local import run_local
from rdpcodec.batch.manifest import Manifest
from rdpcodec.batch.plan import Task
from rdpcodec.batch.ray import run_ray
from rdpcodec.batch.work import Outcome, Outcomes, Work, exists_already
from rdpcodec.engine.threads import cores
from rdpcodec.errors import OutputError, UsageError
from rdpcodec.files import storage

ENGINES: dict[str, Callable[..., Outcomes]] = {"local": run_local, "ray": run_ray}
"""What works through tasks: processes of this machine, or a Ray cluster."""


@dataclass(frozen=True)
class RunOptions:
    """How to run. At most one of `resume` and `force`: without either, an output that exists is an error.

    engine: a name in `ENGINES`; workers: processes, or actors of the cluster, by default one for each core;
    resume: skip tasks whose output exists; force: overwrite outputs; manifest: the path of a file that gets a
    line for each outcome, see `Manifest`.
    """

    engine: str = "local"
    workers: int | None = None
    resume: bool = False
    force: bool = False
    manifest: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        """Raise `UsageError` for an unknown engine, for workers that are no count, and for both ways to treat
        outputs that exist.
        """
        if self.engine not in ENGINES:
            raise UsageError(f"engine {self.engine!r}: must be one of {', '.join(ENGINES)}")
        count = self.workers
        if count is not None and (isinstance(count, bool) or not isinstance(count, Integral) or count < 1):
            raise UsageError(f"{count!r} workers: give a whole number from 1 on, or None for one a core")
        if self.resume and self.force:
            raise UsageError("resume keeps outputs that exist, force overwrites them: give one of the two")


@dataclass
class Run:
    """A run that has begun: iterate over it for the outcomes, which come as soon as they are known."""

    total: int
    """How many outcomes there will be."""
    present: int
    """How many tasks need no work, because their output exists."""
    outcomes: Iterator[Outcome]

    def __iter__(self) -> Iterator[Outcome]:
        return self.outcomes


@contextmanager
def begun(
    tasks: Sequence[Task],
    work: Work,
    destination: str | os.PathLike[str],
    options: RunOptions | None = None,
) -> Iterator[Run]:
    """Begin to work through `tasks`, whose outputs lie in the folder `destination`. Leaving the context ends
    all workers.

    Raises `UsageError` for a destination in memory, which would end with the workers, `OutputError` when the
    folder or the manifest cannot be written, and what the engine raises.
    """
    options, folder = options or RunOptions(), os.fspath(destination)
    if storage.is_in_memory(folder):
        raise UsageError(f"{folder}: is the memory of the workers, which ends with them: give another folder")
    there = set() if options.force else storage.existing(task.output for task in tasks)
    missing = [task for task in tasks if task.output not in there]
    present = [task for task in tasks if task.output in there]
    with Manifest(Path(options.manifest)) if options.manifest else nullcontext() as manifest:
        storage.make_folder(folder)
        if missing:
            _check_writable(folder)
        if options.resume:
            storage.remove_partials(task.output for task in missing)
            refused = manifest.complete(present, work) if manifest else []
        else:
            refused = [exists_already(task) for task in present]
        # A worker that outlived a killed run may still finish its image: not a conflict, but the same file.
        overwrite = options.force or options.resume
        engine, workers = ENGINES[options.engine], options.workers or cores()
        with closing(engine(missing, work, workers=workers, force=overwrite)) as worked:
            outcomes = _noted(chain(refused, worked), manifest)
            yield Run(len(missing) + len(refused), len(present) - len(refused), outcomes)


def _noted(outcomes: Iterator[Outcome], manifest: Manifest | None) -> Iterator[Outcome]:
    """Outcomes, each of which the manifest has before it is passed on."""
    for outcome in outcomes:
        if manifest:
            manifest.append(outcome)
        yield outcome


def _check_writable(destination: str) -> None:
    """Raise `OutputError` for a folder of this machine in which no file can be made."""
    system, path = storage.filesystem(destination)
    if storage.is_local(system) and os.path.isdir(path) and not os.access(path, os.W_OK | os.X_OK):
        fix = "change its permissions, or give another folder"
        raise OutputError(f"{destination}: no files can be made in this folder: {fix}")
