"""Crops in other colours: what photographs rarely hold, but stages, sunsets, toys and screens do.

Training photographs are mostly gray, green and blue, and networks trained on them alone are short of other
colours: in red light they lose all that they win over AVIF elsewhere (bench/experiments/2026-11-colours).
"""

from __future__ import annotations

import torch
from torch import Tensor

from rdpcodec.training.data import to_device

# The weights of red, green and blue in luma (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)
# Saturation is drawn from 0, gray, to this.
MOST_SATURATION = 2.0
# The light of a channel is drawn as exp(-u), u from 0 to this; the brightest channel's then becomes 1.
DEEPEST_LIGHT = 1.2


def colour_matrices(count: int, generator: torch.Generator) -> Tensor:
    """`count` random changes of colour, `[count, 3, 3]`, to be multiplied with columns of RGB.

    Each changes the saturation, then lights each channel on its own. In half of them, the channels are also
    in a random order.
    """
    gray = torch.tensor(LUMA).expand(3, 3)
    saturation = (MOST_SATURATION * torch.rand(count, generator=generator))[:, None, None]
    saturated = gray + saturation * (torch.eye(3) - gray)
    order = torch.rand(count, 3, generator=generator).argsort(1)
    order = torch.where(torch.rand(count, 1, generator=generator) < 0.5, order, torch.arange(3))
    ordered = saturated.gather(1, order[:, :, None].expand(-1, -1, 3))
    light = torch.exp(-DEEPEST_LIGHT * torch.rand(count, 3, generator=generator))
    return light[:, :, None] / light.amax(1)[:, None, None] * ordered


def recoloured(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Crops x `[B, 3, H, W]` in [0, 1], each changed in colour with a probability of `share`, in 8-bit steps.

    generator: on the CPU, whatever the device.
    """
    chosen = torch.rand(len(x), generator=generator) < share
    drawn = colour_matrices(len(x), generator)
    matrices = to_device(torch.where(chosen[:, None, None], drawn, torch.eye(3)), x.device)
    changed = torch.einsum("bij,bjhw->bihw", matrices, x).clamp_(0, 1)
    return changed.mul_(255).round_().div_(255)
