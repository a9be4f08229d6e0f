"""The context network in integers: three decoded neighbours → how the hyper-latents of a position are coded.

A hyper-latent is predicted as a mean in eighths and a scale. It is coded as its distance to the mean's whole
part, under a table for the scale and the mean's fraction. As in `integers.py`, all sums are exact in float32,
so encoder and decoder find the same on every machine.

Such autoregressive context is usual for latents (Minnen, Ballé & Toderici, Joint Autoregressive and
Hierarchical Priors for Learned Image Compression, NeurIPS 2018). Here it serves the hyper-latents, which have
so few positions that it takes next to no time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rdpcodec.entropy.integers import (
    ACTIVATION_LIMIT,
    HYPER_LATENT_LIMIT,
    check_exact,
    largest_sum,
    rate_bias,
)
from rdpcodec.entropy.tables import KNOTS, TableFamily

# These numbers are part of the bitstream; docs/format.md states them. Training uses the same.
NEIGHBOURS = 3  # left, above, and above on the left
FRACTIONS = 8  # steps of a mean
SCALES = 16
CONTEXT_TABLES = SCALES * FRACTIONS
ENTER_SHIFT = 5  # accumulator → activation: divide by 2^shift, round half up, clamp
HIDDEN_SHIFT = 7
LEAVE_SHIFT = 9


@dataclass(frozen=True)
class ContextWeights:
    """The integers of one context network; K hidden channels, M hyper-latents, A knots.

    Weights are int8, biases int32. Inputs are the channels of the position to the left, then of that above,
    then of that above on the left; outputs are M means, then M scales.
    """

    enter: np.ndarray  # [K, 3M]
    enter_bias: np.ndarray  # [A, K]
    hidden: np.ndarray  # [K, K]
    hidden_bias: np.ndarray  # [K]
    leave: np.ndarray  # [2M, K]
    leave_bias: np.ndarray  # [A, 2M]

    def check_shapes(self, hyper_latents: int) -> None:
        """Raise `ValueError` unless all arrays fit each other and M."""
        k, m = len(self.hidden), hyper_latents
        for name, shape, kind in (
            ("enter", (k, NEIGHBOURS * m), "int8"),
            ("enter_bias", (KNOTS, k), "int32"),
            ("hidden", (k, k), "int8"),
            ("hidden_bias", (k,), "int32"),
            ("leave", (2 * m, k), "int8"),
            ("leave_bias", (KNOTS, 2 * m), "int32"),
        ):
            array: np.ndarray = getattr(self, name)
            if (array.shape, array.dtype.name) != (shape, kind):
                raise ValueError(
                    f"{name} of the context network is {array.dtype} {array.shape}, not {kind} {shape}"
                )

    def prove_bounds(self) -> int:
        """The largest absolute value that any partial sum can take, for any input; raises `ValueError` at
        2^24 or more.
        """
        return check_exact(
            "the context network",
            LEAVE_SHIFT,
            [
                largest_sum(self.enter, HYPER_LATENT_LIMIT, self.enter_bias),
                largest_sum(self.hidden, ACTIVATION_LIMIT, self.hidden_bias),
                largest_sum(self.leave, ACTIVATION_LIMIT, self.leave_bias),
            ],
        )


class ContextModel(NamedTuple):
    """A context network, and the tables that it chooses from."""

    weights: ContextWeights
    tables: TableFamily


class IntegerContextNetwork:
    """A context network ready to run. Holds no state between calls; safe to use from several threads."""

    def __init__(self, weights: ContextWeights) -> None:
        """Raises `ValueError` for weights whose sums may be inexact."""
        weights.prove_bounds()
        self._weights = weights
        self._enter, self._hidden, self._leave = (
            np.ascontiguousarray(matrix.T, np.float32)
            for matrix in (weights.enter, weights.hidden, weights.leave)
        )

    def __call__(self, neighbours: np.ndarray, quality: int) -> tuple[np.ndarray, np.ndarray]:
        """neighbours: integers in ±127, `[n, 3M]`; quality in hundredths → the whole part of each mean,
        int32 in ±127, and the number of each table, int32 in 0..127, both `[n, M]`.
        """
        weights, channels = self._weights, len(self._weights.leave) // 2
        x = neighbours.astype(np.float32) @ self._enter + rate_bias(weights.enter_bias, quality)
        x = _clamped(_shifted(x, ENTER_SHIFT), 0, ACTIVATION_LIMIT)
        x = _clamped(_shifted(x @ self._hidden + weights.hidden_bias, HIDDEN_SHIFT), 0, ACTIVATION_LIMIT)
        x = _shifted(x @ self._leave + rate_bias(weights.leave_bias, quality), LEAVE_SHIFT)
        furthest = FRACTIONS * HYPER_LATENT_LIMIT
        means = _clamped(x[:, :channels], -furthest, furthest).astype(np.int32)
        scales = _clamped(x[:, channels:], 0, SCALES - 1).astype(np.int32)
        whole = means // FRACTIONS
        return whole, scales * FRACTIONS + means - FRACTIONS * whole


def _shifted(x: np.ndarray, shift: int) -> np.ndarray:
    """⌊x / 2^shift + ½⌋ as float32: exact, because a power of two only moves the exponent."""
    return np.floor(x * 2.0**-shift + 0.5).astype(np.float32)


def _clamped(x: np.ndarray, low: int, high: int) -> np.ndarray:
    """As `np.clip`, which takes longer on arrays as small as these."""
    return np.minimum(np.maximum(x, low), high)
