"""RdpModel: analysis, hyperprior and synthesis together, with the forward pass of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rdpcodec.entropy.integers import HYPER_LATENT_LIMIT
from rdpcodec.format.tiles import HYPER_FACTOR
from rdpcodec.model.prior import FactorizedPrior, HyperAnalysis, MeanNetwork, ResidualDensity
from rdpcodec.model.rounding import round_by_rate
from rdpcodec.model.scale_network import ScaleNetwork, round_through
from rdpcodec.model.transforms import Analysis, Synthesis
from rdpcodec.weights.architecture import Architecture


class Quantised(NamedTuple):
    """Latents, their means, their rounded residuals and the tables of these, `[B, N, H/16, W/16]`;
    hyper-latents and their rounding, `[B, M, H/64, W/64]`. Gradients pass straight through the roundings.
    """

    y: Tensor
    mean: Tensor
    residual: Tensor
    tables: Tensor
    hyper: Tensor
    hyper_rounded: Tensor

    @property
    def rounded(self) -> Tensor:
        """The latents as the decoder has them."""
        return self.mean + self.residual


class TrainingOutput(NamedTuple):
    """The rounded latents `[B, N, H/16, W/16]`, the reconstruction `[B, 3, H, W]` (not clamped) and bits per
    image `[B]`.
    """

    rounded: Tensor
    reconstruction: Tensor
    latent_bits: Tensor
    hyper_bits: Tensor


class RdpModel(nn.Module):
    """The whole model. Its parts, by what depends on them:

    - `scale_network`: the bitstream. A change makes old files unreadable.
    - `mean_network`, `synthesis`: the decoded image. The means belong to the bitstream too: the encoder
      subtracted them.
    - `analysis`, `hyper_analysis`: the encoder alone.
    - `hyper_prior`, `residual_density`: training alone; shipped as integer tables.
    """

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.architecture = architecture or Architecture()
        self.analysis = Analysis(self.architecture)
        self.hyper_analysis = HyperAnalysis(self.architecture)
        self.hyper_prior = FactorizedPrior(self.architecture.hyper_latents)
        self.scale_network = ScaleNetwork(self.architecture)
        self.mean_network = MeanNetwork(self.architecture)
        self.residual_density = ResidualDensity()
        self.synthesis = Synthesis(self.architecture)

    def hyper_latents(self, y: Tensor) -> Tensor:
        """Latents `[B, N, h, w]` → unrounded hyper-latents `[B, M, ⌈h/4⌉, ⌈w/4⌉]` within ±127."""
        bottom, right = -y.shape[2] % HYPER_FACTOR, -y.shape[3] % HYPER_FACTOR
        if bottom or right:
            y = F.pad(y, (0, right, 0, bottom), mode="replicate")
        return self.hyper_analysis(y).clamp(-HYPER_LATENT_LIMIT, HYPER_LATENT_LIMIT)

    def analyse(self, x: Tensor, quality: Tensor, *, by_rate: bool = False) -> Quantised:
        """x: `[B, 3, H, W]` in [0, 1], H and W multiples of 64; quality `[B]`, 0..100.

        by_rate: round as the encoder does (`round_by_rate`), under the trained densities, instead of half up.
        """
        y = self.analysis(x, quality)
        z = self.hyper_latents(y).float()
        z_rounded = round_through(z)
        with torch.autocast(y.device.type, enabled=False):
            tables = self.scale_network(z_rounded, quality)

        def rounded(residual: Tensor) -> Tensor:
            if not by_rate:
                return round_through(residual)
            with torch.no_grad(), torch.autocast(y.device.type, enabled=False):
                chosen = round_by_rate(residual, tables, quality, self.residual_density)
            return residual + (chosen - residual).detach()

        features = self.mean_network.features(z_rounded, quality)
        passed = self.mean_network.two_pass(features, lambda mean: rounded(y - mean))
        return Quantised(y, passed.mean, passed.residual, tables, z, z_rounded)

    def forward(self, x: Tensor, quality: Tensor, *, by_rate: bool = False) -> TrainingOutput:
        """x: `[B, 3, H, W]` in [0, 1], H and W multiples of 64; quality `[B]`, 0..100.

        Rates use additive uniform noise; the decoder sees straight-through rounding. by_rate: both see what
        the encoder rounds to. The networks may run under autocast; rates and the scale network are always
        float32.
        """
        latents = self.analyse(x, quality, by_rate=by_rate)
        rounded = latents.rounded
        reconstruction = self.synthesis(rounded, quality).float()
        latent_bits, hyper_bits = self.information(latents, quality, noisy=not by_rate)
        return TrainingOutput(rounded, reconstruction, latent_bits.sum((1, 2, 3)), hyper_bits.sum((1, 2, 3)))

    def information(self, latents: Quantised, quality: Tensor, *, noisy: bool) -> tuple[Tensor, Tensor]:
        """The cost of each latent and hyper-latent under the trained densities, in bits; always float32.

        noisy: with uniform noise in place of rounding, for an encoder to learn from. Otherwise rounded values
        are counted, and densities and tables learn what is really coded.
        """

        def count(bits: Callable[[Tensor], Tensor], exact: Tensor, rounded: Tensor) -> Tensor:
            return bits(exact + torch.rand_like(exact) - 0.5) if noisy else _rounded(bits, exact, rounded)

        with torch.autocast(latents.y.device.type, enabled=False):
            latent_bits = count(
                lambda residual: self.residual_density(residual, latents.tables),
                latents.y.float() - latents.mean.float(),
                latents.residual.float(),
            )
            hyper_bits = count(
                lambda z: self.hyper_prior.bits(z, quality), latents.hyper, latents.hyper_rounded
            )
            return latent_bits, hyper_bits


def _rounded(bits: Callable[[Tensor], Tensor], exact: Tensor, rounded: Tensor) -> Tensor:
    """Bits of `rounded`, with the gradient in `exact` that noise would give on average: for u uniform in ±½,
    d/dx E[bits(x + u)] = bits(x + ½) - bits(x - ½).
    """
    found = bits(rounded.detach())
    if not exact.requires_grad:
        return found
    with torch.no_grad():
        slope = bits(exact + 0.5) - bits(exact - 0.5)
    return found + slope * (exact - exact.detach())
