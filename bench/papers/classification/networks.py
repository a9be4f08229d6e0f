"""Restorers of degraded images, many at once: a denoiser of digits and a super-resolver of CIFAR-10."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.papers.wgan.networks import GroupedConvolution, GroupedLinear, activation, for_each
from bench.papers.wgan.train import Draw

_BLOCK = 4  # all work is at a quarter of the side, as in the critics
_CHANNELS = 32


class Denoiser(nn.Module):
    """M denoisers of images in white noise, X̂ = f(X + N(0, σ²)), deterministic as in the paper."""

    def __init__(
        self, shape: tuple[int, int, int], weights: Sequence[float], deviation: float, rng: torch.Generator
    ) -> None:
        """shape: of an image. weights: λ of each model. deviation: σ, in units where pixels are 0..1."""
        super().__init__()
        self.shape, self.deviation, self.weights = shape, deviation, torch.tensor([weights])
        self.body = _Body(len(weights), shape, shape[0] * _BLOCK**2, rng)

    def draw(self, batch: int, rng: torch.Generator) -> Draw:
        """The noise."""
        return Draw((torch.randn(batch, *self.shape, generator=rng),), self.weights)

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        """Images `[B, C, H, W]` → restored from their noisy versions, `[B, M, C, H, W]` in [0, 1]."""
        seen = F.pixel_unshuffle(self.degraded(images, draw), _BLOCK)
        return torch.sigmoid(self.body(seen))

    def degraded(self, images: Tensor, draw: Draw) -> Tensor:
        """What the restorer is given, `[B, C, H, W]`."""
        return images + self.deviation * draw.noise[0]


class SuperResolver(nn.Module):
    """M networks that enlarge images, adding to what bilinear interpolation gives."""

    def __init__(
        self, shape: tuple[int, int, int], weights: Sequence[float], factor: int, rng: torch.Generator
    ) -> None:
        """shape: of a whole image. weights: λ of each model. factor: 2 or 4, by which sides are enlarged."""
        super().__init__()
        self.factor, self.weights = factor, torch.tensor([weights])
        self.body = _Body(len(weights), shape, shape[0] * (_BLOCK // factor) ** 2, rng)

    def draw(self, batch: int, rng: torch.Generator) -> Draw:
        """No noise: the reduction is deterministic."""
        return Draw((), self.weights)

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        """Images `[B, C, H, W]` → restored from their reduced versions, `[B, M, C, H, W]`."""
        small = self.degraded(images, draw)
        enlarged = F.interpolate(small, scale_factor=self.factor, mode="bilinear", align_corners=False)
        seen = F.pixel_unshuffle(small, _BLOCK // self.factor)
        return enlarged[:, None] + 0.5 * torch.tanh(self.body(seen))

    def degraded(self, images: Tensor, draw: Draw) -> Tensor:
        """Means of blocks of factor×factor pixels, `[B, C, H/factor, W/factor]`."""
        return F.avg_pool2d(images, self.factor)


class _Body(nn.Module):
    """`[B, inputs, H/4, W/4]` → `[B, M, C, H, W]`.

    A bottleneck over the whole image runs beside the convolutions: in strong noise a block alone says little.
    """

    def __init__(self, models: int, shape: tuple[int, int, int], inputs: int, rng: torch.Generator) -> None:
        super().__init__()
        channels, height, width = shape
        self.grid = (height // _BLOCK, width // _BLOCK)
        positions = self.grid[0] * self.grid[1]
        self.models = models
        self.first = GroupedConvolution(models, inputs, _CHANNELS, rng)
        self.gather = GroupedLinear(models, _CHANNELS * positions, 128, rng)
        self.spread = GroupedLinear(models, 128, _CHANNELS * positions, rng)
        self.second = GroupedConvolution(models, _CHANNELS, _CHANNELS, rng)
        self.last = GroupedConvolution(models, _CHANNELS, channels * _BLOCK**2, rng)

    def forward(self, x: Tensor) -> Tensor:
        x = activation(self.first(for_each(self.models, x)))
        whole = activation(self.gather(x.flatten(2)))
        x = x + self.spread(whole).unflatten(2, (_CHANNELS, *self.grid))
        x = activation(self.second(activation(x)))
        return F.pixel_shuffle(self.last(x), _BLOCK)
