"""Rounding of latents with an eye on their rate: all that the encoder's one pass does to save bits.

Where two integers are nearly as near, the smaller one is often much cheaper. A symbol goes to it when the
bits saved outweigh the squared error added: rate-distortion optimised quantisation, in the form that needs
neither a search nor a second pass. The decoder is not concerned.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

# Bits of residuals under tables or densities of the given indices, elementwise: (residual, index) → bits.
Bits = Callable[[Tensor, Tensor], Tensor]

# What a squared quantisation step is worth in bits, at the ends of the quality dial. A fine uniform quantiser
# would have 6 / ln 2 = 8.7; but the errors that this rounding makes all point the same way, and so add up.
# Measured on held-out crops of training images (docs/decisions.md).
_PRICE_MIN, _PRICE_MAX = 19.0, 80.0


class TableBits:
    """Bits of integers under integer tables."""

    def __init__(self, costs: Tensor) -> None:
        """costs: `[T, 2R + 1]`, for the integers -R..R; those beyond cost as much as the outermost."""
        self.costs, self.reach = costs, costs.shape[1] // 2

    def __call__(self, residual: Tensor, index: Tensor) -> Tensor:
        """residual: integers in floating point; index: 0..T-1, any type, same shape → bits."""
        place = (residual.long() + self.reach).clamp_(0, 2 * self.reach)
        return self.costs[index.long(), place]


def round_by_rate(x: Tensor, index: Tensor, quality: Tensor, bits: Bits) -> Tensor:
    """Round x `[B, N, h, w]` half up, or to the next integer nearer zero where that saves more than it costs.

    index: the table of each latent, same shape; quality `[B]`, 0..100.
    """
    price = _PRICE_MAX * torch.exp(math.log(_PRICE_MIN / _PRICE_MAX) / 100 * quality)[:, None, None, None]
    nearest = torch.floor(x + 0.5)
    smaller = nearest - nearest.sign()
    saved = bits(nearest, index) - bits(smaller, index)
    added = (x - smaller).square() - (x - nearest).square()
    return torch.where(saved > price * added, smaller, nearest)
