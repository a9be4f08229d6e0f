"""The scale network: from rounded hyper-latents to the index of a probability table for every latent.

Decodability depends on it, as on the context network, so it works on small integers, which training reaches
by rounding with the gradient of the identity. `rdpcodec.entropy.integers` says which integers.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rdpcodec.entropy.integers import (
    ACTIVATION_LIMIT,
    ENTER_SHIFT,
    HIDDEN_SHIFT,
    INDEX_LIMIT,
    LEAVE_SHIFT,
    WEIGHT_LIMIT,
)
from rdpcodec.entropy.tables import KNOTS
from rdpcodec.model.rate import interpolate_knots
from rdpcodec.weights.architecture import Architecture

# Table i is meant for a residual of standard deviation SCALE_MIN · SCALE_RATIO^i quantisation steps. At 0.1 a
# symbol is zero with probability 1 - 6e-7; 128 covers the mean brightness of a block at the highest quality.
# 64 tables are 12 % apart, which costs under 0.1 % of the rate.
SCALE_COUNT = INDEX_LIMIT + 1
SCALE_MIN = 0.1
SCALE_MAX = 128.0
SCALE_RATIO = (SCALE_MAX / SCALE_MIN) ** (1 / (SCALE_COUNT - 1))

# What the integers stand for in training. That of activations is chosen; the shifts decide the others.
ACTIVATION_UNIT = 1 / 32
WEIGHT_UNIT = 2.0**-HIDDEN_SHIFT
# One hyper-latent step counts as 1/4: ±1, by far the most frequent values, then stand out above the rounding
# of activations.
HYPER_LATENT_UNIT = 2.0**-ENTER_SHIFT * ACTIVATION_UNIT / WEIGHT_UNIT
# At the end, 1 is eight table steps: the last weights and biases are then of order one like all others.
TABLE_STEPS = 2.0**-LEAVE_SHIFT / (WEIGHT_UNIT * ACTIVATION_UNIT)


def round_through(x: Tensor) -> Tensor:
    """Round half up, with the gradient of the identity (straight-through)."""
    return x + (torch.floor(x + 0.5) - x).detach()


def clamp_through(x: Tensor, low: float, high: float) -> Tensor:
    """Clamp; outside the range the gradient passes only where it leads back inside (as in LSQ), so no unit
    dies for good.
    """
    return _ClampThrough.apply(x, low, high)


class _ClampThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.low, ctx.high = low, high
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (x,), (grad,) = ctx.saved_tensors, gradients
        keep = ((x >= ctx.low) | (grad < 0)) & ((x <= ctx.high) | (grad > 0))
        return grad * keep, None, None


class _IntegerLayer(nn.Module):
    """What the two kinds of integer layer share: weights that are real in training and used rounded."""

    weight: nn.Parameter
    weight_unit = WEIGHT_UNIT

    def integer_weight(self) -> Tensor:
        """The weight in units of `weight_unit`: integers -127..127, carried in floating point."""
        return round_through(clamp_through(self.weight / self.weight_unit, -WEIGHT_LIMIT, WEIGHT_LIMIT))


class IntegerPointwise(_IntegerLayer):
    """1×1 convolution on integers; the bias may follow the quality."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        knots: int = 1,
        init: float = 1.0,
        bias: float = 0.0,
        weight_unit: float = WEIGHT_UNIT,
    ) -> None:
        super().__init__()
        self.weight_unit = weight_unit
        bound = init * (3.0 / channels_in) ** 0.5
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.full((knots, channels_out), bias))

    def integer_bias(self, unit: float) -> Tensor:
        """The bias table `[knots, out]` in the accumulator's units, integers carried in floating point."""
        return round_through(self.bias / unit)

    def accumulate(self, x: Tensor, quality: Tensor, unit: float) -> Tensor:
        """Integers `[B, in, h, w]` → accumulators `[B, out, h, w]`; `unit` is the value of one in the
        accumulator.
        """
        bias = self.integer_bias(unit)
        bias = bias.expand(len(quality), -1) if len(bias) == 1 else interpolate_knots(bias, quality)
        return F.conv2d(x, self.integer_weight()[:, :, None, None]) + round_through(bias)[:, :, None, None]


class IntegerDepthwise(_IntegerLayer):
    """Depthwise 3×3 convolution on integers, zero-padded."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        weight = torch.empty(channels, 1, 3, 3).uniform_(-0.1, 0.1)
        weight[:, :, 1, 1] += 0.9
        self.weight = nn.Parameter(weight)

    def accumulate(self, x: Tensor) -> Tensor:
        """Integers `[B, C, h, w]` → accumulators of the same shape."""
        return F.conv2d(x, self.integer_weight(), padding=1, groups=x.shape[1])


def _shift(accumulator: Tensor, shift: int, limit: int) -> Tensor:
    """Divide by 2^shift, round half up, clamp to 0..limit: an accumulator becomes activations or indices."""
    return round_through(clamp_through(accumulator * 2.0**-shift, 0, limit))


class ScaleNetwork(nn.Module):
    """Rounded hyper-latents → the index of the probability table of every latent, in integer arithmetic.

    Everything between the layers is an integer carried in floating point; every weight is an integer of 8
    bits used with straight-through rounding, so what is trained is what is shipped. `integer_scales.py`, the
    graph `scales` and the browser's `scales.js` evaluate the exported integers, and must agree with this
    module bit for bit.

    Layers: 1×1 (rate-dependent bias), [depthwise, 1×1 to 4K, pixel shuffle] twice, depthwise, 1×1
    (rate-dependent bias).
    """

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        k = size.scale
        # Positive biases keep the clamped units alive at z = 0.
        self.enter = IntegerPointwise(size.hyper_latents, k, knots=KNOTS, bias=1.0)
        self.filters: Any = nn.ModuleList(IntegerDepthwise(k) for _ in range(3))
        self.widen: Any = nn.ModuleList(IntegerPointwise(k, 4 * k, bias=0.5) for _ in range(2))
        # At the start every residual is taken to have a standard deviation of half a step.
        half_step = math.log(0.5 / SCALE_MIN) / math.log(SCALE_RATIO) / TABLE_STEPS
        self.leave = IntegerPointwise(k, size.latents, knots=KNOTS, init=0.5, bias=half_step)

    def forward(self, z: Tensor, quality: Tensor) -> Tensor:
        """z: `[B, M, h, w]`, integers in ±127; quality `[B]` → indices 0..63, `[B, N, 4h, 4w]`, integral
        floats.
        """
        accumulated = self.enter.accumulate(z, quality, WEIGHT_UNIT * HYPER_LATENT_UNIT)
        x = _shift(accumulated, ENTER_SHIFT, ACTIVATION_LIMIT)
        unit = WEIGHT_UNIT * ACTIVATION_UNIT
        for i in range(2):
            x = _shift(self.filters[i].accumulate(x), HIDDEN_SHIFT, ACTIVATION_LIMIT)
            wider = F.pixel_shuffle(self.widen[i].accumulate(x, quality, unit), 2)
            x = _shift(wider, HIDDEN_SHIFT, ACTIVATION_LIMIT)
        x = _shift(self.filters[2].accumulate(x), HIDDEN_SHIFT, ACTIVATION_LIMIT)
        return _shift(self.leave.accumulate(x, quality, unit), LEAVE_SHIFT, INDEX_LIMIT)
