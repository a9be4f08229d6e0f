"""Critics (WGAN-GP), which give Wasserstein distances between sets of images, and projections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from bench.papers.wgan.networks import GroupedConvolution, GroupedLinear, activation, for_each

# The weight of the gradient penalty (Gulrajani et al. 2017, section 4).
PENALTY = 10.0
# The hidden layers, by their names in Blau & Michaeli's talk: two convolutions, at half and at a quarter of
# the side, and a fully connected one.
Layer = Literal["a", "b", "c"]


@dataclass(frozen=True)
class CriticSize:
    """Channels of the two convolutions, width of the fully connected layer; the defaults are the talk's."""

    channels: tuple[int, int] = (64, 128)
    hidden: int = 4096


# For CPUs: a fiftieth of the work.
SMALL = CriticSize((16, 32), 256)


class Critic(nn.Module):
    """M critics of images `[B, M, C, H, W]` in [0, 1], sides divisible by 4.

    There is no normalisation, since the penalty is on the gradient of each sample by itself. condition: how
    many features, `[B, M, condition]`, the critic takes beside the images to serve several weights; with 0,
    it ignores them.
    """

    def __init__(
        self,
        models: int,
        shape: tuple[int, int, int],
        rng: torch.Generator,
        condition: int = 0,
        size: CriticSize = SMALL,
    ) -> None:
        """shape: of an image, channels, height and width."""
        super().__init__()
        self.conditioned = condition > 0
        channels, height, width = shape
        few, many = size.channels
        self.first = GroupedConvolution(models, channels, few, rng, stride=2)
        self.second = GroupedConvolution(models, few, many, rng, stride=2)
        positions = (height // 4) * (width // 4)
        self.third = GroupedLinear(models, many * positions + condition, size.hidden, rng)
        self.last = GroupedLinear(models, size.hidden, 1, rng)

    def layers(self, images: Tensor, condition: Tensor | None = None) -> dict[Layer, Tensor]:
        """The hidden layers: a `[B, M, 64, H/2, W/2]`, b `[B, M, 128, H/4, W/4]` and c `[B, M, 4096]`."""
        a = activation(self.first(2 * images - 1))
        b = activation(self.second(a))
        x = b.flatten(2)
        if self.conditioned:
            assert condition is not None
            x = torch.cat([x, condition], 2)
        return {"a": a, "b": b, "c": activation(self.third(x))}

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        """How real each image looks, `[B, M]`, without a unit or an origin."""
        return self.score(self.layers(images, condition))

    def score(self, layers: dict[Layer, Tensor]) -> Tensor:
        """What `layers` returned → `[B, M]`."""
        return self.last(layers["c"]).squeeze(2)


def gradient_norms(critic: nn.Module, real: Tensor, fake: Tensor, place: Tensor) -> Tensor:
    """The critics' slopes between real and restored images, `[B, M]`.

    real `[B, C, H, W]`, fake `[B, M, C, H, W]`; place `[B]` in [0, 1): where on the way from real to fake.
    """
    between = torch.lerp(for_each(fake.shape[1], real), fake, place.reshape(-1, 1, 1, 1, 1))
    between = between.detach().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(critic(between).sum(), between)
    return slope.square().flatten(2).sum(2).sqrt()


def projections(images: Tensor, directions: Tensor) -> Tensor:
    """Images `[…, C, H, W]` on directions `[C·H·W, K]` → `[…, K]`."""
    return images.flatten(-3) @ directions
