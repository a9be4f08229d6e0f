"""A progress bar for whoever waits at a terminal, and output that does not get in its way."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE_SECONDS = 2.0
"""How long a command runs before it shows a bar: one that only flashes up would disturb."""


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a standard stream is a terminal; a closed one is not."""
    return stream is not None and stream.isatty()


class Bar:
    """A progress bar on standard error, or none. While there may be one, print only through this class."""

    def __init__(self, shown: tuple[Progress, TaskID] | None) -> None:
        self._shown = shown

    def step(self) -> None:
        """Count one more as done."""
        if self._shown:
            progress, task = self._shown
            progress.advance(task)

    def update(self, **changes: Any) -> None:
        """Redraw with new values: `completed`, `total`, and what else the bar's columns show."""
        if self._shown:
            progress, task = self._shown
            progress.update(task, **changes)

    def echo(self, line: str, err: bool = False) -> None:
        """Print a line to standard output or standard error; on a terminal, above the bar."""
        stream = sys.stderr if err else sys.stdout
        if self._shown and is_terminal(stream):
            console = self._shown[0].console
            console.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)
        else:
            click.echo(line, err=err)


@contextmanager
def progress(label: str, total: int, *, shown: bool = True) -> Iterator[Bar]:
    """A bar on a terminal that shows how many of `total` are done, once two seconds have passed."""
    if not shown or not is_terminal(sys.stderr):
        yield Bar(None)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = [TextColumn(label), BarColumn(), TimeElapsedColumn()]
    if total > 1:
        columns += [MofNCompleteColumn(), TimeRemainingColumn()]
    # Lines go through `Bar.echo`; redirected lines would reach the wrong stream.
    bar = Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    task = bar.add_task(label, total=total if total > 1 else None)
    timer = threading.Timer(PATIENCE_SECONDS, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield Bar((bar, task))
    finally:
        timer.cancel()
        timer.join()
        bar.stop()
