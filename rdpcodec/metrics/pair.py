"""What the metrics of 8-bit images take: two arrays that can be compared."""

from __future__ import annotations

import numpy as np

from rdpcodec.errors import UsageError


def check_pair(reference: np.ndarray, decoded: np.ndarray) -> None:
    """Raise `UsageError` unless both are uint8 arrays `[H, W, 3]` of one shape.

    Pixels as floats in 0..1 would give values without any meaning.
    """
    check_values(reference, decoded)
    if reference.ndim != 3 or reference.shape[2] != 3:
        raise UsageError(f"an array of shape {reference.shape}: metrics take [height, width, 3]")


def check_values(reference: np.ndarray, decoded: np.ndarray) -> None:
    """Raise `UsageError` unless both are uint8 arrays of one shape."""
    for image in (reference, decoded):
        if not isinstance(image, np.ndarray):
            raise UsageError(f"{type(image).__name__}: metrics take NumPy arrays")
        if image.dtype != np.uint8:
            raise UsageError(f"an array of {image.dtype}: metrics take uint8, 0..255")
    if reference.shape != decoded.shape:
        raise UsageError(f"shapes differ: {reference.shape} and {decoded.shape}")
