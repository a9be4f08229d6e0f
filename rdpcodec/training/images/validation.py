"""The held-out crops and the qualities on which every run is validated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rdpcodec.metrics.eyes import ssimulacra2_distortion, ssimulacra2_score
from rdpcodec.model.rdp_model import TrainingOutput
from rdpcodec.training.images.image_set import ImageSet, load_images
from rdpcodec.training.objectives.losses import Loss, rate_distortion_loss

QUALITIES = (5.0, 25.0, 45.0, 65.0, 85.0)
# One size for all runs, so that their validation losses can be compared.
SIDE = 256
CROPS = 24


def load_training_and_validation(data: Path, crop: int, device: torch.device) -> tuple[ImageSet, Tensor]:
    """Load the images below `data`: those to train on, and crops `[CROPS, 3, SIDE, SIDE]` of the rest.

    crop: side of the crops to train on, in pixels. Raises `UsageError` when there are too few images.
    """
    training, held_out = load_images(data, max(crop, SIDE), device, held_out_side=SIDE)
    return training, held_out.crops(CROPS, SIDE, torch.Generator().manual_seed(1))


class Point(NamedTuple):
    """A model at one quality: its output for crops, the loss with squared error alone, and SSIMULACRA2.

    quality: 0..100, `[B]`; log_rate: the mean over crops of log bits per pixel; ssimulacra2: their mean.
    """

    quality: Tensor
    output: TrainingOutput
    loss: Loss
    log_rate: float
    ssimulacra2: float


@torch.no_grad()
def points_of(model: nn.Module, crops: Tensor) -> Iterator[Point]:
    """Run an `RdpModel` at each of `QUALITIES` on crops `[B, 3, H, W]`, sides multiples of 64, on its device.

    Latents are rounded as in the encoder, and counted under the trained densities.
    """
    for number in QUALITIES:
        quality = torch.full((len(crops),), number, device=crops.device)
        output: TrainingOutput = model(crops, quality, by_rate=True)
        loss = rate_distortion_loss(output, crops, quality)
        felt = ssimulacra2_distortion(crops, output.reconstruction.clamp(0, 1))
        score = float(ssimulacra2_score(felt).mean())
        yield Point(quality, output, loss, float(loss.bpp.log().mean()), score)
