"""How exactly the exact layer holds its pixels: as they are, with fewer colours, or with rounded channels.

A coarser version costs fewer bits and makes errors; the best one has the least of bits + weighted squared
error.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from rdpcodec import exact_layer
from rdpcodec.encoder.detector import packed

# Sizes of palettes, from exact (0) to coarse, and steps to whose multiples channels are rounded.
_PALETTES = (0, 256, 128, 64, 32, 16, 8, 4)
_STEPS = (0, 2, 3, 4, 6, 8, 12, 16, 24)
# Rounding is for what no palette holds.
_MANY_COLOURS = 4096
# Bits a pixel that are cheap.
_CHEAP = 4.0


class Version(NamedTuple):
    """Pixels that the exact layer might hold, uint8 `[H, W, 3]`, and what the masked ones cost, in bits."""

    pixels: np.ndarray
    bits: float
    loss: float
    """Bits + weighted squared error."""


class Coarsening:
    """Versions of the masked pixels of a tile, from exact to coarse, and the search for the best of them.

    The search goes on from where the last one ended: masks that follow one another are alike.
    """

    def __init__(self, pixels: np.ndarray, weight: np.ndarray, *, exactly: bool) -> None:
        """pixels: uint8 `[H, W, 3]`; weight: bits for a squared error of one, `[H, W]`; exactly: what is
        cheap to hold exactly is to be held so.
        """
        self._pixels, self._weight, self._exactly = pixels, weight, exactly
        self._start: int | None = None

    def best(self, mask: np.ndarray, *, again: bool = False) -> Version:
        """The best version for a mask, bool `[H, W]`; `again`: one as coarse as the last will do."""
        if not mask.any():
            return Version(self._pixels, 0.0, 0.0)
        colours = len(np.unique(packed(self._pixels[mask])))
        by_steps = colours > min(_MANY_COLOURS, mask.sum() // 2)
        ladder = _STEPS if by_steps else _PALETTES
        known: dict[int, Version] = {}
        if self._exactly:
            known[0] = self._version(mask, 0, by_steps)
            if known[0].bits < _CHEAP * mask.sum():
                return known[0]

        def loss(rung: int) -> float:
            if not 0 <= rung < len(ladder):
                return np.inf
            if rung not in known:
                known[rung] = self._version(mask, ladder[rung], by_steps)
            return known[rung].loss

        rung = min(len(ladder) // 3 if self._start is None else self._start, len(ladder) - 1)
        if again and self._start is not None and np.isfinite(loss(rung)):
            return known[rung]
        direction = 1 if loss(rung + 1) < loss(rung) else -1
        while loss(rung + direction) < loss(rung):
            rung += direction
        self._start = rung
        return known[rung]

    def _version(self, mask: np.ndarray, size: int, by_steps: bool) -> Version:
        if not size:
            pixels = self._pixels
        else:
            pixels = _rounded(self._pixels, size) if by_steps else _gathered(self._pixels, mask, size)
        bits = 8 * len(exact_layer.encode(pixels, mask, exact_layer.TRIAL))
        errors = self._weight * squared_error(self._pixels, pixels)
        return Version(pixels, bits, bits + float(errors[mask].sum()))


def squared_error(pixels: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The mean over channels of the squared difference, uint8 `[H, W, 3]` each → float32 `[H, W]`."""
    difference = pixels.astype(np.int32) - other
    return np.asarray((difference**2).sum(2) / np.float32(3))


def _gathered(pixels: np.ndarray, mask: np.ndarray, size: int) -> np.ndarray:
    """Pixels whose masked ones have at most `size` colours.

    A colour that most pixels of its group have stays as it is, rather than become the group's mean: flat
    areas keep theirs.
    """
    strip = Image.fromarray(pixels[mask][None])
    grouped = strip.quantize(size, Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
    palette = np.array(grouped.getpalette(), np.uint8).reshape(-1, 3)
    groups = np.asarray(grouped)[0]
    _, first, counts = np.unique(packed(pixels[mask]), return_index=True, return_counts=True)
    sizes = np.bincount(groups, minlength=len(palette))
    major = counts > sizes[groups[first]] / 2
    palette[groups[first[major]]] = pixels[mask][first[major]]
    gathered = pixels.copy()
    gathered[mask] = palette[groups]
    return gathered


def _rounded(pixels: np.ndarray, step: int) -> np.ndarray:
    """Pixels with every channel rounded to a multiple of `step`, or to 255."""
    levels = np.minimum((np.arange(256) + step // 2) // step * step, 255)
    return levels.astype(np.uint8)[pixels]
