"""Checks of what callers pass to a codec: quality or target, point, lists of images, files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from rdpcodec import container
from rdpcodec.container import Container, Header
from rdpcodec.errors import RdpError, UsageError, warn
from rdpcodec.operating_point import OperatingPoint, Quality, Realism
from rdpcodec.source import File, is_file, named, read_source
from rdpcodec.targets import Target


def point_from_settings(
    quality: Quality | OperatingPoint | None,
    target: Target | None,
    realism: Realism | None,
    effort: int | None,
) -> OperatingPoint:
    """The operating point for one image: made from the arguments, or given in place of the quality. A realism
    or an effort beside it replaces its own.
    """
    given = {"realism": realism, "effort": effort}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if not isinstance(quality, OperatingPoint):
        return OperatingPoint(quality_of(quality, target), **changes)
    if target is not None:
        raise UsageError(f"{quality} and target {target}: give one of them")
    return replace(quality, **changes)


def quality_of(quality: Quality | None, target: Target | None) -> Quality:
    """The quality that the arguments ask for, including `target` as in version 0.1."""
    if target is None:
        return 50.0 if quality is None else quality
    warn("target=… is deprecated: give the target as quality", DeprecationWarning)
    if quality is not None:
        raise UsageError(f"quality {quality} and target {target}: give one of them")
    if not isinstance(target, Target):
        raise UsageError(f"target {target!r}: give a rdpcodec.Target, such as Target.bpp(0.3)")
    return target


def point_of(point: Quality | OperatingPoint | None, quality: Quality | None = None) -> OperatingPoint:
    """The operating point for a batch, given as a point or as a quality."""
    if point is not None and quality is not None:
        raise UsageError(f"quality {quality} and {point}: give one of them")
    chosen = quality if point is None else point
    if chosen is None:
        return OperatingPoint()
    return chosen if isinstance(chosen, OperatingPoint) else OperatingPoint(chosen)


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
    content = read_source(data, UsageError, container.SIGNATURE)
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
