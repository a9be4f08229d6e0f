"""What a file carries beside the coded image: alpha channel, ICC profile and EXIF, as segments."""

from __future__ import annotations

import io
import zlib
from dataclasses import replace

import numpy as np
from PIL import Image

from rdpcodec import container
from rdpcodec.container import Container, Segment
from rdpcodec.errors import FormatError
from rdpcodec.image import Picture
from rdpcodec.tiles import Box


def pack(picture: Picture) -> dict[Segment, bytes]:
    """The segments that go with an image, whatever its quality."""
    segments: dict[Segment, bytes] = {}
    if picture.icc is not None:
        segments[Segment.ICC] = zlib.compress(picture.icc, 9)
    if picture.exif is not None:
        segments[Segment.EXIF] = zlib.compress(picture.exif, 9)
    if picture.alpha is not None:
        segments[Segment.ALPHA] = alpha_to_bytes(picture.alpha)
    return segments


def unpack(pixels: np.ndarray, file: Container, region: Box) -> Picture:
    """A decoded region of an image, uint8 `[H, W, 3]`, with what the file's segments add. Raises
    `FormatError` for a damaged segment.
    """
    picture, segments = Picture(pixels, file.gray), file.segments
    if Segment.ALPHA in segments:
        alpha = alpha_from_bytes(segments[Segment.ALPHA], (file.header.width, file.header.height))
        picture = replace(picture, alpha=alpha[*region.slices()])
    if Segment.ICC in segments:
        picture = replace(picture, icc=container.inflate(segments[Segment.ICC]))
    if Segment.EXIF in segments:
        picture = replace(picture, exif=container.inflate(segments[Segment.EXIF]))
    return picture


def alpha_to_bytes(alpha: np.ndarray) -> bytes:
    """The alpha channel, uint8 `[H, W]`, as a gray PNG."""
    buffer = io.BytesIO()
    Image.fromarray(alpha).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def alpha_from_bytes(data: bytes, size: tuple[int, int]) -> np.ndarray:
    """The inverse of `alpha_to_bytes`.

    Raises `FormatError` unless `data` is a gray PNG of `size` (width, height).
    """
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.size != size or image.mode != "L":
                raise FormatError("the alpha channel does not fit the picture")
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"the alpha channel cannot be read: {error}") from error
