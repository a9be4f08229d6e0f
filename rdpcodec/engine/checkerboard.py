"""The two halves of a checkerboard of latents as arrays without gaps, so that a network that is asked for one
half computes no more than that.

The first half, the anchors, has even sums of row and column. A half of `[B, N, h, w]` is kept as
`[B, N, ⌈h/2⌉, 2·⌈w/2⌉]`: on the left its positions in even rows, on the right those in odd rows. Where h or w
is odd, some positions lie beyond the edge and are unused.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Half = Literal[0, 1]
"""0: the anchors; 1: the rest."""


def half_of(x: np.ndarray, half: Half) -> np.ndarray:
    """A half of `[B, N, h, w]`, of the same dtype; zeros beyond the edge."""
    batch, channels, height, width = x.shape
    folded = np.zeros((batch, channels, -(-height // 2), 2 * -(-width // 2)), x.dtype)
    for row, part in enumerate(_sides(folded)):
        inside = x[..., row::2, (row + half) % 2 :: 2]
        part[..., : inside.shape[2], : inside.shape[3]] = inside
    return folded


def put_half(x: np.ndarray, folded: np.ndarray, half: Half) -> None:
    """Write a half, as `half_of` returns it, to its positions in `x`, `[B, N, h, w]`."""
    for row, part in enumerate(_sides(folded)):
        inside = x[..., row::2, (row + half) % 2 :: 2]
        inside[...] = part[..., : inside.shape[2], : inside.shape[3]]


def _sides(folded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Views of the positions in even rows and of those in odd rows."""
    middle = folded.shape[3] // 2
    return folded[..., :middle], folded[..., middle:]
