"""Restorers of degraded images, many at once: a denoiser of digits and a super-resolver of CIFAR-10."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.papers.wgan.networks import GroupedConvolution, GroupedLinear, activation, for_each
from bench.papers.wgan.train import Draw

_BLOCK = 4  # all work is at a quarter of the side, as the critics' is
_CHANNELS = 32


class Denoiser(nn.Module):
    """M denoisers of images in white noise, X̂ = f(X + N(0, σ²)), deterministic as the paper's are."""

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
    """M networks that enlarge images four times, adding to what bilinear interpolation gives."""

    def __init__(self, shape: tuple[int, int, int], weights: Sequence[float], rng: torch.Generator) -> None:
        super().__init__()
        self.weights = torch.tensor([weights])
        self.body = _Body(len(weights), shape, shape[0], rng)

    def draw(self, batch: int, rng: torch.Generator) -> Draw:
        """Nothing: what is lost is lost in one way."""
        return Draw((), self.weights)

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        """Images `[B, C, H, W]` → restored from a quarter of their sides, `[B, M, C, H, W]`."""
        small = self.degraded(images, draw)
        enlarged = F.interpolate(small, scale_factor=_BLOCK, mode="bilinear", align_corners=False)
        return enlarged[:, None] + 0.5 * torch.tanh(self.body(small))

    def degraded(self, images: Tensor, draw: Draw) -> Tensor:
        """Means of blocks of 4×4 pixels, `[B, C, H/4, W/4]`."""
        return F.avg_pool2d(images, _BLOCK)


class _Body(nn.Module):
    """`[B, inputs, H/4, W/4]` → `[B, M, C, H, W]`.

    A bottleneck over the whole image runs beside the convolutions: blocks of strong noise say little alone.
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
