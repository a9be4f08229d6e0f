"""The engine that works through a plan with processes of this machine.

Libraries were tried. concurrent.futures fails all images in work when one worker dies, and cannot kill its
workers before Python 3.14. pebble 5.2 gives up the whole run without saying why when a worker dies at its
start, for lack of memory say. It also ends workers one by one, each after 3 s if it is inside torch.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from rdpcodec.batch.plan import Task
from rdpcodec.batch.work import DIED, Outcome, Outcomes, Work, lost, prepare, process
from rdpcodec.engine.threads import cores
from rdpcodec.errors import RdpError, UsageError
from rdpcodec.files import storage


def run_local(tasks: Sequence[Task], work: Work, *, workers: int, force: bool) -> Outcomes:
    """Work through `tasks` in `workers` processes, which share this machine's cores among them.

    Each process has one task at a time. So when one is killed, for lack of memory say, only its image fails,
    and a new process takes over. Closing the iterator ends all processes.

    Raises `UsageError` when the device cannot be used, `RdpError` when no process survives its start.
    """
    waiting = deque(tasks)
    threads = max(1, cores() // workers)
    alive: dict[Any, _Worker] = {}

    def start_worker() -> None:
        worker = _Worker(work, force, threads)
        alive[worker.connection] = worker

    try:
        for _ in range(min(workers, len(tasks))):
            start_worker()
        while alive:
            for connection in wait(list(alive)):
                worker = alive[connection]
                outcome = worker.receive()
                if worker.death:
                    del alive[connection]
                    # One that dies at its start is not replaced: the next would die too.
                    if worker.task and waiting:
                        start_worker()
                    elif waiting and not alive:
                        raise RdpError(f"every worker process died at its start: {worker.death}")
                elif waiting:
                    worker.send(waiting.popleft())
                else:
                    del alive[connection]
                    worker.end()
                if outcome:
                    yield outcome
    finally:
        _kill(list(alive.values()))


class _Worker:
    """A process with at most one task, seen from the parent."""

    def __init__(self, work: Work, force: bool, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work, force, threads), daemon=True)
        self.process.start()
        theirs.close()  # so that the pipe ends when the process does
        self.task: Task | None = None
        self.death = ""  # once it has died: the cause

    def send(self, task: Task) -> None:
        """Give it its next task."""
        self.task = task
        with suppress(OSError):  # a dead process is noticed when reading from it
            self.connection.send(task)

    def receive(self) -> Outcome | None:
        """The outcome of its task; None if it had no task, and is now ready or has died.

        Raises the `UsageError` that kept it from getting ready.
        """
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            self.death = _cause_of_death(self.process.exitcode or 0)
            return lost(self.task, self.death) if self.task else None
        if isinstance(message, UsageError):
            raise message
        return message

    def end(self) -> None:
        """Let it end: it waits for a task that will not come."""
        self.connection.close()
        self.process.join()


def _serve(connection: Connection, work: Work, force: bool, threads: int) -> None:
    """A worker process: sends None when ready, or the error that kept it; then an outcome per task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the parent, which ends this process
    with suppress(EOFError, BrokenPipeError):  # there is no more work, or no parent
        try:
            prepare(work, threads)
        except UsageError as error:
            connection.send(error)
            return
        connection.send(None)
        while True:
            connection.send(process(connection.recv(), work, force=force))


def _kill(workers: Sequence[_Worker]) -> None:
    """Kill processes, all at once, and remove what they left half written."""
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.join()
    storage.remove_partials(worker.task.output for worker in workers if worker.task)


def _cause_of_death(exit_code: int) -> str:
    if exit_code == 1:  # of an exception: a process imports the script that started it
        return "it raised an error; a script must begin the run under if __name__ == '__main__':"
    how = signal.Signals(-exit_code).name if exit_code < 0 else f"exit status {exit_code}"
    return f"{DIED} ({how})"
