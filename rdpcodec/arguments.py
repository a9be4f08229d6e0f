"""Checks of what callers pass to a codec: lists of images, files, a realism to decode at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from rdpcodec.errors import RdpError, UsageError
from rdpcodec.file_type import SIGNATURE
from rdpcodec.files.source import File, is_file, named, read_source
from rdpcodec.format import container
from rdpcodec.format.container import Container, Header
from rdpcodec.operating_point import OperatingPoint


def as_list(items: Any) -> list[Any]:
    """The items of a batch as a list. Raises `UsageError` for a single item."""
    if not is_file(items) and getattr(items, "ndim", 4) == 4:
        with suppress(TypeError):
            return list(items)
    shape = f" of shape {tuple(items.shape)}" if hasattr(items, "shape") else ""
    raise UsageError(f"one {type(items).__name__}{shape} is not a batch: give a list")


@contextmanager
def collecting_errors(
    errors: dict[int, RdpError] | None, place: int, batch: Sequence[object]
) -> Iterator[None]:
    """Put an error into `errors`, under its place in the batch; raise it if `errors` is None. Errors and
    warnings name the file, or its place among several.
    """
    try:
        with named(batch[place], f"item {place}, counted from 0" if len(batch) > 1 else ""):
            yield
    except RdpError as error:
        if errors is None:
            raise
        errors[place] = error


def container_of(data: File, max_pixels: int) -> Container:
    """A parsed file. Raises `FormatError`, or `UsageError` if `data` is not a file or cannot be read."""
    if not is_file(data):
        raise UsageError(f"decompress takes a file's bytes or path, not {type(data).__name__}")
    content = read_source(data, UsageError, SIGNATURE)
    with named(data):
        return container.read(content, max_pixels)


def check_realism(realism: float | None) -> None:
    """Raise `UsageError` for a realism that no file can be decoded at. None means the file's own."""
    if isinstance(realism, str):
        raise UsageError(f"realism {realism!r}: decompression takes a number")
    if realism is not None:
        OperatingPoint(realism=realism)


def realism_in(header: Header, realism: float | None) -> float:
    """The realism to decode a file at: the one that was asked for, or the file's own."""
    check_realism(realism)
    return header.realism if realism is None else float(realism)
