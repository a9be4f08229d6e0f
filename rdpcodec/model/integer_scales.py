"""The exported integers of a scale network, evaluated by torch.

`rdpcodec.entropy.integers` says why every engine on every machine finds the same table indices.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rdpcodec.entropy.integers import (
    ACTIVATION_LIMIT,
    ENTER_SHIFT,
    HIDDEN_SHIFT,
    INDEX_LIMIT,
    LEAVE_SHIFT,
    ScaleWeights,
    rate_bias,
)

# Every type that holds all integers up to 2^24 gives the same.
DTYPE = torch.float32


class IntegerScaleNetwork:
    """A scale network ready to run on one device.

    Holds no state between calls; safe to use from several threads.
    """

    def __init__(self, weights: ScaleWeights, device: torch.device) -> None:
        weights.prove_bounds()

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array.astype(np.float64)).to(device=device, dtype=DTYPE)

        self._tensor = tensor
        self._weights = weights
        self._enter = tensor(weights.enter)
        self._filters = [tensor(w)[:, None] for w in weights.filters]
        self._widen = [(tensor(w), tensor(b)) for w, b in zip(weights.widen, weights.widen_bias, strict=True)]
        self._leave = tensor(weights.leave)

    @torch.no_grad()
    def tables(self, z: Tensor, quality: int) -> Tensor:
        """z: integers in ±127, any dtype, `[B, M, h, w]`; quality in hundredths → the table of each latent,
        uint8 `[B, N, 4h, 4w]`, 0..63.
        """
        x = z.to(self._enter)
        bias = self._tensor(rate_bias(self._weights.enter_bias, quality))
        x = _shift(_pointwise(x, self._enter, bias), ENTER_SHIFT, ACTIVATION_LIMIT)
        for filtering, (weight, widen_bias) in zip(self._filters, self._widen, strict=False):
            x = _shift(_depthwise(x, filtering), HIDDEN_SHIFT, ACTIVATION_LIMIT)
            x = _shift(F.pixel_shuffle(_pointwise(x, weight, widen_bias), 2), HIDDEN_SHIFT, ACTIVATION_LIMIT)
        x = _shift(_depthwise(x, self._filters[2]), HIDDEN_SHIFT, ACTIVATION_LIMIT)
        bias = self._tensor(rate_bias(self._weights.leave_bias, quality))
        return _shift(_pointwise(x, self._leave, bias), LEAVE_SHIFT, INDEX_LIMIT).to(torch.uint8)


def _pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """1×1 convolution as a matrix product. x: `[B, in, h, w]` → `[B, out, h, w]`."""
    return torch.matmul(weight, x.flatten(2)).reshape(len(x), -1, *x.shape[2:]) + bias[:, None, None]


def _depthwise(x: Tensor, weight: Tensor) -> Tensor:
    """Depthwise 3×3 convolution as nine shifted products, zero-padded. weight: `[C, 1, 3, 3]`."""
    height, width = x.shape[2:]
    padded = F.pad(x, (1, 1, 1, 1))
    total = torch.zeros_like(x)
    for row in range(3):
        for column in range(3):
            total += (
                weight[:, :, row, column, None] * padded[:, :, row : row + height, column : column + width]
            )
    return total


def _shift(x: Tensor, shift: int, limit: int) -> Tensor:
    """⌊x / 2^shift + ½⌋, clamped to 0..limit: exact, because a power of two only moves the exponent."""
    return torch.floor(x * 2.0**-shift + 0.5).clamp(0, limit)
