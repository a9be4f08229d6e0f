"""The integers that a coded tile holds, and the tables of its hyper-latents' channels.

The engine knows what they mean for pixels, and `rdpcodec.tile_codec` in which order they are coded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rdpcodec.entropy.tables import KNOTS, TableFamily
from rdpcodec.format import container


@dataclass(frozen=True)
class Symbols:
    """All that a coded tile holds, as integers. An image of up to 1024 pixels a side is one tile.

    hyper: rounded hyper-latents, int32 `[M, ⌈h/4⌉, ⌈w/4⌉]`; tables: the probability table of each residual,
    which the scale network finds from hyper, uint8 `[N, h, w]`, 0..63; residual: latents less their means,
    rounded, int32 `[N, h, w]`. h and w are the tile's height and width over 16, rounded up.
    """

    hyper: np.ndarray
    tables: np.ndarray
    residual: np.ndarray

    @property
    def blank(self) -> bool:
        """Whether the tile holds nothing: all of it is zero."""
        return not self.hyper.any() and not self.residual.any()


def hyper_bank(quality: float) -> int:
    """Which bank of tables for hyper-latents serves a quality: that of the nearest knot."""
    full = 100 * container.QUALITY_STEPS
    return (container.stored_quality(quality) * (KNOTS - 1) + full // 2) // full


def hyper_reach(family: TableFamily, shape: Sequence[int], quality: float) -> np.ndarray:
    """The largest hyper-latents of a tile that their tables hold, int `[M, h, w]`: these tables have no
    escape.
    """
    return family.reach[hyper_table_of(shape, quality)].reshape(tuple(shape))


def hyper_table_of(shape: Sequence[int], quality: float) -> np.ndarray:
    """The table of each hyper-latent of a tile `[M, h, w]`: that of its channel, in the bank of the quality,
    int64 `[M·h·w]`.
    """
    channels, height, width = shape
    return np.repeat(hyper_bank(quality) * channels + np.arange(channels), height * width)
