"""Integer probability tables, stored with the weights and handed to the coder unchanged.

A table gives each symbol of an alphabet a frequency out of 2^24. Tables come in families (`TableFamily`): one
for the residuals of the latents, chosen by scale index; one for the hyper-latents, chosen by channel and by
quality; and one for hyper-latents in context, chosen by the context network. No table is ever computed on the
machine that decodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

PRECISION = 24
TOTAL = 1 << PRECISION
# A value outside its table is coded as the escape symbol and, separately, as 16 raw bits. Residuals stay
# below 6000 in any 8-bit image; the encoder clips what lies outside the limit.
ESCAPE_BITS = 16
ESCAPE_LIMIT = (1 << (ESCAPE_BITS - 1)) - 1
# Whatever depends on the rate, including the banks of hyper-latents' tables, is stored at this many knots
# along the quality setting. With eight, neighbouring knots are 2.7 × apart in λ, a step over which optimal
# gains are close to log-linear.
KNOTS = 8


@dataclass(frozen=True)
class TableFamily:
    """Tables over the integers -reach..reach, plus one escape symbol if the family has it.

    frequencies: int32, all tables one after the other; table t covers `2·reach[t] + 1` symbols in rising
    order, then the escape. reach: int32 `[T]`.
    """

    frequencies: np.ndarray
    reach: np.ndarray
    escape: bool

    def __post_init__(self) -> None:
        """Check every invariant the coder relies on. Raises `ValueError` for hostile or damaged weights."""
        if self.frequencies.dtype != np.int32 or self.reach.dtype != np.int32:
            raise ValueError("probability tables must be int32")
        lengths = self.lengths
        if (self.reach < 0).any() or (lengths < 2).any() or lengths.sum() != len(self.frequencies):
            raise ValueError("probability tables and their lengths do not match")
        if (self.frequencies < 1).any():
            raise ValueError("a probability table holds a frequency below one")
        if (np.add.reduceat(self.frequencies.astype(np.int64), self.starts) != TOTAL).any():
            raise ValueError(f"a probability table does not add up to 2^{PRECISION}")

    @cached_property
    def lengths(self) -> np.ndarray:
        """Number of symbols in each table, the escape included, int64 `[T]`."""
        return 2 * self.reach.astype(np.int64) + 1 + self.escape

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each table starts in `frequencies`, int64 `[T]`."""
        ends = np.cumsum(self.lengths)
        return ends - self.lengths

    def table(self, index: int) -> np.ndarray:
        """The frequencies of one table, int32 `[2·reach + 1 (+ 1)]`."""
        start = self.starts[index]
        return self.frequencies[start : start + self.lengths[index]]

    def costs(self) -> np.ndarray:
        """Ideal cost in bits of each integer in each table of a family with escapes, float32 `[T, 2R + 1]`
        for -R..R. R is the largest reach plus one: every value beyond costs as much as the outermost two.
        """
        size = int(self.reach.max()) + 1
        values = np.arange(-size, size + 1)
        tables = np.arange(len(self.reach))[:, None]
        escaped = np.abs(values) > self.reach[tables]
        symbol = np.where(escaped, self.lengths[tables] - 1, values + self.reach[tables])
        bits = PRECISION - np.log2(self.frequencies[self.starts[tables] + symbol]) + ESCAPE_BITS * escaped
        return bits.astype(np.float32)


def integer_frequencies(weights: np.ndarray) -> np.ndarray:
    """Non-negative float `weights` `[n]` → the nearest positive integers that add up to 2^24, int32 `[n]`.

    Every symbol gets at least one; the remainder of rounding goes to the largest.
    """
    share = weights / weights.sum() * (TOTAL - len(weights))
    frequencies = np.floor(share).astype(np.int64) + 1
    frequencies[np.argmax(frequencies)] += TOTAL - frequencies.sum()
    return frequencies.astype(np.int32)
