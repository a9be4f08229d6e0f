"""The hyperprior: what the decoder knows about the latents before it reads them.

The hyper-analysis summarises the latents in hyper-latents z. The mean network predicts the latents from
rounded z, in floating point: an error in the last bit there moves a reconstructed latent by that last bit and
nothing else. The densities serve training alone. The networks on which decodability depends are in
`scale_network.py` and `context_network.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rdpcodec.entropy.tables import KNOTS
from rdpcodec.model.blocks import Downsample, Pointwise, Upsample, block
from rdpcodec.model.rate import RateGain, interpolate_knots
from rdpcodec.model.scale_network import SCALE_COUNT, SCALE_MIN, SCALE_RATIO, clamp_through
from rdpcodec.weights.architecture import Architecture


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
    return -torch.log2(clamp_through(probability, 2.0**-30, 2.0))


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

    def forward(self, residual: Tensor, tables: Tensor) -> Tensor:
        """Information in bits. residual: noisy or rounded y - μ; tables: same shape, 0..63, integral → the
        same shape.

        The gradient reaches the tables through the nominal scale, as if it were continuous.
        """
        inverse = torch.exp(-math.log(SCALE_RATIO) * tables) / SCALE_MIN
        # Weights that are no longer finite must reach the loss, not fail here.
        numbers = tables.detach().nan_to_num().long()
        tail = _look_up(torch.sigmoid(self.tail_logit), numbers)
        core_inverse = inverse * _look_up(torch.exp(-self.core_log_width), numbers)
        tail_inverse = inverse * _look_up(torch.exp(-self.tail_log_width), numbers)
        distance = residual.abs()
        core = _gaussian_bin(distance, core_inverse)
        return information(core + tail * (_gaussian_bin(distance, tail_inverse) - core))


def _look_up(values: Tensor, numbers: Tensor) -> Tensor:
    """values[numbers], for `[64]` and any shape. The gradient is summed by rows first: millions of numbers
    added to 64 sums would wait for each other.
    """
    rows = numbers.reshape(math.prod(numbers.shape[:-2]), -1)
    return values.expand(len(rows), -1).gather(1, rows).view(numbers.shape)


def _gaussian_bin(distance: Tensor, inverse_scale: Tensor) -> Tensor:
    """Probability that a zero-mean Gaussian lies within ½ of `distance` ≥ 0, accurate in the tail."""
    root_half = 0.5**0.5
    upper = torch.erfc((distance - 0.5) * inverse_scale * root_half)
    lower = torch.erfc((distance + 0.5) * inverse_scale * root_half)
    return 0.5 * (upper - lower)


class HyperAnalysis(nn.Module):
    """Latents → hyper-latents at a quarter of their resolution."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        self.enter = Pointwise(size.latents, size.prior // 2)
        self.first = block(size.prior // 2, gated=size.gated)
        self.down = Downsample(size.prior // 2, size.prior // 2)
        self.second = block(size.prior // 2, gated=size.gated)
        # × 0.1: hyper-latents start out rounded to zero, at no cost, until a use for them is learned.
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
    """The result of two passes over the checkerboard: means and residuals of all latents, `[B, N, h, w]`."""

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
        self.first = block(p // 2, gated=size.gated)
        self.up = Upsample(p // 2, p)
        self.gain = RateGain(p)
        self.leave = Pointwise(p, size.latents, init=0.1, full_precision=True)
        self.context_enter = Pointwise(size.latents, p)
        self.context = block(p, gated=size.gated)
        self.context_leave = Pointwise(p, size.latents, init=0.1, full_precision=True)

    def features(self, z: Tensor, quality: Tensor) -> Tensor:
        """z: `[B, M, h, w]` → features `[B, P, 4h, 4w]`."""
        return self.gain(self.up(self.first(self.enter(z))), quality)

    def two_pass(self, features: Tensor, residual_of: Callable[[Tensor], Tensor]) -> TwoPass:
        """The checkerboard: anchors first, from the hyper-latents alone; then the rest, from the anchors too.

        features: of the hyper-latents, cut to the latents' size, `[B, P, h, w]`. residual_of: means
        `[B, N, h, w]` → residuals, of which those at the positions of this pass are used. An encoder rounds
        `y - mean`; a decoder has read them all already.
        """
        return self.second_pass(features, self.first_mean(features), residual_of)

    def first_mean(self, features: Tensor) -> Tensor:
        """The means from hyper-latents alone, `[B, N, h, w]`, of which those of the anchors are used."""
        return self.leave(features)

    def second_pass(
        self, features: Tensor, first_mean: Tensor, residual_of: Callable[[Tensor], Tensor]
    ) -> TwoPass:
        """`two_pass` with first means that are known already."""
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
