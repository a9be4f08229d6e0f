"""What a file carries beside the coded image: alpha channel, ICC profile, EXIF and XMP, in segments.

A damaged segment never costs the image: it is left out with an `ImageWarning`.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL.PngImagePlugin import PngImageFile

from rdpcodec import container, opacity
from rdpcodec.container import Container, Segment
from rdpcodec.errors import FormatError, reason
from rdpcodec.image import ImageData
from rdpcodec.image.colour import cleaned_profile
from rdpcodec.metadata import cleaned_exif, left_out
from rdpcodec.tiles import Box, tiles_of

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EIGHT_BIT_GRAY = bytes([8, 0, 0, 0, 0])  # depth, colour type, compression, filter, no interlace


def pack(image: ImageData) -> dict[Segment, bytes]:
    """The segments of an image's metadata."""
    segments: dict[Segment, bytes] = {}
    for kind, data in ((Segment.ICC, image.icc), (Segment.EXIF, image.exif), (Segment.XMP, image.xmp)):
        if data is not None:
            segments[kind] = zlib.compress(data, 9)
    return segments


def unpack(pixels: np.ndarray, file: Container, region: Box) -> ImageData:
    """A decoded region of an image, uint8 `[H, W, 3]`, with what the file's segments add."""
    return ImageData(
        pixels,
        file.gray,
        alpha=_alpha(file, region),
        icc=_metadata(file, Segment.ICC, cleaned_profile),
        exif=_metadata(file, Segment.EXIF, cleaned_exif),
        xmp=_metadata(file, Segment.XMP, lambda packet: packet),
        neutral=Segment.NEUTRAL in file.segments,
    )


def _metadata(file: Container, kind: Segment, cleaned: Callable[[bytes], bytes | None]) -> bytes | None:
    """The metadata of a segment; `cleaned` keeps what may be passed on."""
    if kind not in file.segments:
        return None
    try:
        return cleaned(container.inflate(file.segments[kind]))
    except FormatError as error:
        left_out(f"the {kind.name} segment", error)
        return None


def _alpha(file: Container, region: Box) -> np.ndarray | None:
    """The alpha channel of a region, uint8 `[H, W]`."""
    size = (file.header.width, file.header.height)
    try:
        if Segment.OPACITY in file.segments:
            return opacity.decode(file.segments[Segment.OPACITY], tiles_of(size), region)
        if Segment.ALPHA in file.segments:
            return alpha_from_png(file.segments[Segment.ALPHA], size)[*region.slices()]
    except FormatError as error:
        left_out("the alpha channel", error)
    return None


def alpha_from_png(data: bytes, size: tuple[int, int]) -> np.ndarray:
    """The alpha channel, uint8 `[H, W]`, of files of version 1.

    Raises `FormatError` unless `data` is a PNG of `size` (width, height) as docs/format.md specifies it.
    """
    expected = struct.pack(">II", *size) + _EIGHT_BIT_GRAY
    if not data.startswith(_PNG_SIGNATURE) or data[16:29] != expected:
        raise FormatError("it is not a PNG of the image's size in 8-bit gray")
    try:
        _check_chunks(data)
        # Not with Image.open: its limit on pixels is lower than ours, which the file has met.
        with PngImageFile(io.BytesIO(data)) as image:
            return np.asarray(image)
    except (FormatError, MemoryError):
        raise
    except Exception as error:  # Pillow's manual advises catching everything
        raise FormatError(f"it cannot be read: {reason(error)}") from error


def _check_chunks(data: bytes) -> None:
    """Raise `FormatError` unless a PNG has pixels and nothing else."""
    position = len(_PNG_SIGNATURE)
    kinds: list[bytes] = []
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if not kinds or kinds[-1] != kind:
            kinds.append(kind)
        position += 12 + length
    if kinds != [b"IHDR", b"IDAT", b"IEND"] or position != len(data):
        raise FormatError("it has other chunks than IHDR, IDAT and IEND")
