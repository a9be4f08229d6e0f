"""NumPy arrays and torch tensors → pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rdpcodec.errors import ImageError, ImageWarning, warn
from rdpcodec.image.image_data import ImageData
from rdpcodec.limits import MAX_PIXELS, check_size


def to_eight_bits(values: np.ndarray) -> np.ndarray:
    """16-bit values → uint8, rounded."""
    if values.min() < 0 or values.max() > 65_535:
        raise ImageError("pixel values lie outside 0..65535")
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def warn_if_narrow(highest: int, top: int, tone: str = "black") -> None:
    """Warn with `ImageWarning` of values that use an eighth of their range or less: they may be those of 8 or
    12 bits. highest: the highest value of any colour; top: the end of the range; tone: what zero stands for.
    """
    if 0 < highest <= top // 8:
        warn(
            f"the values reach only {highest} of {top}, so the image will be nearly {tone}: scale them first",
            ImageWarning,
        )


def _outside(kind: str, low: float, high: float) -> ImageError:
    """The error for floating-point values from `low` to `high`, both NaN if any value is."""
    if math.isnan(low):
        found = "has NaN in it: replace it first"
    elif high > 2:
        found = f"has values from {low!r} to {high!r}: divide them by their full scale, such as 255"
    else:
        found = f"has values from {low!r} to {high!r}: clip them"
    return ImageError(f"a floating-point {kind} must lie in [0, 1], and this one {found}")


def from_array(array: np.ndarray, max_pixels: int = MAX_PIXELS) -> ImageData:
    """A NumPy array as `load_image` takes it. Raises `ImageError`."""
    array = np.asarray(array)  # a subclass may index in its own way
    sixteen_bits = array.dtype.newbyteorder("=") == np.uint16
    if sixteen_bits:
        warn("16 bits a channel are coded as 8", ImageWarning)
    elif np.issubdtype(array.dtype, np.floating):
        if not bool(((array >= 0) & (array <= 1)).all()):
            raise _outside("array", float(array.min()), float(array.max()))
        array = np.rint(array.astype(np.float32) * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ImageError(
            f"an array of {array.dtype} has no defined range: give uint8, uint16 or floating point in [0, 1]"
        )
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise ImageError(
            f"an array of shape {array.shape} is not an image: give [H, W] or [H, W, C], C = 1 to 4"
        )
    check_size(array.shape[1], array.shape[0], ImageError, max_pixels)
    gray = array.shape[2] < 3
    if sixteen_bits:
        warn_if_narrow(int(array[:, :, : 1 if gray else 3].max()), 65_535)
        array = to_eight_bits(array)
    alpha = np.ascontiguousarray(array[:, :, -1]) if array.shape[2] in (2, 4) else None
    pixels = np.repeat(array[:, :, :1], 3, axis=2) if gray else np.ascontiguousarray(array[:, :, :3])
    return ImageData(pixels, gray, alpha)


def from_tensor(tensor: Any, max_pixels: int = MAX_PIXELS) -> ImageData:
    """A torch tensor as `load_image` takes it. Raises `ImageError`."""
    if str(tensor.layout) != "torch.strided" or tensor.is_meta:
        raise ImageError("a sparse or meta tensor has no pixels to read: give a dense one")
    if tensor.ndim == 4:
        if tensor.shape[0] != 1:
            raise ImageError(f"a batch of {tensor.shape[0]} images: use Codec.compress_batch")
        tensor = tensor[0]
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 2, 3, 4):
        raise ImageError(
            f"a tensor of shape {tuple(tensor.shape)} is not an image: "
            "give [C, H, W] or [1, C, H, W], C = 1 to 4"
        )
    if tensor.is_floating_point() and tensor.element_size() == 1:
        tensor = tensor.float()  # comparisons are not defined for 8-bit floating point
    if tensor.is_floating_point():
        if not bool(((tensor >= 0) & (tensor <= 1)).all()):
            raise _outside("tensor", float(tensor.min()), float(tensor.max()))
        tensor = (tensor.float() * 255).round()
    elif str(tensor.dtype) != "torch.uint8":
        raise ImageError(
            f"a tensor of {tensor.dtype} has no defined range: give uint8 or floating point in [0, 1]"
        )
    return from_array(tensor.detach().cpu().permute(1, 2, 0).numpy().astype(np.uint8), max_pixels)
