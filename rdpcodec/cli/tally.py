"""The results of a batch so far: as numbers, as a line at the end, and as a bar meanwhile."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rdpcodec.cli.progress import Bar, is_terminal

if TYPE_CHECKING:
    from rdpcodec.batch.work import Outcome


@dataclass
class Tally:
    """Counts of a run since its start. total: images to work on; present: those that need no work."""

    total: int
    present: int = 0
    done: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    errors: list[str] = field(default_factory=list)
    interrupted: bool = False
    started: float = field(default_factory=time.monotonic)

    def add(self, outcome: Outcome) -> None:
        """Count the outcome of one image."""
        if outcome.error is not None:
            self.errors.append(outcome.error)
            return
        self.done += 1
        self.bytes_before += outcome.bytes_before or 0
        self.bytes_after += outcome.bytes_after or 0

    def rate(self) -> str:
        """Images per second since the start."""
        return f"{self.done / max(time.monotonic() - self.started, 1e-3):.1f} images/s"

    def saved(self) -> str:
        """How much smaller the outputs are than their sources."""
        from rich.filesize import decimal

        saved = self.bytes_before - self.bytes_after
        return f"{decimal(abs(saved))} {'saved' if saved >= 0 else 'added'}"

    def summary(self) -> str:
        """All of it in one line."""
        from rich.filesize import decimal

        seconds = time.monotonic() - self.started
        sizes = f"{decimal(self.bytes_before)} → {decimal(self.bytes_after)}"
        done = f"{self.done} of {self.total} images in {seconds:.0f} s"
        present = f"; {self.present} were there already" if self.present else ""
        return f"{done}, {self.rate()}, {sizes}, {self.saved()}{present}"

    def record(self) -> dict[str, Any]:
        """All of it for programs."""
        return {
            "images": self.total,
            "done": self.done,
            "failed": len(self.errors),
            "present": self.present,
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "seconds": round(time.monotonic() - self.started, 1),
            "interrupted": self.interrupted,
        }

    def shown(self) -> dict[str, Any]:
        """What the columns of `tally_bar` show."""
        return {
            "completed": self.done + len(self.errors),
            "total": self.total,
            "rate": self.rate(),
            "saved": self.saved(),
        }


@contextmanager
def tally_bar(tally: Tally, *, shown: bool = True) -> Iterator[Bar]:
    """A bar on standard error, if that is a terminal. `Bar.update(**tally.shown())` redraws it."""
    if not shown or not is_terminal(sys.stderr):
        yield Bar(None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}, {task.fields[saved]},"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bar((progress, progress.add_task("", **tally.shown())))
