"""A quick look at an image: does any of it need more than the networks can give?

Two kinds of block do. *Drawn* blocks (text, icons, flat areas) are cheap to code exactly. *Rough* blocks,
whose colours change from pixel to pixel, are more than the latents can hold, so the networks code them badly
at any quality. Photographs have few of either, and a look at some of their rows shows it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdpcodec.encoder.exact.colours import packed
from rdpcodec.format.tiles import PATCH

BLOCK = PATCH
# A look sees one row in this many.
_ROW_STEP = 8
# A block is drawn if all its pixels are equal, or if half of all neighbours are equal and yet the darkest and
# the brightest pixel lie this far apart. The first happens in skies, the second hardly ever in photographs.
_EQUAL, _CONTRAST = 0.5, 64
# A block is rough if colour, gray left out, changes by more than this between neighbours, as mean square: 5
# of 10 000 blocks of photographs.
_ROUGH = 240.0
# Below this quality, a rough block's pixels are never worth their bits.
_ROUGH_QUALITY = 75.0
# An image with at least this share of drawn, or of rough, blocks is worth a look. Of 236 training
# photographs, 3 and 2 have it.
_DRAWN_SHARE, _ROUGH_SHARE = 0.1, 0.25
# An image with no more than this many colours on a grid of its pixels is drawn throughout, unless it is a
# photograph whose shades are dithered: in half of its blocks, fewer neighbours than this share are equal.
_FEW_COLOURS, _DITHERED, _DITHERED_SHARE = 256, 0.4, 0.5
_GRID_STEP = 7
# A part of that grid is enough to see that a photograph has more.
_PART_STEP = 16


def is_worth_a_look(pixels: np.ndarray, quality: float) -> bool:
    """Whether `candidates` may find enough in an image, uint8 `[H, W, 3]`, at a quality 0..100."""
    if min(pixels.shape[:2]) < BLOCK or _has_few_colours(pixels):
        return True
    rows = _Rows.of(pixels, _ROW_STEP)
    if rows.even().mean() >= _DRAWN_SHARE and rows.drawn().mean() >= _DRAWN_SHARE:
        return True
    return quality >= _ROUGH_QUALITY and bool(rows.rough().mean() >= _ROUGH_SHARE)


class Candidates(NamedTuple):
    """Blocks of an image, bool `[⌈H/16⌉, ⌈W/16⌉]`."""

    blocks: np.ndarray
    """The blocks that may need more than the networks can give."""
    drawn: np.ndarray
    """Of these, the blocks that are drawn or lie beside drawn ones."""
    dithered: np.ndarray
    """Of these, the blocks of a photograph in few colours."""


def candidates(pixels: np.ndarray, quality: float) -> Candidates:
    """The blocks of an image, uint8 `[H, W, 3]`, that are drawn or rough, with their neighbours."""
    # Mirroring continues noise as noise.
    beyond = [(0, -side % BLOCK) for side in pixels.shape[:2]]
    padded = np.pad(pixels, [*beyond, (0, 0)], mode="symmetric")
    rows = _Rows.of(padded, 1)
    if _has_few_colours(pixels):
        everything = np.ones(rows.planes.shape[1:4:2], bool)
        dithered = rows.share_of_equals() < _DITHERED
        dithered &= dithered.mean() >= _DITHERED_SHARE
        return Candidates(everything, ~dithered, dithered)
    drawn = _with_neighbours(rows.drawn())
    rough = _with_neighbours(rows.rough()) if quality >= _ROUGH_QUALITY else False
    return Candidates(drawn | rough, drawn, np.zeros_like(drawn))


def _with_neighbours(blocks: np.ndarray) -> np.ndarray:
    rows, columns = blocks.shape
    padded = np.pad(blocks, 1)
    around = [padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
    return np.asarray(np.any(around, axis=0))


def _has_few_colours(pixels: np.ndarray) -> bool:
    """Whether a sample of an image's pixels has so few colours that all of it may be drawn."""
    sample = packed(pixels[::_GRID_STEP, ::_GRID_STEP]).reshape(-1)
    most = min(_FEW_COLOURS, max(len(sample) // 2, 1))
    return all(len(np.unique(part)) <= most for part in (sample[::_PART_STEP], sample))


class _Rows(NamedTuple):
    """Some rows of whole blocks, and what they say about each block, `[H // 16, W // 16]`."""

    planes: np.ndarray
    """Red, green and blue, uint8 `[3, H // 16, rows of a block, W // 16, 16]`."""

    @classmethod
    def of(cls, pixels: np.ndarray, step: int) -> _Rows:
        """Every `step`-th row of uint8 `[H, W, 3]`."""
        down, across = (length // BLOCK for length in pixels.shape[:2])
        rows = np.moveaxis(pixels[: down * BLOCK : step, : across * BLOCK], 2, 0)
        # Channel after channel: NumPy is fast along rows.
        return cls(np.ascontiguousarray(rows).reshape(3, down, BLOCK // step, across, BLOCK))

    def even(self) -> np.ndarray:
        """Where at least half of all pixels equal their left neighbour."""
        return self.share_of_equals() >= _EQUAL

    def drawn(self) -> np.ndarray:
        equal, green = self.share_of_equals(), self.planes[1]
        contrast = green.max((1, 3)) - green.min((1, 3))
        return ((equal == 1) & (contrast == 0)) | ((equal >= _EQUAL) & (contrast >= _CONTRAST))

    def rough(self) -> np.ndarray:
        red, green, blue = self.planes.astype(np.int16)
        moves = [np.diff(plane - green, axis=3) for plane in (red, blue)]
        total = sum(np.einsum("aibj,aibj->ab", move, move, dtype=np.int32) for move in moves)
        return np.asarray(total > _ROUGH * 3 * BLOCK * self.planes.shape[2])

    def share_of_equals(self) -> np.ndarray:
        """The share of pixels that equal their left neighbour in the block, 0..1; the first of a row has
        none, and counts as equal.
        """
        same = (self.planes[..., 1:] == self.planes[..., :-1]).all(0)
        return np.asarray((np.count_nonzero(same, axis=(1, 3)) / same.shape[1] + 1) / BLOCK)
