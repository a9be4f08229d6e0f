"""Rounding by rate (`rdpcodec.entropy.rounding`) of tensors, under tables or densities in training."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from rdpcodec.entropy.rounding import PRICE_MAX, PRICE_MIN

# Bits of residuals under the given tables, or the densities of these, elementwise: (residual, tables) → bits.
Bits = Callable[[Tensor, Tensor], Tensor]


class TableBits:
    """Bits of integers under integer tables."""

    def __init__(self, costs: Tensor) -> None:
        """costs: `[T, 2R + 1]`, for the integers -R..R; those beyond cost as much as the outermost."""
        self.costs, self.reach = costs, costs.shape[1] // 2

    def __call__(self, residual: Tensor, tables: Tensor) -> Tensor:
        """residual: integers in floating point; tables: 0..T-1, any type, same shape → bits."""
        place = (residual.long() + self.reach).clamp_(0, 2 * self.reach)
        return self.costs[tables.long(), place]


def round_by_rate(x: Tensor, tables: Tensor, quality: Tensor, bits: Bits) -> Tensor:
    """Round x `[B, N, h, w]` half up, or to the next integer nearer zero where that saves more than it costs.

    tables: the table of each latent, same shape; quality `[B]`, 0..100.
    """
    price = PRICE_MAX * torch.exp(math.log(PRICE_MIN / PRICE_MAX) / 100 * quality)[:, None, None, None]
    nearest = torch.floor(x + 0.5)
    smaller = nearest - nearest.sign()
    saved = bits(nearest, tables) - bits(smaller, tables)
    added = (x - smaller).square() - (x - nearest).square()
    return torch.where(saved > price * added, smaller, nearest)
