"""The discriminator on pixels that lost against the one on a frozen network's features. Kept as it ran."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from rdpcodec.training.discriminator import CONDITION_CHANNELS, LEAK, Condition


class PatchDiscriminator(nn.Module):
    """A PatchGAN on pixels and upsampled latents (Mentzer et al. 2020, figure A1; half their channels)."""

    def __init__(self, latents: int, channels: tuple[int, ...] = (32, 64, 128, 256)) -> None:
        super().__init__()
        self.condition = Condition(latents)
        widths = (3 + CONDITION_CHANNELS + 1, *channels)
        strides = (2,) * (len(channels) - 1) + (1,)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, 4, stride, padding=1))
            for before, after, stride in zip(widths, channels, strides, strict=False)
        )
        self.leave = spectral_norm(nn.Conv2d(channels[-1], 1, 1))

    def forward(self, x: Tensor, latents: Tensor, quality: Tensor) -> Tensor:
        """Images `[B, 3, H, W]` in [0, 1], with what they were decoded from → logits `[B, 1, H/8, W/8]`."""
        condition = F.interpolate(self.condition(latents, quality), x.shape[2:], mode="nearest")
        h = torch.cat([2 * x - 1, condition.to(x)], 1)
        for layer in self.layers:
            h = F.leaky_relu(layer(h), LEAK)
        return self.leave(h)
