"""The colours of a tile: which there are, where they are, and tables of fewer colours in their place."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Rounds of k-means after seeding.
_ROUNDS = 4
# In k-means, frequent colours weigh less than their share, because rare colours are the dear ones. Of 1,
# 0.75, 0.5 and 0.25, this had the lowest bits + weighted error on eleven images of all classes.
_POWER = 0.75


class Colours(NamedTuple):
    """The distinct colours of pixels, uint8 `[K, 3]`, and the number of each pixel's, int32 `[H, W]`."""

    table: np.ndarray
    numbers: np.ndarray

    @classmethod
    def of(cls, pixels: np.ndarray) -> Colours:
        """The colours of pixels, uint8 `[H, W, 3]`."""
        flat = packed(pixels).reshape(-1)
        # Only the starts of runs: drawings have few, and sorting takes most of the time.
        starts = np.flatnonzero(np.diff(flat, prepend=flat[:1] ^ 1))
        known, numbers = np.unique(flat[starts], return_inverse=True)
        lengths = np.diff(starts, append=len(flat))
        table = np.stack([known >> shift & 255 for shift in (16, 8, 0)], 1).astype(np.uint8)
        return cls(table, np.repeat(numbers.astype(np.int32), lengths).reshape(pixels.shape[:2]))

    def rounded(self, step: int) -> np.ndarray:
        """The table with every channel rounded to a multiple of `step`, or to 255."""
        levels = np.minimum((np.arange(256) + step // 2) // step * step, 255)
        return levels.astype(np.uint8)[self.table]

    def gathered(self, weights: np.ndarray, size: int) -> np.ndarray:
        """The table with its colours of nonzero weight, float `[K]`, reduced to at most `size` by k-means.

        A colour with most of its group's weight stays as it is instead of becoming the group's mean, so flat
        areas keep their colours.
        """
        present = np.flatnonzero(weights)
        if len(present) <= size:
            return self.table
        points, weights = self.table[present].astype(np.float32), weights[present] ** _POWER
        centres = _seeds(points, weights, size)
        for _ in range(_ROUNDS):
            groups = _nearest(points, centres)
            totals = np.bincount(groups, weights, size)
            sums = np.stack([np.bincount(groups, weights * channel, size) for channel in points.T], 1)
            centres = np.where(totals[:, None] > 0, sums / totals.clip(1e-30)[:, None], centres)
        groups = _nearest(points, centres)
        major = weights > np.bincount(groups, weights, size)[groups] / 2
        centres[groups[major]] = points[major]
        gathered = self.table.copy()
        gathered[present] = np.rint(centres).astype(np.uint8)[groups]
        return gathered


def packed(pixels: np.ndarray) -> np.ndarray:
    """Each pixel, uint8 `[…, 3]`, as one number, uint32 `[…]`."""
    red, green, blue = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _seeds(points: np.ndarray, weights: np.ndarray, size: int) -> np.ndarray:
    """The first centres, `[size, 3]`, out of points `[K, 3]`: the heaviest, then repeatedly the one whose
    weighted squared distance to all chosen so far is largest.
    """
    chosen = [int(np.argmax(weights))]
    distance = _squared(points, points[chosen[0]])
    while len(chosen) < size:
        chosen.append(int(np.argmax(weights * distance)))
        distance = np.minimum(distance, _squared(points, points[chosen[-1]]))
    return points[chosen].astype(np.float64)


def _squared(points: np.ndarray, point: np.ndarray) -> np.ndarray:
    difference = points - point
    return np.einsum("ij,ij->i", difference, difference)


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The number of the centre, of `[C, 3]`, that is nearest to each point, int `[K]`."""
    centres = centres.astype(np.float32)
    return np.argmin((centres**2).sum(1) - 2 * points @ centres.T, axis=1)
