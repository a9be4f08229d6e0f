"""Worker processes of a run: those that die, and those that the run ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest
from batch_tasks import reader_of, slow_image

from rdpcodec import RdpError, UsageError
from rdpcodec.batch.local import run_local
from rdpcodec.batch.plan import Task
from rdpcodec.batch.work import Compression
from rdpcodec.engine.threads import chosen_threads


def tasks_of(sources: list[Path], out: Path) -> list[Task]:
    return [Task(str(source), str(out / f"{source.name}.rdpc")) for source in sources]


def test_a_killed_worker_costs_the_image_in_work_and_is_replaced(folder: Path, tmp_path: Path) -> None:
    slow = slow_image(tmp_path / "slow.png")
    tasks = tasks_of([slow, folder / "a.png", folder / "b.JPG"], tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".slow.png.rdpc.0123abcd.partial").touch()  # as if it were killed while writing

    def kill() -> None:
        descriptor = reader_of(slow)
        (worker,) = multiprocessing.active_children()
        os.kill(worker.pid or 0, signal.SIGKILL)
        worker.join()
        os.close(descriptor)

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes = {o.source: o.error for o in run_local(tasks, Compression(), workers=1, force=False)}
    killer.join()
    assert "worker process died" in (outcomes.pop(str(slow)) or "")
    assert list(outcomes.values()) == [None, None]
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png.rdpc", "b.JPG.rdpc"]


def arrive(obituary: Path, survivors: bool) -> Compression:
    """What a worker process unpickles at its start. It kills each process, or only the first one."""
    with suppress(FileExistsError):
        obituary.mkdir()
        os.kill(os.getpid(), signal.SIGKILL)
    if not survivors:
        os.kill(os.getpid(), signal.SIGKILL)
    return Compression()


@dataclass(frozen=True)
class DeadlyStart(Compression):
    """Work that kills the first process that it reaches, or all of them."""

    obituary: Path = Path()
    survivors: bool = False

    def __reduce__(self) -> tuple[object, ...]:
        return arrive, (self.obituary, self.survivors)


def test_a_run_whose_only_worker_dies_at_its_start_ends_with_an_error(folder: Path, tmp_path: Path) -> None:
    work = DeadlyStart(obituary=tmp_path / "dead")
    with pytest.raises(RdpError, match=r"every worker process died at its start: .*SIGKILL"):
        list(run_local(tasks_of([folder / "a.png"], tmp_path), work, workers=1, force=False))


def test_a_script_that_starts_workers_while_it_is_imported_is_told_how_to_start_them(
    folder: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from rdpcodec.batch.plan import Task\nfrom rdpcodec.batch.local import run_local\n"
        "from rdpcodec.batch.work import Compression\n"
        f"task = Task({str(folder / 'a.png')!r}, {str(tmp_path / 'a.rdpc')!r})\n"
        "list(run_local([task], Compression(), workers=1, force=False))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "a script must begin the run under if __name__ == '__main__':" in done.stderr.splitlines()[-1]


def test_a_worker_that_dies_at_its_start_costs_no_image_while_another_lives(
    folder: Path, tmp_path: Path
) -> None:
    work = DeadlyStart(obituary=tmp_path / "dead", survivors=True)
    tasks = tasks_of([folder / "a.png", folder / "b.JPG"], tmp_path / "out")
    outcomes = list(run_local(tasks, work, workers=2, force=False))
    assert (tmp_path / "dead").exists()
    assert [outcome.error for outcome in outcomes] == [None, None]


def test_closing_the_iterator_ends_the_workers(folder: Path, tmp_path: Path) -> None:
    slow = slow_image(tmp_path / "slow.png")
    outcomes = run_local(
        tasks_of([folder / "a.png", slow], tmp_path / "out"), Compression(), workers=1, force=False
    )
    assert next(outcomes).error is None
    (tmp_path / "out" / ".slow.png.rdpc.0123abcd.partial").touch()  # as if it were being written
    outcomes.close()
    assert not multiprocessing.active_children()
    assert os.listdir(tmp_path / "out") == ["a.png.rdpc"]


def test_a_device_that_is_not_there_ends_the_run_at_once(folder: Path, tmp_path: Path) -> None:
    tasks = tasks_of([folder / "a.png"] * 3, tmp_path)
    with pytest.raises(UsageError, match="device 'tpu9' cannot be used"):
        list(run_local(tasks, Compression(device="tpu9"), workers=1, force=False))
    assert not multiprocessing.active_children()


def test_an_interrupt_is_not_for_the_workers(folder: Path, tmp_path: Path) -> None:
    slow, image = slow_image(tmp_path / "slow.png"), (folder / "a.png").read_bytes()

    def interrupt() -> None:
        descriptor = reader_of(slow)
        (worker,) = multiprocessing.active_children()
        os.kill(worker.pid or 0, signal.SIGINT)
        os.write(descriptor, image)
        os.close(descriptor)

    interrupter = threading.Thread(target=interrupt)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # so no worker inherits SIG_IGN
    interrupter.start()
    try:
        (outcome,) = run_local(tasks_of([slow], tmp_path / "out"), Compression(), workers=1, force=False)
    finally:
        interrupter.join()
        signal.signal(signal.SIGINT, handler)
    assert outcome.error is None


@dataclass(frozen=True)
class ThreadsTold(Compression):
    """Work whose error is the number of threads that its process has."""

    def converted(self, data: bytes, task: Task) -> bytes:
        raise UsageError(str(chosen_threads()))


@pytest.mark.parametrize(("workers", "threads"), [(3, 2), (9, 1)])
def test_workers_share_the_cores_and_are_no_more_than_the_images(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, threads: int
) -> None:
    started = []
    start = SpawnProcess.start

    def counted(process: SpawnProcess) -> None:
        started.append(process)
        start(process)

    monkeypatch.setattr(SpawnProcess, "start", counted)
    monkeypatch.setattr("rdpcodec.batch.local.cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    tasks = tasks_of([folder / "a.png"], tmp_path / "out")
    (outcome,) = run_local(tasks, ThreadsTold(), workers=workers, force=False)
    assert outcome.error == str(threads)
    assert len(started) == 1
    assert list(run_local([], ThreadsTold(), workers=workers, force=False)) == []
    assert len(started) == 1
