"""`load_image`: files and Pillow images → pixels, and what is kept beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from rdpcodec.errors import ImageError, ImageWarning, warn
from rdpcodec.files.source import is_file
from rdpcodec.image.arrays import from_array, from_tensor, to_eight_bits, warn_if_narrow
from rdpcodec.image.colour import described_profile, kept_profile, to_srgb
from rdpcodec.image.files import as_image_error, opened
from rdpcodec.image.image_data import ImageData
from rdpcodec.limits import MAX_PIXELS, check_size
from rdpcodec.metadata import (
    exif_of,
    orientation_of,
    same_but,
    upright,
    warn_of_comments,
    without_texts,
    xmp_of,
)

if TYPE_CHECKING:
    from torch import Tensor

    Source = (
        Image.Image | str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | np.ndarray | Tensor
    )

_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
# With the order of bytes. "BGR;16" is 16 bits for all three channels.
_SIXTEEN_BIT_RAW_MODE = re.compile(";16[BLN]")
# For TIFF. Pillow gives 12 bits unscaled. Where zero is white, it inverts 8-bit images but not 16-bit ones.
_BITS_A_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
# PNG gives the transparent gray as stored. Pillow scales the pixels to 8 bits, but not the transparent gray.
_GRAY_STEPS = {"L;2": 85, "L;4": 17}
_GRAY_WITH_ALPHA = "LA;16B"  # of a PNG, which Pillow loads as RGBA


def load_image(
    source: Source,
    *,
    keep_metadata: bool = False,
    exact_alpha: bool = False,
    max_pixels: int = MAX_PIXELS,
    formats: Sequence[str] | None = None,
) -> ImageData:
    """Read an image from any of the supported sources.

    source: a Pillow image, whose current frame is taken; the path of a file of any format that Pillow reads,
    its bytes, or a binary file, which is read from its beginning; a NumPy array, uint8, uint16 or floating
    point in [0, 1], `[H, W]` or `[H, W, C]` with C = 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGBA); a torch
    tensor `[C, H, W]` or `[1, C, H, W]`, uint8 or floating point in [0, 1]. keep_metadata: keep EXIF, XMP,
    resolution and ICC profile. A kept profile is not applied: the pixels stay in its colour space.
    exact_alpha: keep transparency as it is (see `ImageData`). max_pixels: the most pixels that an image may
    have, at most 268 435 456; Pillow's own limit does not apply. formats: Pillow's names of the file formats
    to accept; None for all but those that run a program or hold a file of another format (EPS, BLP, FPX,
    IPTC, MIC).

    By loading a PNG, Pillow forgets its cICP chunk, which gray of 2 or 4 bits is transparent, that colours
    had 16 bits, and that 16-bit gray with alpha was gray. Of a Pillow image that was opened by its path they
    are read from the file, if that is still there. Otherwise give it as it was opened, or the file.

    Raises `ImageError` when the image cannot be read or coded. Warns with `ImageWarning` about what is lost.
    """
    return replace(_loaded(source, keep_metadata, max_pixels, formats), exact_alpha=exact_alpha)


def _loaded(source: Any, keep_metadata: bool, max_pixels: int, formats: Sequence[str] | None) -> ImageData:
    if isinstance(source, Image.Image):
        with as_image_error("the given image"):
            return _from_pillow(source, keep_metadata, max_pixels)
    if isinstance(source, np.ndarray):
        return from_array(source, max_pixels)
    if is_file(source):
        with opened(source, max_pixels, formats) as image:
            return _from_pillow(image, keep_metadata, max_pixels)
    if hasattr(source, "detach"):
        return from_tensor(source, max_pixels)
    raise ImageError(
        f"cannot read an image from {type(source).__name__}: give a Pillow image, a file's path or bytes, an "
        "array or a tensor"
    )


def _from_pillow(image: Image.Image, keep_metadata: bool, max_pixels: int) -> ImageData:
    check_size(*image.size, ImageError, max_pixels)
    if image.mode == "F":
        raise ImageError("a floating-point image has no defined range: scale it to 8 or 16 bits first")
    if image.tell() == 0 and has_more_frames(image):
        warn("only the first of several frames is coded", ImageWarning)
    samples, profile = _before_loading(image)
    # Pillow turns a TIFF upright, and removes its tag, as it loads it.
    image.load()
    width, height = image.im.size  # that of a file inside the file, whatever the outer one says
    check_size(width, height, ImageError, max_pixels)
    if keep_metadata:
        warn_of_comments(image)
    image = without_texts(image)
    exif = xmp = None
    if keep_metadata:
        exif, xmp = exif_of(image), xmp_of(image)
    if orientation_of(image) != 1:
        image = upright(image)
    image, alpha = _in_eight_bits(image, samples)
    kept = kept_profile(image, profile) if profile is not None and keep_metadata else None
    if profile is not None and kept is None:
        image = to_srgb(image, profile)
    gray = image.mode == "L"
    # Copies that change nothing would cost 4 bytes per pixel.
    pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    return ImageData(pixels, gray, alpha, kept, exif, xmp)


class _Samples(NamedTuple):
    """How a file holds an image's samples. Pillow forgets most of it as it loads the image."""

    raw_modes: set[str]
    """How Pillow's decoder finds them: it gives 8 bits of 16-bit colour, and only this tells."""
    deep: bool
    """Whether they have more than 8 bits."""
    top: int
    """The end of the range of 16-bit gray, 4095 or 65 535."""
    inverted: bool
    """Whether zero is white."""


def _before_loading(image: Image.Image) -> tuple[_Samples, bytes | None]:
    """What has to be read from an image before Pillow loads it: its samples and its profile. Warns of samples
    that lose bits.
    """
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_A_SAMPLE, (8,))
    with _as_opened(image) as unloaded:
        raw_modes = _raw_modes(unloaded)
        deep = image.mode in _SIXTEEN_BIT_MODES or _has_sixteen_bits(raw_modes) or max(bits, default=8) > 8
        if deep:
            warn("16 bits a channel are coded as 8", ImageWarning)
        profile = described_profile(without_texts(unloaded))
    top, inverted = 4095 if bits == (12,) else 65_535, tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return _Samples(raw_modes, deep, top, inverted), profile


def _in_eight_bits(image: Image.Image, samples: _Samples) -> tuple[Image.Image, np.ndarray | None]:
    """A loaded image in 8 bits without alpha, and its alpha, uint8 `[H, W]`. Warns of a narrow range."""
    if image.mode in _SIXTEEN_BIT_MODES:
        return _of_sixteen_bits(image, samples.top, samples.inverted)
    image, alpha = _without_alpha(image, samples.raw_modes)
    if samples.deep and image.mode in ("L", "RGB"):
        warn_if_narrow(int(np.max(image.getextrema())), 255)  # of the upper bytes, which Pillow gives
    return image, alpha


def has_more_frames(image: Image.Image) -> bool:
    """Whether an image has frames after its first. Of a GIF that has been closed nobody knows: False."""
    try:
        # Pillow looks for the second frame of a GIF, and then forgets what was drawn on the first.
        return bool(getattr(same_but(image, info=dict(image.info)), "is_animated", False))
    except ValueError:
        return False
    except Exception:  # the second frame is damaged
        return True


@contextmanager
def _as_opened(image: Image.Image) -> Iterator[Image.Image]:
    """An image that knows what Pillow forgets of a PNG by loading it, if its file is still there."""
    name = getattr(image, "filename", "")
    with ExitStack() as stack:
        if image.format == "PNG" and name and not getattr(image, "tile", []) and os.path.isfile(name):
            with suppress(ImageError):  # another file has taken its place
                original = stack.enter_context(opened(os.fsdecode(name), formats=["PNG"]))
                # A profile that is not the file's is the caller's, and goes before the file's cICP chunk.
                own = image.info.get("icc_profile") in (None, original.info.get("icc_profile"))
                image = same_but(image, tile=vars(original)["tile"], fp=vars(original)["fp"] if own else None)
        yield image


def _raw_modes(image: Image.Image) -> set[str]:
    """See `_Samples`."""
    modes = set()
    for tile in getattr(image, "tile", []):
        arguments = tile[3] if isinstance(tile[3], (tuple, list)) else (tile[3],)
        modes |= {argument for argument in arguments if isinstance(argument, str)}
    return modes


def _has_sixteen_bits(raw_modes: Iterable[str]) -> bool:
    """Whether samples have 16 bits each, by the names that `_raw_modes` finds."""
    return any(_SIXTEEN_BIT_RAW_MODE.search(mode) for mode in raw_modes)


def _of_sixteen_bits(image: Image.Image, top: int, inverted: bool) -> tuple[Image.Image, np.ndarray | None]:
    """A loaded 16-bit gray image in 8 bits, mode L, and its alpha, uint8 `[H, W]`.

    top: the end of the values' range, 4095 or 65 535; inverted: whether zero is white.
    """
    values = np.asarray(image)
    key = image.info.get("transparency")
    alpha = np.where(values == key, 0, 255).astype(np.uint8) if isinstance(key, int) else None
    warn_if_narrow(int(values.max()), top, "white" if inverted else "black")
    if top == 4095:
        values = (values.astype(np.int64) * 65_535 + 2047) // 4095
    if inverted:
        values = 65_535 - values.astype(np.int64)
    return Image.fromarray(to_eight_bits(values)), alpha


def _with_key_of_eight_bits(image: Image.Image, raw_modes: set[str]) -> Image.Image:
    """An image whose transparent colour, where it has the file's 16 bits, is given in 8 like the pixels."""
    key = image.info.get("transparency")
    if isinstance(key, tuple) and (_has_sixteen_bits(raw_modes) or max(key, default=0) > 255):
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in key)
    return image


def _without_alpha(image: Image.Image, raw_modes: set[str]) -> tuple[Image.Image, np.ndarray | None]:
    """A loaded image in 8 bits, of mode L, RGB, CMYK, LAB, YCbCr or HSV, and its alpha, uint8 `[H, W]`."""
    alpha = None
    if _GRAY_WITH_ALPHA in raw_modes and image.mode == "RGBA":
        as_gray = image.convert("LA")
        if np.array_equal(np.asarray(as_gray.convert("RGBA")), np.asarray(image)):  # nobody has drawn on it
            image = as_gray
    if image.has_transparency_data:
        image = _with_key_of_eight_bits(image, raw_modes)
        key, steps = image.info.get("transparency"), _GRAY_STEPS.keys() & raw_modes
        if image.mode == "L" and isinstance(key, int) and steps:
            step = _GRAY_STEPS[steps.pop()]
            scaled = key * step if key <= 255 // step else key
            alpha = np.where(np.asarray(image) == scaled, 0, 255).astype(np.uint8)
        else:
            image = image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
            alpha = np.asarray(image.getchannel("A"))
            image = image.convert(image.mode[:-1])
    if image.mode in ("1", "P", "RGBX"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return image, alpha
