"""What a file carries beside the coded image: alpha channel, ICC profile, EXIF and XMP, in segments.

A damaged segment never costs the image: it is left out with an `ImageWarning`.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from PIL.PngImagePlugin import PngImageFile

from rdpcodec.errors import FormatError, reason
from rdpcodec.format import container, opacity
from rdpcodec.format.container import Container, Segment
from rdpcodec.format.tiles import Box, tiles_of
from rdpcodec.image import ImageData
from rdpcodec.image.colour import cleaned_profile
from rdpcodec.metadata import cleaned_exif, left_out

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IHDR = struct.Struct(">I4sII5s")  # of each chunk, its length and kind come first
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
        icc=_metadata(file, Segment.ICC, partial(cleaned_profile, mode="L" if file.gray else "RGB")),
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
    size = file.header.image_size
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

    Raises `FormatError` unless `data` is a PNG of `size` (width, height) as docs/format.md specifies it, and
    undamaged: Pillow passes over some damage.
    """
    if not data.startswith(_PNG_SIGNATURE + _IHDR.pack(13, b"IHDR", *size, _EIGHT_BIT_GRAY)):
        raise FormatError("it is not a PNG of the image's size in 8-bit gray")
    kinds, bodies = zip(*_chunks(data), strict=True)  # there is one at least
    if kinds != (b"IHDR", *[b"IDAT"] * (len(kinds) - 2), b"IEND"):
        raise FormatError("it has other chunks than IHDR, IDAT and IEND")
    _check_rows(b"".join(bodies[1:-1]), size)
    try:
        # Not with Image.open: its limit on pixels is lower than ours, which the file has met.
        with PngImageFile(io.BytesIO(data)) as image:
            return np.asarray(image)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's manual advises catching everything
        raise FormatError(f"it cannot be read: {reason(error)}") from error


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each chunk of a PNG. Raises `FormatError` where they are truncated or damaged."""
    position = len(_PNG_SIGNATURE)
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        body, end = position + 8, position + 8 + length
        if end + 4 > len(data):
            raise FormatError("it is truncated")
        if zlib.crc32(data[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise FormatError("a checksum of it does not match")
        yield data[position + 4 : body], data[body:end]
        position = end + 4


def _check_rows(compressed: bytes, size: tuple[int, int]) -> None:
    """Raise `FormatError` unless the data of a PNG inflate to the rows of an image of `size` and no more."""
    width, height = size
    expected = height * (1 + width)  # a byte before each row says how it is filtered
    inflater = zlib.decompressobj()
    try:
        inflated = len(inflater.decompress(compressed, expected + 1))
    except zlib.error as error:
        raise FormatError(f"its pixels are damaged: {error}") from error
    if inflated != expected or not inflater.eof or inflater.unused_data:
        raise FormatError("its pixels do not end with the image")
