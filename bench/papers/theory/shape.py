"""How far sampled values are from falling and from convex."""

from __future__ import annotations

from itertools import product

import numpy as np


def largest_rise(values: np.ndarray) -> float:
    """The largest step up along any axis; 0 where the values never rise. NaN is skipped."""
    return max(
        float(np.fmax.reduce(np.diff(values, axis=axis), axis=None, initial=0)) for axis in range(values.ndim)
    )


def largest_concavity(values: np.ndarray) -> float:
    """The most that any value lies above the mean of two that it is midway between; 0 if convex.

    values: samples on a uniform grid of any dimension; all pairs of points whose midpoint is on the grid are
    checked. NaN is skipped.
    """
    worst = 0.0
    for offset in product(*(range(-((n - 1) // 2), (n - 1) // 2 + 1) for n in values.shape)):
        middle, ahead, behind = (
            tuple(
                slice(abs(step) + side * step, n - abs(step) + side * step)
                for step, n in zip(offset, values.shape, strict=True)
            )
            for side in (0, 1, -1)
        )
        gap = values[middle] - (values[ahead] + values[behind]) / 2
        worst = max(worst, float(np.fmax.reduce(gap, axis=None, initial=0)))
    return worst
