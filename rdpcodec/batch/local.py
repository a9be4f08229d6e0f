"""Many images: the plan, the work on one image, and two engines that work through a plan.

`plan` says which file comes from which, before anything starts. `run_local` (processes of this machine) and
`run_ray` (actors of a Ray cluster) then yield an `Outcome` for every task as soon as it is finished, in any
order. Nothing here prints, and torch is imported in worker processes only.
"""

from __future__ import annotations

import io
import json
import logging
import multiprocessing
import os
import signal
import time
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from rdpcodec import container, storage
from rdpcodec.container import EXTENSION
from rdpcodec.errors import RdpError, UsageError
from rdpcodec.operating_point import OperatingPoint, Target
from rdpcodec.weights.manifest import DEFAULT_MODEL

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from ray import ObjectRef

# Pillow knows these formats but cannot decode them without a handler of the user's.
_UNDECODABLE = {"BUFR", "GRIB", "HDF5", "MPEG"}
_DIED = "the worker process died, perhaps for lack of memory: try fewer workers"


@dataclass(frozen=True)
class Task:
    """One image: paths or URLs."""

    source: str
    output: str


@dataclass(frozen=True)
class Outcome:
    """What became of a task: a line of the manifest."""

    source: str
    output: str
    bytes_before: int | None = None
    bytes_after: int | None = None
    bpp: float | None = None  # bits per pixel of the .rdpc file
    quality: float | None = None  # 0..100, of the .rdpc file
    seconds: float | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None  # one line that names the file

    def to_json(self) -> str:
        """One line, without what is not known."""
        return json.dumps({key: value for key, value in asdict(self).items() if value not in (None, ())})


@dataclass(frozen=True)
class Compression:
    """Pictures → .rdpc files. A target takes the place of the point's quality."""

    point: OperatingPoint = field(default_factory=OperatingPoint)
    target: Target | None = None
    model: str = DEFAULT_MODEL
    keep_metadata: bool = False
    device: str = "cpu"
    suffix: ClassVar[str] = EXTENSION

    def converted(self, data: bytes, task: Task) -> bytes:
        """The bytes of an image's file → those of its .rdpc file."""
        from rdpcodec.codec import shared_codec

        file = io.BytesIO(data)
        file.name = task.source  # for errors
        codec = shared_codec(self.model, self.device)
        try:
            return codec.compress(
                file,
                None if self.target else self.point.quality,
                target=self.target,
                realism=self.point.realism,
                effort=self.point.effort,
                keep_metadata=self.keep_metadata,
            )
        except UsageError as error:  # a target that this image cannot meet
            raise UsageError(f"{task.source}: {error}") from error

    @staticmethod
    def takes() -> set[str]:
        """Extensions of the files of a folder that are compressed."""
        from PIL import Image

        formats = Image.registered_extensions()
        return {
            suffix
            for suffix, name in formats.items()
            if name in Image.OPEN and name not in _UNDECODABLE and suffix != EXTENSION
        }


@dataclass(frozen=True)
class Decompression:
    """.rdpc files → images in the format of `suffix`; realism 0..1, None for the files' own."""

    suffix: str = ".png"
    realism: float | None = None
    device: str = "cpu"

    def converted(self, data: bytes, task: Task) -> bytes:
        """The bytes of an .rdpc file → those of an image's file."""
        from rdpcodec.codec import decompress
        from rdpcodec.image import encode_picture, writable_format

        try:
            image = decompress(data, realism=self.realism, device=self.device)
        except RdpError as error:
            raise type(error)(f"{task.source}: {error}") from error
        return encode_picture(image, writable_format(self.suffix), task.output)

    @staticmethod
    def takes() -> set[str]:
        """Extensions of the files of a folder that are decompressed."""
        return {EXTENSION}


Work = Compression | Decompression
Outcomes = Generator[Outcome, None, None]


# The plan.


def plan(sources: Sequence[str], destination: str, work: Work, *, recursive: bool = False) -> list[Task]:
    """The tasks of a run.

    sources: folders, whose files of a fitting extension are taken and keep their place below the folder;
    globs, below the last folder without a wildcard; files; and `@list.txt`, one path or URL a line, which
    keeps its folders (an absolute path those from the root). All may be URLs that fsspec knows. What folders
    and globs find hidden is left out.

    Raises `UsageError` when a source is missing, nothing is found, or two images would share an output, and
    `OutputError` when a list cannot be read.
    """
    root = _location(*storage.filesystem(destination)).rstrip("/")
    origins: dict[str, str] = {}
    for source in sources:
        for found, relative in _found(source, work, recursive):
            output = f"{root}/{relative.with_suffix(work.suffix)}"
            if origins.setdefault(output, found) != found:
                raise UsageError(
                    f"{output} would be written twice, from {origins[output]} and {found}: rename one"
                )
    if not origins:
        raise UsageError(f"{' '.join(sources)}: no {' or '.join(sorted(work.takes()))} files there")
    return [Task(found, output) for output, found in origins.items()]


def _found(source: str, work: Work, recursive: bool) -> Iterator[tuple[str, PurePosixPath]]:
    """Files of a source, each with its path below the destination."""
    if source.startswith("@"):
        lines = os.fsdecode(storage.read_file(source[1:])).replace("\r\n", "\n").split("\n")
        yield from (_listed(line) for line in lines if line.strip())
        return
    system, path = storage.filesystem(source)
    root = PurePosixPath(path)
    if system.isdir(path):
        suffixes = work.takes()
        for name in sorted(system.find(path, maxdepth=None if recursive else 1)):
            relative = PurePosixPath(name).relative_to(root)
            if relative.suffix.lower() in suffixes and not _hidden(relative):
                yield _location(system, name), relative
    elif system.exists(path):
        yield _location(system, path), PurePosixPath(root.name)
    else:
        while set("*?[") & set(str(root)):
            root = root.parent
        matches = [] if str(root) == path else system.glob(path, detail=True).values()
        names = sorted(match["name"] for match in matches if match["type"] != "directory")
        if not names:
            raise UsageError(f"{source}: no such file or folder, and a glob that matches none")
        for name in names:
            relative = PurePosixPath(name).relative_to(root)
            if not _hidden(relative):
                yield _location(system, name), relative


def _hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _listed(line: str) -> tuple[str, PurePosixPath]:
    """A line of a list, and its path below the destination."""
    system, path = storage.filesystem(line)
    relative = path if storage.is_url(line) else os.path.normpath(line)
    if relative.startswith(".."):
        raise UsageError(f"{line}: lies outside of the current folder; give its absolute path")
    return _location(system, path), PurePosixPath(relative.lstrip("/"))


def _location(system: AbstractFileSystem, path: str) -> str:
    """A URL, or an absolute path: it means the same in every process."""
    return path if storage.is_local(system) else str(system.unstrip_protocol(path))


# The work on one image.


def process(task: Task, work: Work, *, force: bool) -> Outcome:
    """Do one task. Whatever goes wrong is in the outcome: one bad image never stops the rest."""
    from rdpcodec.image import PictureWarning

    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PictureWarning)
        try:
            if not force and storage.exists(task.output):
                return exists_already(task)
            before = storage.read_file(task.source)
            after = work.converted(before, task)
            storage.write_file(task.output, after)
        except MemoryError:
            return _failed(task, f"{task.source}: not enough memory for an image of this size")
        except RdpError as error:
            return _failed(task, str(error))
        except Exception as error:
            return _failed(task, f"{task.source}: {type(error).__name__}: {error}")
    outcome = _done(task, work, len(before), len(after), after if isinstance(work, Compression) else before)
    messages = tuple(str(w.message) for w in caught if issubclass(w.category, PictureWarning))
    return replace(outcome, seconds=round(time.perf_counter() - started, 3), warnings=messages)


def done_before(task: Task, work: Work) -> Outcome:
    """The outcome of a task that an earlier run finished, as far as its files tell. Raises `RdpError`."""
    before, after = storage.size(task.source), storage.size(task.output)
    coded = task.output if isinstance(work, Compression) else task.source
    return _done(task, work, before, after, storage.read_file(coded, container.MAX_HEADER))


def exists_already(task: Task) -> Outcome:
    """The outcome of a task that would overwrite something."""
    return _failed(task, f"{task.output}: exists already; use --resume to go on, --force to overwrite")


def _done(task: Task, work: Work, before: int, after: int, head: bytes) -> Outcome:
    header, _ = container.read_header(head)
    coded = after if isinstance(work, Compression) else before
    bpp = round(8 * coded / (header.width * header.height), 4)
    return Outcome(task.source, task.output, before, after, bpp, header.quality)


def _failed(task: Task, error: str) -> Outcome:
    return Outcome(task.source, task.output, error=" ".join(error.split()))


# The engines.


@dataclass
class _Worker:
    process: SpawnProcess
    task: Task | None = None


def run_local(tasks: Sequence[Task], work: Work, *, workers: int, force: bool) -> Outcomes:
    """Work through `tasks` in `workers` processes, which share this machine's cores among them.

    Each process has one task at a time. So when one is killed, for lack of memory say, it is known which
    image was in work: that one fails, and a new process takes over. Closing the iterator ends all of them.

    Raises `UsageError` when the device cannot be used, `RdpError` when no process survives its start.
    """
    waiting = deque(tasks)
    crew: dict[Connection, _Worker] = {}
    threads = max(1, cores() // workers)
    context = multiprocessing.get_context("spawn")

    def hire() -> None:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, work, force, threads), daemon=True)
        process.start()
        theirs.close()  # so that the pipe ends when the process does
        crew[ours] = _Worker(process)

    try:
        for _ in range(min(workers, len(tasks))):
            hire()
        while crew:
            for connection in wait(list(crew)):
                assert isinstance(connection, Connection)
                worker = crew[connection]
                try:
                    message = connection.recv()
                except (EOFError, OSError):
                    del crew[connection]
                    worker.process.join()
                    cause = _cause_of_death(worker.process)
                    if worker.task:
                        storage.remove_partials([worker.task.output])
                        if waiting:
                            hire()
                        yield _failed(worker.task, f"{worker.task.source}: {cause}")
                    elif waiting and not crew:
                        raise RdpError(f"no worker process survives its start: {cause}") from None
                    continue
                if isinstance(message, RdpError):
                    raise message
                if waiting:
                    worker.task = waiting.popleft()
                    with suppress(OSError):  # that a process is dead is met when reading from it
                        connection.send(worker.task)
                else:
                    del crew[connection]
                    connection.close()  # ends the process
                    worker.process.join()
                if message is not None:
                    yield message
    finally:
        for worker in crew.values():
            worker.process.kill()
        for worker in crew.values():
            worker.process.join()
        storage.remove_partials(worker.task.output for worker in crew.values() if worker.task)


def _serve(connection: Connection, work: Work, force: bool, threads: int) -> None:
    """A worker process: sends None when ready, or why it cannot be; then an outcome for every task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the parent, which ends this process
    from rdpcodec.engine.torch import usable_device

    _limit_threads(threads)
    with suppress(EOFError, BrokenPipeError):  # there is no more work, or no parent
        try:
            usable_device(work.device)
        except UsageError as error:
            connection.send(error)
            return
        connection.send(None)
        while True:
            connection.send(process(connection.recv(), work, force=force))


def _limit_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cause_of_death(process: SpawnProcess) -> str:
    code = process.exitcode or 0
    how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
    return f"{_DIED} ({how})"


def run_ray(tasks: Sequence[Task], work: Work, *, workers: int, force: bool) -> Outcomes:
    """Work through `tasks` with up to `workers` actors of a Ray cluster: the one that is connected to or that
    `RAY_ADDRESS` names, otherwise one that is started on this machine.

    As in `run_local`, an actor has one task at a time: one that dies costs an image and is replaced. Closing
    the iterator ends all of them. Sources and outputs must mean the same on all machines: URLs, or paths of a
    shared folder.

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
    if work.device != "cpu":
        workers = min(workers, int(ray.cluster_resources().get("GPU", 0)))
        if not workers:
            raise UsageError(f"device {work.device!r}: the Ray cluster has no GPUs")
    cpus = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    share = min(sum(cpus) / workers, max(cpus))
    threads = max(1, int(share))
    actor = ray.remote(num_cpus=min(share, threads), num_gpus=0 if work.device == "cpu" else 1)(_Actor)
    waiting = deque(tasks)
    busy: dict[ObjectRef[Outcome], tuple[Any, Task]] = {}

    def hire() -> Any:
        return actor.remote(work, force, threads)

    def hand_out(worker: Any) -> None:
        task = waiting.popleft()
        busy[worker.process.remote(task)] = worker, task

    try:
        for _ in range(min(workers, len(tasks))):
            hand_out(hire())
        while busy:
            (result,), _ = ray.wait(list(busy))
            worker, task = busy.pop(result)
            try:
                outcome = ray.get(result)
            except ray.exceptions.RayActorError as error:
                if error.actor_init_failed:  # its __init__ raised, and the next would too
                    raise
                storage.remove_partials([task.output])
                outcome = _failed(task, f"{task.source}: {_DIED}")
                worker = None
            if waiting:
                hand_out(worker or hire())
            yield outcome
    except ray.exceptions.RayError as error:
        raise RdpError(f"Ray: {str(error).strip().splitlines()[-1]}") from error
    finally:
        for worker, _ in busy.values():
            ray.kill(worker)


class _Actor:
    """A worker process of Ray."""

    def __init__(self, work: Work, force: bool, threads: int) -> None:
        from rdpcodec.engine.torch import usable_device

        _limit_threads(threads)
        usable_device(work.device)
        self._work, self._force = work, force

    def process(self, task: Task) -> Outcome:
        return process(task, self._work, force=self._force)
