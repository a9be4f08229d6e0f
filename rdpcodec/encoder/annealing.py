"""Stochastic Gumbel annealing: random rounding that becomes certain as it cools (Yang, Bamler & Mandt,
Improving Inference for Neural Image Compression, NeurIPS 2020, section 3.2).
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

# Temperatures of the annealing. At the start, a latent about halfway between two integers rounds to either;
# at the end, to the nearer one.
WARM, COLD, COOLING = 0.4, 0.1, 180.0


def temperature(step: int) -> float:
    """The temperature at a step; steps count from 1."""
    return max(COLD, WARM * math.exp(-step / COOLING))


class ExpectedBits:
    """The average cost of residuals that are rounded at random: between two integers, on the line between
    the coder's costs of the two.

    A smooth density in its place would price half a step at next to nothing, which no file ever does.
    """

    def __init__(self, costs: Tensor, tables: Tensor) -> None:
        """costs: bits of the integers -R..R in each table, `[T, 2R + 1]`; tables: the number of each
        residual's table, int64 of any shape.
        """
        self._costs, width = costs.flatten(), costs.shape[1]
        self._reach = width // 2
        self._zeros = tables * width + self._reach

    def __call__(self, mixed: Tensor) -> Tensor:
        """The bits of residuals that are mixtures of two integers (`anneal`), a scalar. Beyond R, the line
        through the outermost two integers continues.
        """
        return cast(Tensor, _LineBits.apply(mixed, self._costs, self._zeros, self._reach))


class _LineBits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mixed: Tensor, costs: Tensor, zeros: Tensor, reach: int) -> Tensor:
        low = torch.floor(mixed).clamp_(-reach, reach - 1)
        place = zeros + low.long()
        bits = costs.take(place)
        slope = costs.take(place + 1) - bits
        ctx.save_for_backward(slope)
        return (bits + slope * (mixed - low)).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return gradients[0] * slope, None, None, None


def anneal(x: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """A random mixture of the two integers around x, nearly always the nearer one when cold (equation 6)."""
    low = torch.floor(x)
    # artanh is infinite at 1: a latent on an integer stays there.
    place = (x - low).clamp(1e-4, 1 - 1e-4)
    preference = (torch.atanh(place) - torch.atanh(1 - place)) / temperature
    # The difference of two Gumbel variables is logistic.
    uniform = torch.rand(x.shape, generator=generator, dtype=torch.float32, device=x.device)
    noise = uniform.clamp(1e-6, 1 - 1e-6).logit()
    return low + torch.sigmoid((preference + noise) / temperature)
