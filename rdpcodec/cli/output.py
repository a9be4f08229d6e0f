"""Where the command line writes: files that appear whole or not at all, and progress for whoever waits."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from rdpcodec.errors import OutputError
from rdpcodec.storage import replace_file

STANDARD = Path("-")
# A bar that flashes up for a moment only disturbs.
_PATIENCE_SECONDS = 2.0


def read_input(path: Path) -> bytes:
    """The bytes of a file, or of standard input for `-`. Raises `OutputError` with the system's reason."""
    if path == STANDARD:
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror}") from error


def check_output(path: Path, force: bool) -> None:
    """Refuse early what `write_output` would refuse late. Raises `OutputError`."""
    if path == STANDARD:
        if sys.stdout.isatty():
            raise OutputError("standard output is a terminal: redirect it, or name an output file")
        return
    if path.exists() and not force:
        raise OutputError(f"{path}: exists already; use --force to overwrite it")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist")


def write_output(path: Path, data: bytes, force: bool) -> None:
    """Write a file whole: to a temporary name beside it, then renamed. Raises `OutputError`."""
    if path == STANDARD:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    check_output(path, force)
    try:
        replace_file(path, data)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error, once two seconds have passed, if that is a terminal.

    Yields the step function.
    """
    if not sys.stderr.isatty():
        yield lambda: None
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
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(label, total=total if total > 1 else None)
    timer = threading.Timer(_PATIENCE_SECONDS, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda: bar.advance(task)
    finally:
        timer.cancel()
        bar.stop()


@contextmanager
def named_warnings(name: object) -> Iterator[None]:
    """Show our warnings as one line each that names the image."""
    from rdpcodec.image import PictureWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PictureWarning)
        yield
    for warning in caught:
        if issubclass(warning.category, PictureWarning):
            click.echo(f"warning: {name}: {warning.message}", err=True)
