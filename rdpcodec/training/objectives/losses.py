"""What training minimises: rate, squared error, and how different images look."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rdpcodec.metrics.eyes import ForEyes, in_place_of
from rdpcodec.metrics.lpips import Lpips
from rdpcodec.metrics.texture import texture_distortion
from rdpcodec.metrics.weave import weave_distortion
from rdpcodec.model.rate import LAMBDA_MIDDLE
from rdpcodec.model.rdp_model import TrainingOutput
from rdpcodec.quality import lambda_at
from rdpcodec.training.images.image_set import to_device
from rdpcodec.training.settings import FidelitySettings, RunSettings

# A file at λ costs about λ^0.5 in the loss's own units. Dividing by most of that keeps the high rates from
# drowning the low ones, where BD-rates are measured in per cent of few bits.
LOSS_EXPONENT = -0.4
# Weight of squared error beside 1 · LPIPS, with pixels in 0..1. HiFiC, MRIC, CRDR and MS-ILLM all amount to
# 150, at which this small synthesis stays where it was (docs/decisions.md).
MSE_WEIGHT = 20.0
# Weight of a weave beside 1 · squared error. Neither LPIPS nor a distortion of texture tells it from grain,
# and a discriminator on features hardly does (bench/experiments/2026-11-weave).
WEAVE_WEIGHT = 10.0
# LPIPS is divided by this where it replaces squared error in a rate-distortion loss. If it does so for half
# of the crops, the whole is, up to a factor, LPIPS + (75 + 20) · squared error.
LPIPS_UNIT = 75.0
# Frozen networks see crops that begin at one of this many rows and columns. Their strides look at an image at
# one phase. A synthesis that always met the same phase learnt a pattern that pleases these networks there and
# is visible to everybody else (docs/decisions.md).
PHASES = 8


class PerceptualDistortion(NamedTuple):
    """The perceptual distortion of each image, and its parts, all `[B]`.

    total: MSE_WEIGHT · squared error + LPIPS, partly replaced by texture, plus the weave.
    """

    total: Tensor
    mse: Tensor
    lpips: Tensor


class Loss(NamedTuple):
    """The batch mean that is minimised, and its parts for each image, `[B]`."""

    total: Tensor
    bpp: Tensor
    mse: Tensor

    @property
    def psnr(self) -> Tensor:
        """Mean over the batch, dB."""
        return (-10 * self.mse.log10()).mean()


def autocast(settings: RunSettings, device: torch.device) -> torch.autocast:
    """The arithmetic of a run's networks: bfloat16 if it asks for that, otherwise float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.bfloat16)


def random_phase(generator: torch.Generator, device: torch.device) -> Tensor:
    """The first row and column that a frozen network sees, `[2]`, int64."""
    return to_device(torch.randint(PHASES, (2,), generator=generator), device)


def shifted_crop(x: Tensor, phase: Tensor) -> Tensor:
    """Images `[B, 3, H, W]` cropped from row and column `phase` on, `PHASES - 1` rows and columns smaller."""
    for dim in (2, 3):
        along = torch.arange(x.shape[dim] - PHASES + 1, device=x.device)
        x = x.index_select(dim, phase[dim - 2] + along)
    return x.contiguous(memory_format=torch.channels_last)


def perceptual_distortion(
    network: Lpips, settings: RunSettings, decoded: Tensor, x: Tensor, phase: Tensor
) -> PerceptualDistortion:
    """How far images `[B, 3, H, W]` in [0, 1] are from their originals x.

    Squared error is that of the whole, LPIPS that of a `shifted_crop`. A share `settings.texture` of both
    gives way to `texture_distortion` (see `in_place_of`). A weave costs `WEAVE_WEIGHT` times what squared
    error does.
    """
    with autocast(settings, x.device):
        with torch.no_grad():
            wanted = network.features(shifted_crop(x, phase))
        lpips = network.between(network.features(shifted_crop(decoded, phase)), wanted).float()
    mse = squared_error(decoded, x)
    total = MSE_WEIGHT * mse + lpips
    if settings.texture:
        texture = in_place_of(total, texture_distortion(x, decoded))
        total = (1 - settings.texture) * total + settings.texture * texture
    total = total + WEAVE_WEIGHT * MSE_WEIGHT * weave_distortion(x, decoded)
    return PerceptualDistortion(total, mse, lpips)


def fidelity_distortion(settings: FidelitySettings, decoded: Tensor, x: Tensor) -> Tensor:
    """How far images `[B, 3, H, W]` in [0, 1] are from their originals x, `[B]`: squared error, of which the
    shares `settings.eyes` and `settings.coarse` give way to distortions for eyes (see `in_place_of`).
    """
    squared, shares = squared_error(decoded, x), (settings.eyes, settings.coarse)
    if not (any(shares) and len(x)):
        return squared
    distortion = (1 - sum(shares)) * squared
    for share, felt in zip(shares, ForEyes(x).distortions(decoded), strict=True):
        distortion = distortion + share * in_place_of(squared, felt)
    return distortion


def squared_error(decoded: Tensor, x: Tensor) -> Tensor:
    """The mean squared error of each image, `[B]`."""
    return (decoded - x).square().mean((1, 2, 3))


def rate_distortion_loss(
    output: TrainingOutput, x: Tensor, quality: Tensor, distortion: Tensor | None = None
) -> Loss:
    """Σ weight(λ) · (bpp + λ·255²·D) / B for images x `[B, 3, H, W]` coded at `quality` `[B]`.

    distortion: D, `[B]`, on the scale of squared error; by default squared error itself.
    """
    lambdas = lambda_at(quality)
    weight = (lambdas / LAMBDA_MIDDLE) ** LOSS_EXPONENT
    mse = squared_error(output.reconstruction, x)
    bpp = (output.latent_bits + output.hyper_bits) / (x.shape[2] * x.shape[3])
    loss = bpp + lambdas * 255**2 * (mse if distortion is None else distortion)
    return Loss((weight * loss).mean(), bpp, mse)
