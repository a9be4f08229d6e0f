"""The alpha channel as a segment: lossless WebP, tile by tile, like the exact layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rdpcodec.errors import FormatError
from rdpcodec.format import exact_layer
from rdpcodec.format.exact_layer import ExactLayer
from rdpcodec.format.tiles import Box


def encode(alpha: np.ndarray, tiles: Sequence[Box]) -> bytes:
    """The payload for an alpha channel, uint8 `[H, W]`, of an image with these tiles."""
    coded = []
    for tile in tiles:
        part = alpha[*tile.slices()]
        pixels = np.repeat(part[..., None], 3, axis=2)
        coded.append(exact_layer.encode(pixels, np.ones(part.shape, bool), exact_layer.GRADUAL))
    return exact_layer.joined(ExactLayer(coded, tiles))


def decode(payload: bytes, tiles: Sequence[Box], region: Box) -> np.ndarray:
    """The alpha channel of a region, uint8 `[H, W]`. Raises `FormatError` for damaged data."""
    layer = exact_layer.split(payload, tiles)
    alpha = np.empty((region.height, region.width), np.uint8)
    for number, tile in enumerate(tiles):
        part = tile.common(region)
        if part is None:
            continue
        found = layer.tile(number)
        if found is None or not found.mask.all():
            raise FormatError("a tile of the alpha channel is missing")
        alpha[*part.slices(region)] = found.pixels[*part.slices(tile)][..., 1]
    return alpha
