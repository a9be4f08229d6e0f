"""What the command line reads and writes: files that appear whole or not at all, and warnings."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from rdpcodec.errors import OutputError, RdpWarning
from rdpcodec.storage import replace_file, replaceable

STANDARD = Path("-")


def read_input(path: Path) -> bytes:
    """The bytes of a file, or of standard input for `-`. Raises `OutputError` with the system's reason."""
    if path == STANDARD:
        if sys.stdin is None:
            raise OutputError("standard input is closed")
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror}") from error


def image_source(path: Path) -> Path | io.BytesIO:
    """What `rdpcodec.compress` reads an image from: the file itself, or what standard input gives for `-`."""
    return io.BytesIO(read_input(path)) if path == STANDARD else path


def check_output(path: Path, force: bool) -> None:
    """Refuse early what `write_output` would refuse late. Raises `OutputError`."""
    if path == STANDARD:
        if sys.stdout is None:
            raise OutputError("standard output is closed")
        if sys.stdout.isatty():
            raise OutputError("standard output is a terminal: redirect it, or name an output file")
        return
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist")
    try:
        replaceable(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    if os.path.lexists(path) and not force:
        raise OutputError(f"{path}: exists already; use --force to overwrite it")


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
def named_warnings(name: object, echo: Callable[..., None] = click.echo) -> Iterator[list[str]]:
    """Show our warnings as one line each that names the image, at the end; the list then holds them.

    echo: what prints them, as click's does.
    """
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RdpWarning)
        yield messages
    messages += [str(w.message) for w in caught if issubclass(w.category, RdpWarning)]
    for message in messages:
        echo(f"warning: {name}: {message}", err=True)
