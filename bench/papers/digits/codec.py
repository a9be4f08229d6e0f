"""Encoder-decoder pairs of digits with a quantised bottleneck, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.papers.wgan.networks import (
    GroupedConvolution,
    Perceptrons,
    Standardised,
    activation,
    for_each,
    select_models,
)
from bench.papers.wgan.train import Draw

SIDE = 28
_BLOCK = 4
_GRID = SIDE // _BLOCK  # decoders work at 7×7 and end with a pixel shuffle
_CHANNELS = 16
# Gaussian numbers that a decoder draws for itself. The shared dither has one number per latent: at the lowest
# rates, that is too few for images that look like all digits.
_NOISE = 16
# Features that tell a conditioned network its weight.
CONDITION = 2


@dataclass(frozen=True)
class Bottleneck:
    """What may pass: `dimension` latents of `levels` values each."""

    dimension: int
    levels: int

    @property
    def bits(self) -> float:
        """The rate, an upper bound on the entropy: dimension · log₂ levels, in bits per image."""
        return self.dimension * float(torch.tensor(self.levels, dtype=torch.float64).log2())


class Codecs(nn.Module):
    """M pairs with the same bottleneck, each trained for its own weight of perception.

    Latents are in [−1, 1], quantised to levels from −1 to 1 with subtractive dither that sender and receiver
    share (universal quantisation, Ziv 1985; Theis & Agustsson 2021). Decoders draw noise of their own.
    """

    def __init__(
        self, bottleneck: Bottleneck, weights: Sequence[float], hidden: int, rng: torch.Generator
    ) -> None:
        """weights: λ of each pair's loss, MSE + λ · W₁. hidden: width of hidden layers."""
        super().__init__()
        self.bottleneck, self.weights = bottleneck, torch.tensor([weights])
        self._build(len(weights), hidden, 0, rng)

    def _build(self, models: int, hidden: int, condition: int, rng: torch.Generator) -> None:
        dimension = self.bottleneck.dimension
        encoder = (SIDE * SIDE + condition, hidden, hidden // 2, dimension)
        decoder = (dimension + _NOISE + condition, hidden, _CHANNELS * _GRID**2)
        self.encoder = Perceptrons(models, encoder, rng)
        self.standardise = Standardised(models, dimension)
        self.encoder.layers[-1].bias.requires_grad_(False)  # `standardise` would remove it again
        self.decoder = Perceptrons(models, decoder, rng)
        self.widen = GroupedConvolution(models, _CHANNELS, 2 * _CHANNELS, rng)
        self.paint = GroupedConvolution(models, 2 * _CHANNELS, _BLOCK**2, rng)

    def draw(self, batch: int, rng: torch.Generator) -> Draw:
        """The dither, uniform in ±½ step, and the decoders' noise."""
        dither = torch.rand(batch, self.bottleneck.dimension, generator=rng) - 0.5
        return Draw((dither, torch.randn(batch, _NOISE, generator=rng)), self.weights)

    def encode(self, images: Tensor, dither: Tensor, condition: Tensor | None = None) -> Tensor:
        """Images `[B, 1, 28, 28]` → symbols 0..levels−1, `[B, M, dimension]`, as floats with a
        straight-through gradient.
        """
        x = _joined(for_each(self.encoder.models, 2 * images.flatten(1) - 1), condition)
        scaled = (torch.tanh(self.standardise(self.encoder(x))) + 1) / 2 * (self.bottleneck.levels - 1)
        return quantised(scaled + dither[:, None], self.bottleneck.levels)

    def decode(
        self, symbols: Tensor, dither: Tensor, noise: Tensor, condition: Tensor | None = None
    ) -> Tensor:
        """Symbols `[B, M, dimension]` → images `[B, M, 1, 28, 28]` in [0, 1]."""
        latents = (symbols - dither[:, None]) / (self.bottleneck.levels - 1) * 2 - 1
        x = _joined(torch.cat([latents, for_each(latents.shape[1], noise)], 2), condition)
        x = activation(self.decoder(x).unflatten(2, (_CHANNELS, _GRID, _GRID)))
        return torch.sigmoid(F.pixel_shuffle(self.paint(activation(self.widen(x))), _BLOCK))

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        """Images `[B, 1, 28, 28]` in [0, 1] → decoded images, `[B, M, 1, 28, 28]`."""
        dither, noise = draw.noise
        return self.decode(self.encode(images, dither, draw.condition), dither, noise, draw.condition)

    def freeze_encoder(self) -> None:
        """Let only the decoders learn from now on (Zhang et al. 2021)."""
        self.encoder.requires_grad_(False)
        self.standardise.eval()


class ConditionedCodec(Codecs):
    """One pair for all weights of perception: it is told the weight, which is drawn anew for each sample."""

    _spread = False

    def _build(self, models: int, hidden: int, condition: int, rng: torch.Generator) -> None:
        super()._build(1, hidden, CONDITION, rng)

    def draw(self, batch: int, rng: torch.Generator) -> Draw:
        """The same, and one of the weights for each sample, `[B, 1]`."""
        noise = super().draw(batch, rng).noise
        if self._spread:
            weight = self.weights.expand(batch, -1)
            return Draw(noise, weight, self.condition(weight))
        chosen = torch.randint(self.weights.shape[1], (batch, 1), generator=rng)
        weight = self.weights[0][chosen]
        return Draw(noise, weight, self.condition(weight))

    def condition(self, weight: Tensor) -> Tensor:
        """The features that tell the networks a weight, `[…]` → `[…, 2]` in [−1, 1]: the weight and its root,
        which spreads small weights.
        """
        share = weight / self.weights.max()
        return 2 * torch.stack([share, share.sqrt()], -1) - 1

    def spread(self) -> None:
        """Become one copy for each weight, to be measured like pairs that were trained for it."""
        self.encoder.models = self.weights.shape[1]
        select_models(self, [0] * self.encoder.models)
        self._spread = True


def quantised(scaled: Tensor, levels: int) -> Tensor:
    """Rounded to 0..levels−1; the gradient passes straight through where nothing was clipped."""
    inside = scaled.clamp(0, levels - 1)
    return inside + (inside.round() - inside).detach()


def _joined(x: Tensor, condition: Tensor | None) -> Tensor:
    return x if condition is None else torch.cat([x, condition], 2)
