"""What users pass as a file: its bytes, its path, or an open binary file."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager
from inspect import iscoroutinefunction
from typing import Any, BinaryIO, TypeGuard

from rdpcodec.errors import OutputError, RdpError, about, reason

File = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO
"""The bytes of a file, its path, or an open binary file, which is read to its end.

Bytes are never a path: a path is a `str` or an `os.PathLike`.
"""
OPEN_AS_TEXT = "is open as text: open it in binary mode, 'rb'"
ASYNCHRONOUS = "is read asynchronously: give what `await file.read()` returns"
_NAMELESS = "the given data"
BYTES = (bytes, bytearray, memoryview)


def is_file(source: object) -> TypeGuard[File]:
    """Whether `source` is any kind of file."""
    return isinstance(source, (*BYTES, str, os.PathLike)) or hasattr(source, "read")


def is_asynchronous(source: object) -> bool:
    """Whether a file is read with `await`, as the uploads of web frameworks are."""
    return iscoroutinefunction(getattr(source, "read", None))


def name_of(source: Any) -> str:
    """The name of a file in messages."""
    if isinstance(source, (str, os.PathLike)):
        return os.fsdecode(source) or "''"
    name = getattr(source, "name", None)
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else _NAMELESS


def named(source: Any, otherwise: str = "") -> AbstractContextManager[None]:
    """Let our errors and warnings begin with the file's name; `otherwise` is for one without a name."""
    name = name_of(source)
    return about(otherwise if name == _NAMELESS else name)


def read_source(source: File, error: type[RdpError], start: bytes = b"") -> bytes:
    """All bytes of a file. Raises `error`, with the file's name, where it cannot be read.

    start: what it must begin with. Of any other file no more than that is read: it may be long, or endless.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if is_asynchronous(source):
        raise error(f"{name_of(source)}: {ASYNCHRONOUS}")
    try:
        if isinstance(source, (str, os.PathLike)):
            with open(source, "rb") as file:
                return _read(file, start)
        data: object = _read(source, start)
    except UnicodeDecodeError:
        raise error(f"{name_of(source)}: {OPEN_AS_TEXT}") from None
    except FileNotFoundError:
        raise error(f"{name_of(source)}: no such file") from None
    except (OSError, ValueError) as cause:  # ValueError: a closed file, a path with a null character
        raise error(f"{name_of(source)}: cannot be read: {reason(cause)}") from cause
    if data is None:
        raise error(f"{name_of(source)}: has no data yet")
    if not isinstance(data, bytes):
        raise error(f"{name_of(source)}: {OPEN_AS_TEXT}")
    return data


def _read(file: BinaryIO, start: bytes) -> bytes:
    begun = file.read(len(start)) if start else b""
    while isinstance(begun, bytes) and 0 < len(begun) < len(start):  # an unbuffered pipe gives what it has
        if not (more := file.read(len(start) - len(begun))):
            break
        begun += more
    return begun + file.read() if begun == start else begun


def standard_input() -> BinaryIO:
    """Standard input, as bytes. Raises `OutputError` where it is closed."""
    if sys.stdin is None:
        raise OutputError("standard input is closed")
    return sys.stdin.buffer
