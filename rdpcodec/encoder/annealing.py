"""Stochastic Gumbel annealing: rounding at random that grows certain (Yang, Bamler & Mandt, Improving
Inference for Neural Image Compression, NeurIPS 2020, section 3.2).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Temperature of the annealing: at its start a latent halfway between two integers takes either, at its end
# the nearer one.
WARM, COLD, COOLING = 0.5, 0.1, 100.0


def temperature(step: int) -> float:
    """The temperature of a step, from 1 on."""
    return max(COLD, WARM * math.exp(-step / COOLING))


def anneal(x: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """A random mixture of the two integers around x, nearly always the nearer one when cold (equation 6)."""
    low = torch.floor(x)
    # artanh is infinite at 1: a latent on an integer stays there.
    place = (x - low).clamp(1e-4, 1 - 1e-4)
    preference = (torch.atanh(place) - torch.atanh(1 - place)) / temperature
    # The difference of two Gumbel variables is logistic.
    noise = torch.rand(x.shape, generator=generator, device=x.device).clamp(1e-6, 1 - 1e-6).logit()
    return low + torch.sigmoid((preference + noise) / temperature)
