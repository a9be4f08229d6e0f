"""What the command line reads and writes: files that appear whole or not at all, and warnings."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rdpcodec.errors import OutputError, UsageError, collected_warnings, reason
from rdpcodec.file_type import EXTENSION, SIGNATURE
from rdpcodec.files.source import read_source, standard_input
from rdpcodec.files.whole_files import create_file, replace_file, replaceable

if TYPE_CHECKING:
    from rdpcodec.image import ImageData

STANDARD = Path("-")


def read_coded(path: Path) -> bytes:
    """The bytes of an .rdpc file, or of standard input for `-`.

    Raises `OutputError` with the system's reason, `UsageError` for a folder.
    """
    _refuse_folder(path, EXTENSION)
    return read_source(standard_input() if path == STANDARD else path, OutputError, SIGNATURE)


def image_source(path: Path) -> Path | io.BytesIO:
    """What `rdpcodec.compress` reads an image from: the file itself, or standard input for `-`.
    Raises `UsageError` for a folder.
    """
    _refuse_folder(path, ".png")
    if path != STANDARD:
        return path
    data = io.BytesIO(read_source(standard_input(), OutputError))
    data.name = str(STANDARD)  # for messages
    return data


def read_image(path: Path, echo: Callable[..., None] = click.echo) -> ImageData:
    """The image of a file, or of standard input for `-`. Warnings are shown by `named_warnings`.

    Raises `ImageError`, and `UsageError` for a folder.
    """
    from rdpcodec.image import load_image

    with named_warnings(path, echo):
        return load_image(image_source(path))


def _refuse_folder(path: Path, suffix: str) -> None:
    """Raise `UsageError` for a folder that was given in place of files. suffix: one that they may have."""
    if path != STANDARD and os.path.isdir(path):
        raise UsageError(f"{path}: is a folder: give the files in it, such as {path / ('*' + suffix)}")


def check_output(path: Path, force: bool) -> None:
    """Refuse early what `write_output` would refuse late. Raises `OutputError`."""
    if path == STANDARD:
        if sys.stdout is None:
            raise OutputError("standard output is closed")
        if sys.stdout.isatty():
            raise OutputError("standard output is a terminal: redirect it, or name an output file")
        return
    try:
        replaceable(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    if not os.path.isdir(path.parent):
        raise OutputError(f"{path}: the folder {path.parent} does not exist")
    if os.path.lexists(path) and not force:
        raise _exists(path)
    try:
        folder = os.path.dirname(os.path.realpath(path))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: the current folder: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: cannot be written: no files can be made in its folder")


def _exists(path: Path) -> OutputError:
    return OutputError(f"{path}: already exists; use --force to overwrite it")


def write_output(path: Path, data: bytes, force: bool) -> None:
    """Write a file whole: under a temporary name beside it, then renamed. Raises `OutputError`, without
    `force` also for a file that another run has made in the meantime.
    """
    if path == STANDARD:
        try:
            rest = memoryview(data)
            while rest:  # without a buffer (PYTHONUNBUFFERED) a write may take only a part
                rest = rest[sys.stdout.buffer.write(rest) :]
            sys.stdout.buffer.flush()
        except OSError as error:
            raise OutputError(f"standard output: cannot be written: {reason(error)}") from error
        return
    check_output(path, force)
    try:
        (replace_file if force else create_file)(path, data)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def end(errors: int, total: int) -> None:
    """End a command with status 1 if any of its files failed, and say how many."""
    if errors and total > 1:
        click.echo(f"error: {errors} of {total} failed", err=True)
    if errors:
        sys.exit(1)


@contextmanager
def named_warnings(name: object, echo: Callable[..., None] = click.echo) -> Iterator[list[str]]:
    """Show our warnings at the end, one line each, with the image's name. The list then holds them.

    echo: prints a line, as `click.echo` does.
    """
    with collected_warnings() as messages:
        yield messages
    for message in messages:
        echo(f"warning: {name}: {message}", err=True)
