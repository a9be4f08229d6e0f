"""Critics (WGAN-GP), from which Wasserstein distances between sets of images follow, and projections."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.papers.wgan.networks import GroupedConvolution, GroupedLinear, activation, for_each

# Of the gradient penalty (Gulrajani et al. 2017, section 4).
PENALTY = 10.0
_BLOCK = 4  # images are seen as blocks of 4×4 pixels, all work is at a quarter of the side
_CHANNELS = 32
_HIDDEN = 128


class Critic(nn.Module):
    """M critics of images `[B, M, C, H, W]` in [0, 1], sides divisible by 4.

    No normalisation: the penalty is on the gradient of each sample by itself. condition: how many features
    `[B, M, condition]` it takes beside the images, to serve several weights; others it does not look at.
    """

    def __init__(
        self, models: int, shape: tuple[int, int, int], rng: torch.Generator, condition: int = 0
    ) -> None:
        """shape: of an image, channels, height and width."""
        super().__init__()
        self.conditioned = condition > 0
        channels, height, width = shape
        positions = (height // _BLOCK) * (width // _BLOCK)
        self.first = GroupedConvolution(models, channels * _BLOCK**2, _CHANNELS, rng)
        self.second = GroupedLinear(models, _CHANNELS * positions + condition, _HIDDEN, rng)
        self.last = GroupedLinear(models, _HIDDEN, 1, rng)

    def features(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        """The last hidden layer, `[B, M, 128]`."""
        x = activation(self.first(F.pixel_unshuffle(2 * images - 1, _BLOCK))).flatten(2)
        if self.conditioned:
            assert condition is not None
            x = torch.cat([x, condition], 2)
        return activation(self.second(x))

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        """How real each image looks, `[B, M]`, without a unit or an origin."""
        return self.score(self.features(images, condition))

    def score(self, features: Tensor) -> Tensor:
        """`[B, M, 128]` → `[B, M]`."""
        return self.last(features).squeeze(2)


def gradient_norms(
    critic: nn.Module, real: Tensor, fake: Tensor, place: Tensor, condition: Tensor | None = None
) -> Tensor:
    """The critics' slopes between real and restored images, `[B, M]`, differentiable.

    real `[B, C, H, W]`, fake `[B, M, C, H, W]`; place `[B]` in [0, 1): where on the way from real to fake.
    """
    between = torch.lerp(for_each(fake.shape[1], real), fake, place.reshape(-1, 1, 1, 1, 1))
    between = between.detach().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(critic(between, condition).sum(), between, create_graph=True)
    # Where the slope is 0, so is the derivative of this square root; of the norm it would be NaN.
    return (slope.square().flatten(2).sum(2) + 1e-12).sqrt()


def penalty(norms: Tensor) -> Tensor:
    """PENALTY · E(‖∇‖ − 1)² of slopes `[B, M]`, as `[M]` (Gulrajani et al. 2017, equation 3)."""
    return PENALTY * (norms - 1).square().mean(0)


def projections(images: Tensor, directions: Tensor) -> Tensor:
    """Images `[…, C, H, W]` on directions `[C·H·W, K]` → `[…, K]`."""
    return images.flatten(-3) @ directions
