"""The hyperprior: what the decoder knows about the latents before it reads them.

Three parts. The hyper-analysis sums the latents up in hyper-latents z. The scale network turns rounded z into
the index of a probability table for every latent; it is the only network on which decodability depends, so it
works on small integers (see `ScaleNetwork`). The mean network predicts the latents themselves, in floating
point: an error in the last bit there moves a reconstructed latent by that last bit and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rdpcodec.entropy.tables import KNOTS
from rdpcodec.model.blocks import ConvBlock, Downsample, Pointwise, Upsample
from rdpcodec.model.rate import RateGain, interpolate_knots
from rdpcodec.model.transforms import Architecture

# Table i is meant for a residual of standard deviation SCALE_MIN · SCALE_RATIO^i quantisation steps. At 0.1 a
# symbol is zero with probability 1 - 6e-7; 128 covers the mean brightness of a block at the highest quality.
# 64 tables are 12 % apart, which costs under 0.1 % of the rate.
SCALE_COUNT = 64
SCALE_MIN = 0.1
SCALE_MAX = 128.0
SCALE_RATIO = (SCALE_MAX / SCALE_MIN) ** (1 / (SCALE_COUNT - 1))

# Integer formats of the scale network: weights of 8 bits and activations of 8 bits, so that operands are
# exact even in bfloat16 and TF32, and accumulators stay far below float32's 2^24 (proved per model at
# export).
WEIGHT_MAX = 127
ACTIVATION_MAX = 255
HYPER_LATENT_MAX = 127
WEIGHT_UNIT = 1 / 64
ACTIVATION_UNIT = 1 / 32
# One hyper-latent step counts as 1/4: ±1, by far the most frequent values, then stand out of the activations'
# rounding.
HYPER_LATENT_UNIT = 1 / 4


def round_through(x: Tensor) -> Tensor:
    """Round half up, with the gradient of the identity (straight-through)."""
    return x + (torch.floor(x + 0.5) - x).detach()


def _clamp_through(x: Tensor, low: float, high: float) -> Tensor:
    """Clamp; outside the range the gradient passes only where it leads back inside (as in LSQ), so no unit
    dies for good.
    """
    return _ClampThrough.apply(x, low, high)


class _ClampThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, low: float, high: float) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        ctx.low, ctx.high = low, high
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensors
        keep = ((x >= ctx.low) | (grad < 0)) & ((x <= ctx.high) | (grad > 0))
        return grad * keep, None, None


class FactorizedPrior(nn.Module):
    """Density of the hyper-latents in training: one logistic per channel, whose width and centre follow the
    quality.

    At export it is replaced by integer tables counted on the training images.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(KNOTS, channels))
        # Narrow at first: hyper-latents near zero cost next to nothing until they are worth something.
        self.log_scale = nn.Parameter(torch.full((KNOTS, channels), math.log(0.1)))

    def bits(self, z: Tensor, quality: Tensor) -> Tensor:
        """Information of z (noisy or rounded), in bits.

        z: `[B, M, h, w]`; quality: `[B]` → `[B, M, h, w]`.
        """
        mean = interpolate_knots(self.mean, quality)[:, :, None, None]
        inverse = torch.exp(-interpolate_knots(self.log_scale, quality))[:, :, None, None]
        distance = (z - mean).abs()
        upper = torch.sigmoid((0.5 - distance) * inverse)
        lower = torch.sigmoid((-0.5 - distance) * inverse)
        return information(upper - lower)


def information(probability: Tensor) -> Tensor:
    """-log2 of a probability, floored at 2^-30 with the gradient kept alive below the floor."""
    return -torch.log2(_clamp_through(probability, 2.0**-30, 2.0))


class ResidualDensity(nn.Module):
    """Density of y - μ in training: a zero-mean mixture of two Gaussians whose shape is learned per scale
    index.

    The wide component gives the tails that residuals of natural images have. At export it becomes integer
    tables.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tail_logit = nn.Parameter(torch.full((SCALE_COUNT,), -2.0))
        self.core_log_width = nn.Parameter(torch.zeros(SCALE_COUNT))
        self.tail_log_width = nn.Parameter(torch.full((SCALE_COUNT,), 1.0))

    def forward(self, residual: Tensor, index: Tensor) -> Tensor:
        """Information in bits. residual: noisy or rounded y - μ; index: same shape, 0..63, integral → the
        same shape.

        The gradient reaches the index through the nominal scale, as if it were continuous.
        """
        inverse = torch.exp(-math.log(SCALE_RATIO) * index) / SCALE_MIN
        # Weights that are no longer finite must reach the loss, not fail here.
        level = index.detach().nan_to_num().long()
        tail = _look_up(torch.sigmoid(self.tail_logit), level)
        core_inverse = inverse * _look_up(torch.exp(-self.core_log_width), level)
        tail_inverse = inverse * _look_up(torch.exp(-self.tail_log_width), level)
        distance = residual.abs()
        core = _gaussian_bin(distance, core_inverse)
        return information(core + tail * (_gaussian_bin(distance, tail_inverse) - core))


def _look_up(table: Tensor, level: Tensor) -> Tensor:
    """table[level], for `[64]` and any shape. The gradient is summed by rows first: millions of values on 64
    sums would wait for each other.
    """
    rows = level.reshape(math.prod(level.shape[:-2]), -1)
    return table.expand(len(rows), -1).gather(1, rows).view(level.shape)


def _gaussian_bin(distance: Tensor, inverse_scale: Tensor) -> Tensor:
    """Probability that a zero-mean Gaussian lies within ½ of `distance` ≥ 0, accurate in the tail."""
    root_half = 0.5**0.5
    upper = torch.erfc((distance - 0.5) * inverse_scale * root_half)
    lower = torch.erfc((distance + 0.5) * inverse_scale * root_half)
    return 0.5 * (upper - lower)


class _IntegerLayer(nn.Module):
    """What the two kinds of integer layer share: real-valued weights in training that are used rounded."""

    weight: nn.Parameter

    def integer_weight(self) -> Tensor:
        """The weight in units of WEIGHT_UNIT: integers -127..127, carried in floating point."""
        return round_through(_clamp_through(self.weight / WEIGHT_UNIT, -WEIGHT_MAX, WEIGHT_MAX))


class IntegerPointwise(_IntegerLayer):
    """1×1 convolution on integers; the bias may follow the quality."""

    def __init__(
        self, channels_in: int, channels_out: int, *, knots: int = 1, init: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__()
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


def _activate(accumulator: Tensor, unit: float) -> Tensor:
    """Accumulator → activation: divide by a power of two, round half up, clamp to 0..255."""
    return round_through(_clamp_through(accumulator * (unit / ACTIVATION_UNIT), 0, ACTIVATION_MAX))


class ScaleNetwork(nn.Module):
    """Rounded hyper-latents → the index of the probability table of every latent, in integer arithmetic.

    Everything between the layers is an integer carried in floating point; every weight is an integer of 8
    bits used with straight-through rounding, so what is trained is what is shipped. `rdpcodec.entropy.exact`
    evaluates the exported integers and must agree with this module bit for bit.

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
        half_step = math.log(0.5 / SCALE_MIN) / math.log(SCALE_RATIO) / 8
        self.leave = IntegerPointwise(k, size.latents, knots=KNOTS, init=0.5, bias=half_step)

    def forward(self, z: Tensor, quality: Tensor) -> Tensor:
        """z: `[B, M, h, w]`, integers in ±127; quality `[B]` → indices 0..63, `[B, N, 4h, 4w]`, integral
        floats.
        """
        unit = WEIGHT_UNIT * HYPER_LATENT_UNIT
        x = _activate(self.enter.accumulate(z, quality, unit), unit)
        unit = WEIGHT_UNIT * ACTIVATION_UNIT
        for i in range(2):
            x = _activate(self.filters[i].accumulate(x), unit)
            x = _activate(F.pixel_shuffle(self.widen[i].accumulate(x, quality, unit), 2), unit)
        x = _activate(self.filters[2].accumulate(x), unit)
        # The last bias and output are in units of eight table steps, of order one like everything else.
        index = self.leave.accumulate(x, quality, unit) * (8 * unit)
        return round_through(_clamp_through(index, 0, SCALE_COUNT - 1))


class HyperAnalysis(nn.Module):
    """Latents → hyper-latents at a quarter of their resolution."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        self.enter = Pointwise(size.latents, size.prior // 2)
        self.first = ConvBlock(size.prior // 2)
        self.down = Downsample(size.prior // 2, size.prior // 2)
        self.second = ConvBlock(size.prior // 2)
        # × 0.1: hyper-latents start rounded to zero, and free, until a use for them is learned.
        self.leave = Downsample(size.prior // 2, size.hyper_latents)
        with torch.no_grad():
            self.leave.mix.weight.mul_(0.1)

    def forward(self, y: Tensor) -> Tensor:
        """y: `[B, N, h, w]`, h and w multiples of 4 → `[B, M, h/4, w/4]`."""
        # Latents of a high-quality file reach hundreds; the network sees them compressed so that they do not
        # swamp it.
        y = y / (1 + 0.1 * y.abs())
        return self.leave(self.second(self.down(self.first(self.enter(y)))))


class TwoPass(NamedTuple):
    """What two passes over the checkerboard end with: means and residuals of all latents, `[B, N, h, w]`."""

    mean: Tensor
    residual: Tensor

    @property
    def latents(self) -> Tensor:
        """The latents as the decoder has them."""
        return self.mean + self.residual


class MeanNetwork(nn.Module):
    """Rounded hyper-latents → means of the latents, refined once: the second half of a checkerboard sees the
    first.
    """

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        p = size.prior
        self.enter = Upsample(size.hyper_latents, p // 2)
        self.first = ConvBlock(p // 2)
        self.up = Upsample(p // 2, p)
        self.gain = RateGain(p)
        self.leave = Pointwise(p, size.latents, init=0.1, full_precision=True)
        self.context_enter = Pointwise(size.latents, p)
        self.context = ConvBlock(p)
        self.context_leave = Pointwise(p, size.latents, init=0.1, full_precision=True)

    def features(self, z: Tensor, quality: Tensor) -> Tensor:
        """z: `[B, M, h, w]` → features `[B, P, 4h, 4w]`."""
        return self.gain(self.up(self.first(self.enter(z))), quality)

    def two_pass(self, features: Tensor, residual_of: Callable[[Tensor], Tensor]) -> TwoPass:
        """The checkerboard: anchors first, from the hyper-latents alone; the rest from the anchors, too.

        features: of the hyper-latents, cut to the latents' size, `[B, P, h, w]`. residual_of: means
        `[B, N, h, w]` → residuals, of which those at the positions of this pass are used. An encoder rounds
        `y - mean`; a decoder has read them all already.
        """
        first_mean = self.leave(features)
        anchor = anchor_mask(first_mean)
        first = residual_of(first_mean)
        anchors = torch.where(anchor, first_mean + first, 0.0)
        second_mean = self.context_leave(self.context(features + self.context_enter(anchors)))
        second = residual_of(second_mean)
        return TwoPass(torch.where(anchor, first_mean, second_mean), torch.where(anchor, first, second))


def anchor_mask(latents: Tensor) -> Tensor:
    """The checkerboard `[h, w]` for latents `[B, N, h, w]`: true where row + column is even, the half known
    first.
    """
    rows = torch.arange(latents.shape[2], device=latents.device)[:, None]
    columns = torch.arange(latents.shape[3], device=latents.device)[None, :]
    return (rows + columns) % 2 == 0
