"""The errors and warnings a user can meet. Every message names the file or value, what is wrong with it and
what to do.
"""

from __future__ import annotations


class RdpError(Exception):
    """Base of all errors that rdpcodec raises on purpose."""


class UsageError(RdpError, ValueError):
    """An argument that is out of range, contradicts another or asks for what the weights cannot do."""


class PictureError(RdpError, ValueError):
    """An image that cannot be read or is of a kind the codec does not take."""


class FormatError(RdpError, ValueError):
    """Bytes that are not a valid .rdpc file: truncated, corrupted, hostile, or of a newer version."""


class WeightsError(RdpError):
    """Weights that are missing, damaged, or not those a file was made with."""


class OutputError(RdpError, OSError):
    """An output that exists already or cannot be written."""


class RdpWarning(UserWarning):
    """Base of all warnings that rdpcodec gives on purpose."""


class PictureWarning(RdpWarning):
    """Something of the source is not in the coded file, or something of the file is not in the image."""


class TargetWarning(RdpWarning):
    """A target that every quality meets: the file is the best or the smallest that there is."""


def reason(error: BaseException) -> str:
    """Any exception in one line: what the system says, or the exception's own words, or its kind."""
    words = getattr(error, "strerror", None) or str(error)
    return " ".join(str(words).split()) or type(error).__name__
