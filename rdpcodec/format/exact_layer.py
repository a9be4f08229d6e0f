"""The exact layer: pixels that a file holds as they are, over those that the networks decode.

Text, icons and flat areas are expensive for the networks and cheap for a lossless coder. Their pixels form a
layer of their own, tile by tile: an image with alpha. Its opaque pixels are final; where it is transparent,
the networks' pixels stay. It is coded as lossless WebP, which every browser and Pillow read.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from rdpcodec.errors import FormatError, reason
from rdpcodec.format.container import join_tiles, split_tiles
from rdpcodec.format.tiles import Box
from rdpcodec.image.files import opened

# A WebP file of one lossless image is these twenty bytes and the VP8L data. The layer holds only the data.
_RIFF = struct.Struct("<4sI4s4sI")
_RIFF_LENGTHS = 8  # what RIFF's own length does not count: its name and itself
# The signature, then width and height less one in 14 bits each, whether alpha is used, and a version of zero.
_VP8L = struct.Struct("<BI")
_VP8L_SIGNATURE = 0x2F
_SIDE_BITS = 14


class WebPEffort(NamedTuple):
    """How hard WebP's encoder tries: `method` 0..6 and `quality` 0..100, as Pillow calls them."""

    method: int
    quality: int


# On interfaces and text of 768×512: TRIAL takes 15 ms. NORMAL takes 30 ms, for 3 to 6 per cent less. GRADUAL
# takes 200 ms, which only soft gradients repay. THOROUGH takes over a second; only drawings in few colours
# repay it.
TRIAL, NORMAL, GRADUAL, THOROUGH = (
    WebPEffort(3, 75),
    WebPEffort(4, 100),
    WebPEffort(5, 100),
    WebPEffort(6, 100),
)


class ExactPixels(NamedTuple):
    """Pixels, uint8 `[H, W, 3]`, and which of them are part of the layer, bool `[H, W]`."""

    pixels: np.ndarray
    mask: np.ndarray


class ExactLayer:
    """The exact layer of an image, tile by tile; a tile is decoded when it is asked for."""

    def __init__(self, coded: Sequence[bytes], tiles: Sequence[Box]) -> None:
        """coded: each tile as `encode` made it, row by row; empty where the layer has nothing."""
        self.coded, self._tiles = coded, tiles

    @classmethod
    def empty(cls, tiles: Sequence[Box]) -> ExactLayer:
        """The layer of an image that leaves all pixels to the networks."""
        return cls([b""] * len(tiles), tiles)

    def __bool__(self) -> bool:
        return any(self.coded)

    def covers(self, number: int) -> bool:
        """Whether the layer has all pixels of a tile, so that the networks' are not needed."""
        coded = self.coded[number]
        return _header_of(coded).opaque if coded else False

    def tile(self, number: int) -> ExactPixels | None:
        """The pixels of a tile; None where the layer has nothing. Raises `FormatError`."""
        if not self.coded[number]:
            return None
        return decode(self.coded[number], self._tiles[number])

    def replace(self, pixels: np.ndarray, part: Box, number: int) -> None:
        """Put the layer's pixels in place, in a `part` of tile `number`, uint8 `[H, W, 3]`."""
        exact = self.tile(number)
        if exact is not None:
            inside = part.slices(self._tiles[number])
            np.copyto(pixels, exact.pixels[*inside], where=exact.mask[*inside][..., None])


def encode(pixels: np.ndarray, mask: np.ndarray, effort: WebPEffort) -> bytes:
    """The layer of one tile: `pixels`, uint8 `[H, W, 3]`, where `mask`, bool `[H, W]`, is true. No bytes if
    the mask is empty.
    """
    if not mask.any():
        return b""
    if mask.all():
        image = Image.fromarray(pixels)
    else:
        image = Image.fromarray(np.dstack([pixels, np.where(mask, np.uint8(255), np.uint8(0))]))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, method=effort.method, quality=effort.quality)
    return _vp8l_of(buffer.getvalue())


def joined(layer: ExactLayer) -> bytes:
    """The layer as the payload of a segment."""
    return join_tiles(layer.coded)


def split(payload: bytes, tiles: Sequence[Box]) -> ExactLayer:
    """The inverse of `joined`, for an image with these tiles. Raises `FormatError` unless each tile's data
    says that it is lossless WebP of the tile's size.
    """
    layer = ExactLayer(split_tiles(payload, len(tiles)), tiles)
    for coded, tile in zip(layer.coded, tiles, strict=True):
        if coded and _header_of(coded).size != (tile.width, tile.height):
            raise FormatError("the exact layer does not fit the image")
    return layer


def decode(coded: bytes, tile: Box) -> ExactPixels:
    """The inverse of `encode`. Raises `FormatError` unless `coded` is lossless WebP of the tile's size whose
    pixels are opaque or fully transparent. The size is checked before anything is decoded.
    """
    header = _header_of(coded)
    if header.size != (tile.width, tile.height):
        raise FormatError("the exact layer does not fit the image")
    try:
        with opened(_webp_of(coded), formats=["WEBP"]) as image:
            array = np.asarray(image.convert("RGBA"))
    except MemoryError:
        raise
    except Exception as error:  # Pillow's manual advises catching everything
        raise FormatError(f"the exact layer cannot be read: {reason(error)}") from error
    alpha = array[..., 3]
    if ((alpha != 0) & (alpha != 255)).any() or (header.opaque and not alpha.all()):
        raise FormatError("the exact layer has half-transparent pixels")
    return ExactPixels(np.ascontiguousarray(array[..., :3]), alpha == 255)


def _vp8l_of(webp: bytes) -> bytes:
    """The VP8L data of a WebP file that holds nothing else."""
    *_, kind, length = _RIFF.unpack_from(webp)
    assert kind == b"VP8L", "Pillow wrote lossless WebP with more than its image"
    return webp[_RIFF.size : _RIFF.size + length]


def _webp_of(vp8l: bytes) -> bytes:
    """The inverse of `_vp8l_of`."""
    padding = bytes(len(vp8l) % 2)
    length = _RIFF.size - _RIFF_LENGTHS + len(vp8l) + len(padding)
    return _RIFF.pack(b"RIFF", length, b"WEBP", b"VP8L", len(vp8l)) + vp8l + padding


class _Header(NamedTuple):
    size: tuple[int, int]
    opaque: bool


def _header_of(vp8l: bytes) -> _Header:
    """What the header of VP8L data says: width and height, and whether all pixels are opaque."""
    if len(vp8l) < _VP8L.size:
        raise FormatError("the exact layer is truncated")
    signature, bits = _VP8L.unpack_from(vp8l)
    if signature != _VP8L_SIGNATURE or bits >> 2 * _SIDE_BITS + 1:
        raise FormatError("the exact layer is not lossless WebP")
    side = (1 << _SIDE_BITS) - 1
    size = ((bits & side) + 1, (bits >> _SIDE_BITS & side) + 1)
    return _Header(size, opaque=not bits >> 2 * _SIDE_BITS & 1)
