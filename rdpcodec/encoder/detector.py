"""A quick look at an image: is any of it worth more than the networks can give?

Two kinds of block are. *Drawn* ones (text, icons, flat areas) are cheap to code exactly. *Rough* ones, whose
colours change from pixel to pixel, are more than the latents can hold, and so are coded badly by the networks
at any quality. Photographs have few of either, and a look at some of their rows says so.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdpcodec.tiles import PATCH

BLOCK = PATCH
# Rows of a block of which a look sees one.
_ROW_STEP = 8
# A block is drawn where all pixels are equal, or where half of all neighbours are and yet the darkest and the
# brightest lie so far apart. The former happens in skies, the latter hardly ever in photographs.
_EQUAL, _CONTRAST = 0.5, 64
# A block is rough where colour, gray left out, changes by so much between neighbours, as mean square. In 5 of
# 10 000 blocks of photographs.
_ROUGH = 240.0
# Below this quality, nothing is worth the bits of a rough block's pixels.
_ROUGH_QUALITY = 75.0
# So large a share of drawn, or of rough, blocks makes an image worth it. Of 236 training photographs, 3 and 2
# have it.
_DRAWN_SHARE, _ROUGH_SHARE = 0.1, 0.25
# So few colours on a grid of pixels make all of an image drawn.
_FEW_COLOURS = 256
_GRID_STEP = 7


class _Features(NamedTuple):
    """Of each whole block, `[H // 16, W // 16]`, on some of its rows."""

    equal: np.ndarray
    """The share of pixels that equal their left neighbour, 0..1."""
    contrast: np.ndarray
    """The range of green, 0..255."""
    roughness: np.ndarray
    """The mean square of how colour changes between neighbours, apart from gray."""

    def drawn(self) -> np.ndarray:
        constant = (self.equal == 1) & (self.contrast == 0)
        return constant | ((self.equal >= _EQUAL) & (self.contrast >= _CONTRAST))

    def rough(self, quality: float) -> np.ndarray:
        return (self.roughness > _ROUGH) & (quality >= _ROUGH_QUALITY)


def is_worth_a_look(pixels: np.ndarray, quality: float) -> bool:
    """Whether `candidates` may find enough in an image, uint8 `[H, W, 3]`, at a quality 0..100."""
    if min(pixels.shape[:2]) < BLOCK or _has_few_colours(pixels):
        return True
    features = _features(pixels, _ROW_STEP)
    return bool(features.drawn().mean() >= _DRAWN_SHARE or features.rough(quality).mean() >= _ROUGH_SHARE)


class Candidates(NamedTuple):
    """Blocks of an image, bool `[⌈H/16⌉, ⌈W/16⌉]`."""

    blocks: np.ndarray
    """Those that may be worth more than the networks can give."""
    drawn: np.ndarray
    """Those among them that are drawn, or lie beside drawn ones."""


def candidates(pixels: np.ndarray, quality: float) -> Candidates:
    """The blocks of an image, uint8 `[H, W, 3]`, that are drawn or rough, with their neighbours."""
    padded = np.pad(pixels, [(0, -side % BLOCK) for side in pixels.shape[:2]] + [(0, 0)], mode="edge")
    features = _features(padded, 1)
    rows, columns = features.equal.shape
    if _has_few_colours(pixels):
        everything = np.ones((rows, columns), bool)
        return Candidates(everything, everything)
    drawn = _with_neighbours(features.drawn())
    return Candidates(drawn | _with_neighbours(features.rough(quality)), drawn)


def _with_neighbours(blocks: np.ndarray) -> np.ndarray:
    rows, columns = blocks.shape
    padded = np.pad(blocks, 1)
    around = [padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
    return np.asarray(np.any(around, axis=0))


def packed(pixels: np.ndarray) -> np.ndarray:
    """Each pixel, uint8 `[…, 3]`, as one number, uint32 `[…]`."""
    red, green, blue = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _has_few_colours(pixels: np.ndarray) -> bool:
    """Whether a sample of an image's pixels has so few colours that all of it must be drawn."""
    sample = packed(pixels[::_GRID_STEP, ::_GRID_STEP]).reshape(-1)
    return len(np.unique(sample)) <= min(_FEW_COLOURS, max(len(sample) // 2, 1))


def _features(pixels: np.ndarray, step: int) -> _Features:
    """The features of every `step`-th row."""
    across, down = pixels.shape[1] // BLOCK, pixels.shape[0] // BLOCK
    rows = pixels[: down * BLOCK : step, : across * BLOCK].astype(np.int16)
    change = np.zeros_like(rows)
    change[:, 1:] = rows[:, 1:] - rows[:, :-1]
    change[:, ::BLOCK] = 0  # a block's features are its own
    shape = (down, BLOCK // step, across, BLOCK)
    red_green, blue_green = (change[..., channel] - change[..., 1] for channel in (0, 2))
    rough = (red_green.astype(np.float32) ** 2 + blue_green.astype(np.float32) ** 2).reshape(shape)
    green = rows[..., 1].reshape(shape)
    return _Features(
        (change == 0).all(2).reshape(shape).mean((1, 3)),
        green.max((1, 3)) - green.min((1, 3)),
        rough.mean((1, 3)) / 3,
    )
