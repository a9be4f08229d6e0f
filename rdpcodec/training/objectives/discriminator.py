"""The discriminator: tells real photographs from decoded ones, given the latents that the decoder gets.

It sees what the decoder sees, so it judges whether an image is likely *for these latents*. It gives a logit
per patch, not per image. A discriminator that learns from pixels was compared and lost
(bench/experiments/2026-11-discriminators).

The features of its frozen network serve as a distortion, too: how far those of a decoded image are from those
of its original.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from rdpcodec.metrics.efficientnet import EfficientNetLite0

LEAK = 0.2
CONDITION_CHANNELS = 12


class Condition(nn.Module):
    """The condition of the discriminator: latents and quality, as a few maps at 1/16 of the resolution."""

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.mix = spectral_norm(nn.Conv2d(latents, CONDITION_CHANNELS, 3, padding=1))

    def forward(self, latents: Tensor, quality: Tensor) -> Tensor:
        """Make maps `[B, 13, h, w]` from latents `[B, N, h, w]` and the quality `[B]`, 0..100.

        latents: rounded, and rescaled to one step for all qualities.
        """
        # Brightness reaches hundreds of steps where details have one: the logarithm keeps both visible.
        maps = F.leaky_relu(self.mix(torch.asinh(latents)), LEAK)
        level = (quality / 50 - 1)[:, None, None, None].to(maps).expand(-1, 1, *maps.shape[2:])
        return torch.cat([maps, level], 1)


class ProjectedDiscriminator(nn.Module):
    """Small heads on four stages of a frozen EfficientNet-Lite0 (Sauer et al. 2021, projected GANs)."""

    # The last blocks at 1/4, 1/8, 1/16 and 1/32 of the resolution, and their channels.
    STAGES = ((2, 24), (4, 40), (10, 112), (15, 320))
    HEAD_CHANNELS = 64

    def __init__(self, latents: int) -> None:
        """Raises `UsageError` when the frozen network is not installed."""
        super().__init__()
        self.features = EfficientNetLite0()
        self.condition = Condition(latents)
        maps = CONDITION_CHANNELS + 1
        width = self.HEAD_CHANNELS
        self.heads = nn.ModuleList(
            nn.Sequential(
                spectral_norm(nn.Conv2d(channels + maps, width, 1)),
                nn.LeakyReLU(LEAK),
                spectral_norm(nn.Conv2d(width, width, 3, padding=1)),
                nn.LeakyReLU(LEAK),
                spectral_norm(nn.Conv2d(width, 1, 1)),
            )
            for _, channels in self.STAGES
        )

    def stages(self, x: Tensor) -> list[Tensor]:
        """The frozen features of images x `[B, 3, H, W]` in [0, 1], at `STAGES`."""
        return self.features.stages(x, [block for block, _ in self.STAGES])

    def forward(self, stages: Sequence[Tensor], latents: Tensor, quality: Tensor) -> Tensor:
        """Judge images by their `stages`, given the latents and qualities they were decoded from.

        Returns the logits of all stages in one row, `[B, 1, L]`, above 0 for real; all stages count the same.
        """
        condition = self.condition(latents, quality)
        logits = []
        for head, stage in zip(self.heads, stages, strict=True):
            here = F.interpolate(condition, stage.shape[2:], mode="nearest").to(stage)
            logits.append(head(torch.cat([stage, here], 1)))
        longest = max(part[0].numel() for part in logits)
        rows = [F.interpolate(part.flatten(2), longest, mode="nearest") for part in logits]
        return torch.cat(rows, 2)


def feature_distortion(reference: Sequence[Tensor], decoded: Sequence[Tensor]) -> Tensor:
    """How far the features of decoded images are from their originals', `[B]`: squared distances between the
    directions of the features at each place, 0 to 4, summed over stages.

    reference, decoded: `ProjectedDiscriminator.stages`.
    """
    total = reference[0].new_zeros(len(reference[0]), dtype=torch.float32)
    for wanted, found in zip(reference, decoded, strict=True):
        differences = F.normalize(found.float(), dim=1) - F.normalize(wanted.float(), dim=1)
        total = total + differences.square().sum(1).mean((1, 2))
    return total
