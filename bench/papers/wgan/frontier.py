"""Trade-off curves through measured points: lower convex hulls, and rank correlations along a setting."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import spearmanr

from bench.papers.wgan.measure import Values

# What counts as a change from end to end of a hull. Noise alone makes the best by one measure differ from the
# best by the other: with noise of 1 % in each of fourteen equal pairs, the ends of the hull differ by 4 %.
CLEAR_GAIN = 0.05
CLEAR_PRICE = 1.005


def hull(x: Values, y: Values) -> tuple[Values, Values]:
    """The falling part of the lower convex hull of points: the corners' x and y, x rising.

    Distortion is linear in a mixture of two systems and a Wasserstein distance is convex, so what lies on a
    chord is reached by using one system or the other at random.
    """
    order = np.lexsort((y, x))
    corners: list[tuple[float, float]] = []
    for point in zip(x[order].tolist(), y[order].tolist(), strict=True):
        if corners and point[1] >= corners[-1][1]:
            continue
        while len(corners) > 1 and _turns_right(corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    a, b = zip(*corners, strict=True)
    return np.array(a), np.array(b)


def least(x: Values, y: Values, bounds: Values) -> Values:
    """The least y at x ≤ each bound, on the hull; NaN below the smallest x that was reached."""
    a, b = hull(x, y)
    return np.where(bounds < a[0], np.nan, np.interp(bounds, a, b))


def hull_ends(group: dict[str, Any], perception: str = "wasserstein", distortion: str = "mse") -> float:
    """The distortion where perception is best, as a multiple of the least, from a group's record."""
    _, along = hull(np.array(group[perception]), np.array(group[distortion]))
    return float(along[0] / along[-1])


def hull_gain(group: dict[str, Any], perception: str = "wasserstein", distortion: str = "mse") -> float:
    """By what share the perception measure falls from where distortion is least to its own least; 0..1."""
    across, _ = hull(np.array(group[perception]), np.array(group[distortion]))
    return float(1 - across[0] / across[-1]) if across[-1] else 0.0


def rank_correlation(x: Values, y: Values) -> float:
    """Spearman's rank correlation: 1 if y always rises with x, −1 if it falls, 0 if one is constant."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(spearmanr(x, y).statistic)


def _turns_right(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b lies on or above the chord from a to c."""
    return (b[0] - a[0]) * (c[1] - a[1]) <= (c[0] - a[0]) * (b[1] - a[1])
