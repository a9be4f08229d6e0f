"""How exactly the exact layer holds its pixels: as they are, with fewer colours, or with rounded channels.

A coarser version costs fewer bits and makes errors; the best one has the lowest bits + weighted squared
error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rdpcodec.encoder.exact.colours import Colours
from rdpcodec.format import exact_layer

# Sizes of palettes, from exact (0) to coarse, and steps to whose multiples channels are rounded.
_PALETTES = (0, 256, 128, 64, 32, 16, 8, 4)
_STEPS = (0, 2, 3, 4, 6, 8, 12, 16, 24)
# With more colours than this, which no palette holds, channels are rounded.
_MANY_COLOURS = 4096
# Bits that count as cheap: so many for each pixel, plus 512 bytes for any image, even an icon.
_CHEAP, _CHEAP_AT_ALL = 4.0, 4096


class Version(NamedTuple):
    """Pixels that the exact layer might hold, uint8 `[H, W, 3]`, and what the masked ones cost, in bits."""

    pixels: np.ndarray
    bits: float
    loss: float
    """Bits + weighted squared error."""


class Coarsening:
    """Versions of the masked pixels of a tile, from exact to coarse, and the search for the best of them.

    Each search starts where the last one ended, since successive masks are alike.
    """

    def __init__(self, pixels: np.ndarray, weight: np.ndarray, *, exactly: bool) -> None:
        """pixels: uint8 `[H, W, 3]`; weight: bits for a squared error of one, `[H, W]`; exactly: whether to
        hold pixels exactly where that is cheap.
        """
        self._pixels, self._weight, self._exactly = pixels, weight, exactly
        self._colours = Colours.of(pixels)
        self._start: int | None = None
        """Palette size or step of the last version."""

    def best(self, mask: np.ndarray, *, again: bool = False) -> Version:
        """The best version for a mask, bool `[H, W]`; with `again`, one as coarse as the last will do."""
        if not mask.any():
            return Version(self._pixels, 0.0, 0.0)
        make, ladder = self._versions(mask)
        known: dict[int, Version] = {}

        def loss(rung: int) -> float:
            if not 0 <= rung < len(ladder):
                return np.inf
            if rung not in known:
                known[rung] = make(ladder[rung])
            return known[rung].loss

        rung = len(ladder) // 3
        if self._start in ladder:
            rung = ladder.index(self._start)
            if again:
                return make(ladder[rung])
        direction = 1 if loss(rung + 1) < loss(rung) else -1
        while loss(rung + direction) < loss(rung):
            rung += direction
        if self._exactly and loss(0) < loss(rung):
            rung = 0
        self._start = ladder[rung]
        return known[rung]

    def held(self, version: Version, mask: np.ndarray) -> np.ndarray:
        """The pixels that the layer holds once a version is found to be the best, uint8 `[H, W, 3]`: exact
        ones, if that is wanted and cheap. The search itself goes by the cost of coarse versions. Otherwise a
        quality that wants exact pixels would leave some to the networks that a lower quality held better.
        """
        if not self._exactly or version.pixels is self._pixels:
            return version.pixels
        bits = 8 * len(exact_layer.encode(self._pixels, mask, exact_layer.TRIAL))
        return self._pixels if bits < _CHEAP * mask.sum() + _CHEAP_AT_ALL else version.pixels

    def _versions(self, mask: np.ndarray) -> tuple[Callable[[int], Version], tuple[int, ...]]:
        """A function from the rungs of a ladder to versions of the masked pixels, and the ladder."""
        table, numbers = self._colours
        weights = np.bincount(numbers[mask], self._weight[mask], len(table))
        colours = np.count_nonzero(weights)
        by_steps = colours > min(_MANY_COLOURS, mask.sum() // 2)

        def version(size: int) -> Version:
            coarse = table
            if size:
                coarse = self._colours.rounded(size) if by_steps else self._colours.gathered(weights, size)
            pixels = coarse[numbers] if size else self._pixels
            bits = 8 * len(exact_layer.encode(pixels, mask, exact_layer.TRIAL))
            return Version(pixels, bits, bits + float(weights @ squared_error(table, coarse)))

        # A palette that holds all colours is the exact version once more, and would end a search.
        return version, _STEPS if by_steps else tuple(size for size in _PALETTES if size < colours)


def squared_error(pixels: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The mean over channels of the squared difference, uint8 `[…, 3]` each → float32 `[…]`."""
    difference = pixels.astype(np.int16) - other
    return np.einsum("...i,...i->...", difference, difference, dtype=np.int32) / np.float32(3)
