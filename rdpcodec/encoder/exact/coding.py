"""Pixels → the smallest exact-layer data that is worth the time."""

from __future__ import annotations

import numpy as np

from rdpcodec.encoder.exact.colours import packed
from rdpcodec.format import exact_layer

# WebP's most thorough effort tries everything: palettes in several orders, no palette, predictions on
# palettes. It takes a second for 512×512 pixels. It saves a tenth to a half on drawings in few colours, most
# on hatchings, and nothing on text and interfaces. So a piece from the middle tells whether it pays.
_FEW_COLOURS = 64
_PIECE = 96
_PAYS = 0.97
# Below so many bits a pixel there is nothing left to save: a quarter of a kilobyte in a tile of 1024×1024.
_NEXT_TO_NOTHING = 0.002


def smallest(pixels: np.ndarray, mask: np.ndarray) -> bytes:
    """The layer of one tile: its pixels, uint8 `[H, W, 3]`, where `mask`, bool `[H, W]`, is set. Nothing
    where the mask is empty.
    """
    normal = exact_layer.encode(pixels, mask, exact_layer.NORMAL)
    if 8 * len(normal) < _NEXT_TO_NOTHING * mask.size or not _thoroughness_pays(pixels, mask):
        return normal
    return min(normal, exact_layer.encode(pixels, mask, exact_layer.THOROUGH), key=len)


def _thoroughness_pays(pixels: np.ndarray, mask: np.ndarray) -> bool:
    """Whether it makes a piece from the middle smaller; a tile no larger than the piece is tried at once."""
    if mask.size <= _PIECE**2:
        return True
    if len(np.unique(packed(pixels[mask]))) > _FEW_COLOURS:
        return False
    middle = tuple(slice(max(0, (side - _PIECE) // 2), (side + _PIECE) // 2) for side in mask.shape)
    normal, thorough = (
        len(exact_layer.encode(pixels[middle], mask[middle], effort))
        for effort in (exact_layer.NORMAL, exact_layer.THOROUGH)
    )
    return thorough < _PAYS * normal
