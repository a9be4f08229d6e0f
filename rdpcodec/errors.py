"""The errors and warnings a user can meet. Every message names the file or value, what is wrong with it and
what to do.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Warnings never point at lines in these packages: ours, and Pillow, which calls our plugin.
_INSIDE = ("rdpcodec", "PIL")
_subject: ContextVar[str] = ContextVar("subject", default="")
_SPACE = re.compile(r"\s+")


class RdpError(Exception):
    """Base of all errors that rdpcodec raises on purpose."""


class UsageError(RdpError, ValueError):
    """An argument that is out of range, contradicts another or asks for what the weights cannot do."""


class ImageError(RdpError, ValueError):
    """An image that cannot be read or is of a kind the codec does not take."""


class FormatError(RdpError, ValueError):
    """Bytes that are not a valid .rdpc file: truncated, corrupted, hostile, or of a newer version."""


class WeightsError(RdpError):
    """Weights that are missing, damaged, or not those a file was made with."""


class OutputError(RdpError, OSError):
    """An output that already exists or cannot be written."""


class RdpWarning(UserWarning):
    """Base of all warnings that rdpcodec gives on purpose."""


class ImageWarning(RdpWarning):
    """Part of the source is not in the coded file, or part of the file is not in the image."""


class TargetWarning(RdpWarning):
    """A target that every quality meets, so that the file is the best or the smallest that there is; or one
    that no quality is near, since its cost jumps from one quality to the next.
    """


def reason(error: BaseException) -> str:
    """Any exception in one line: what the system says, or the exception's own words, or its kind."""
    words = getattr(error, "strerror", None) or str(error)
    return " ".join(str(words).split()) or type(error).__name__


def one_line(message: str) -> str:
    """A message without its line breaks and the white space around them. Other white space stays as it is: it
    may be part of a name.
    """
    return _SPACE.sub(_without_breaks, message)


def _without_breaks(space: re.Match[str]) -> str:
    if space[0].splitlines() == [space[0]]:
        return space[0]
    within = space.start() > 0 and space.end() < len(space.string)
    return " " * within


def in_a_line(error: Exception, source: object) -> str:
    """Any exception from work on one file, as one line that names the file."""
    if isinstance(error, RdpError):
        message = str(error)
    elif isinstance(error, MemoryError):
        message = f"{source}: not enough memory for an image of this size"
    else:
        message = f"{source}: {type(error).__name__}: {' '.join(str(error).split())}"
    return one_line(message)


@contextmanager
def about(name: str) -> Iterator[None]:
    """Let our errors and warnings begin with the name of what they are about. "" leaves them as they are."""
    token = _subject.set(name or _subject.get())
    try:
        yield
    except RdpError as error:
        if not name or str(error).startswith(f"{name}:"):
            raise
        raise type(error)(f"{name}: {error}") from error
    finally:
        _subject.reset(token)


def warn(message: str, kind: type[Warning]) -> None:
    """Give a warning at the line of the user's code that called the package, however deep inside it we are.
    Python shows and counts warnings by their lines and words.
    """
    if (name := _subject.get()) and not message.startswith(f"{name}:"):
        message = f"{name}: {message}"
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _INSIDE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, kind, stacklevel=level)


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Keep warnings from being shown. The list holds the messages of ours when the context ends."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RdpWarning)
        try:
            yield messages
        finally:
            messages += [str(w.message) for w in caught if issubclass(w.category, RdpWarning)]
