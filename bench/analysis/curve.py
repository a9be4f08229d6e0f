"""A measure over the rate, interpolated between the points at which it was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator


@dataclass(frozen=True)
class Curve:
    """A measure at some rates, interpolated by monotone cubics (PCHIP) over the logarithm of the rate.

    bpp: bits per pixel, `[Q]`; values: `[Q]`, or `[Q, …]` for several measures at the same rates.
    """

    bpp: np.ndarray
    values: np.ndarray

    def at(self, rates: np.ndarray | float) -> np.ndarray:
        """Values at other rates, `[R, …]`; NaN outside the measured range.

        A point that costs no more than one before it is left out, and so is one without a finite value, such
        as an image without errors in octaves.
        """
        rates = np.asarray(rates, float)
        rises = self.bpp > np.concatenate([[-np.inf], np.maximum.accumulate(self.bpp)[:-1]])
        known = np.isfinite(self.values).all(axis=tuple(range(1, self.values.ndim)))
        kept = np.flatnonzero(rises & known)
        if len(kept) < 2:
            return np.full((*rates.shape, *self.values.shape[1:]), np.nan)
        return PchipInterpolator(np.log2(self.bpp[kept]), self.values[kept], extrapolate=False)(
            np.log2(rates)
        )

    def rate_at(self, values: np.ndarray | float) -> np.ndarray:
        """The rates at which a measure that rises with the rate reaches `values`; NaN outside its range."""
        order = np.argsort(self.values)
        log_rate = PchipInterpolator(self.values[order], np.log2(self.bpp[order]), extrapolate=False)
        return np.exp2(log_rate(values))

    def by_rate(self) -> Curve:
        """The same points, sorted by rate."""
        order = np.argsort(self.bpp)
        return Curve(self.bpp[order], self.values[order])

    def improving(self) -> Curve:
        """Only the finite points with a higher rate and a higher value than the last one kept before them."""
        kept: list[int] = []
        for i, (rate, value) in enumerate(zip(self.bpp, self.values, strict=True)):
            if not np.isfinite(value):
                continue
            if not kept or (rate > self.bpp[kept[-1]] and value > self.values[kept[-1]]):
                kept.append(i)
        return Curve(self.bpp[kept], self.values[kept])

    def between(self, low: float, high: float) -> Curve:
        """The part with low ≤ value ≤ high of a curve whose values rise, with interpolated ends."""
        low, high = max(low, self.values[0]), min(high, self.values[-1])
        inside = (self.values > low) & (self.values < high)
        values = np.concatenate([[low], self.values[inside], [high]])
        return Curve(self.rate_at(values), values)
