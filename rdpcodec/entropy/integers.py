"""The integers of the scale network: rounded hyper-latents → table indices, the same on every machine.

Engines evaluate them: `rdpcodec.model.integer_scales` in torch, a release's graph `scales` in ONNX Runtime.
This and the context network (`context.py`) are all that encoder and decoder must agree on to the last bit.
All values are integers carried in float32 (or float64). Operands have 8 bits, so they survive bfloat16 and
TF32 units too. Every partial sum stays below 2^24 (proved by `prove_bounds` when weights are exported and
again when they are loaded), so no order of summation, thread count, vector width, library or device can
change it. Only sums of products, clamps and scalings by powers of two are used; no FFT, no Winograd.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# These numbers are part of the bitstream; docs/format.md states them. Training uses the same.
QUALITY_FULL = 10_000  # a quality of 100, as stored: in hundredths
WEIGHT_LIMIT = 127
ACTIVATION_LIMIT = 255
HYPER_LATENT_LIMIT = 127
INDEX_LIMIT = 63
ENTER_SHIFT = 3  # accumulator → activation: divide by 2^shift, round half up, clamp
HIDDEN_SHIFT = 6
LEAVE_SHIFT = 8
EXACT_LIMIT = 2**24


@dataclass(frozen=True)
class ScaleWeights:
    """The integers of one scale network; K hidden channels, M hyper-latents, N latents, A knots.

    Weights are int8, biases int32; `enter_bias` `[A, K]` and `leave_bias` `[A, N]` depend on the quality.
    """

    enter: np.ndarray  # [K, M]
    enter_bias: np.ndarray
    filters: tuple[np.ndarray, np.ndarray, np.ndarray]  # [K, 3, 3] each
    widen: tuple[np.ndarray, np.ndarray]  # [4K, K] each
    widen_bias: tuple[np.ndarray, np.ndarray]  # [4K] each
    leave: np.ndarray  # [N, K]
    leave_bias: np.ndarray

    def prove_bounds(self) -> int:
        """The largest absolute value that any partial sum can take, for any input; raises `ValueError` at
        2^24 or more.
        """
        return check_exact(
            "the scale network",
            LEAVE_SHIFT,
            [
                largest_sum(self.enter, HYPER_LATENT_LIMIT, self.enter_bias),
                *(largest_sum(weight, ACTIVATION_LIMIT, 0) for weight in self.filters),
                *(
                    largest_sum(weight, ACTIVATION_LIMIT, bias)
                    for weight, bias in zip(self.widen, self.widen_bias, strict=True)
                ),
                largest_sum(self.leave, ACTIVATION_LIMIT, self.leave_bias),
            ],
        )


def largest_sum(weight: np.ndarray, limit: int, bias: np.ndarray | int) -> int:
    """The largest absolute value of a layer's sums, partial ones too, for inputs up to `limit`.

    It is Σ|weight| · limit + |bias|, whatever the order of summation. weight: int8 `[out, …]`; bias: int32
    `[out]`, or `[A, out]` for a table along the quality.
    """
    rows = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1) * limit
    return int((rows + np.abs(np.asarray(bias, np.int64))).max())


def check_exact(network: str, shift: int, sums: Sequence[int]) -> int:
    """The largest of a network's sums; raises `ValueError` at 2^24 or more.

    shift: the largest of the network's shifts. Rounding adds 2^(shift - 1) before it.
    """
    largest = max(sums) + 2 ** (shift - 1)
    if largest >= EXACT_LIMIT:
        raise ValueError(f"{network}'s sums reach {largest}, beyond the exact integers of float32 (2^24)")
    return largest


def rate_bias(table: np.ndarray, quality: int) -> np.ndarray:
    """The bias at a quality in hundredths (0..10000): linear between knots, in integers.

    table: int32 `[A, C]` → int64 `[C]`.
    """
    position = quality * (len(table) - 1)
    lower = min(position // QUALITY_FULL, len(table) - 2)
    fraction = position - lower * QUALITY_FULL
    wide = table.astype(np.int64)
    return (
        wide[lower] * (QUALITY_FULL - fraction) + wide[lower + 1] * fraction + QUALITY_FULL // 2
    ) // QUALITY_FULL
