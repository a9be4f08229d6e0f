"""Estimators of digits in noise whose prior is a set of digits: least error, likeliest, and random draw."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.papers.wgan.data import Bytes
from bench.papers.wgan.train import Draw

NAMES = ("MMSE", "MAP", "posterior sampling")


class Posterior:
    """Three restorers of X + N(0, σ²) where X is one of the prior's images, all equally likely.

    P(x|y) is then the softmax of −‖y − x‖²/(2σ²) over the prior: MMSE is its mean, MAP its mode, and
    posterior sampling draws from it. All are exact for images of the prior; others are treated as such.
    """

    def __init__(self, prior: Bytes, deviation: float, device: torch.device) -> None:
        """prior: uint8 `[N, C, H, W]`. deviation: σ, in units where pixels are 0..1."""
        self.shape = prior.shape[1:]
        self.prior = torch.tensor(prior).to(device).flatten(1).float() / 255
        self.half_energy = self.prior.square().sum(1) / 2
        self.deviation = deviation

    def draw(self, batch: int, rng: torch.Generator) -> Draw:
        """The noise, and a uniform number that picks from the posterior."""
        noise = torch.randn(batch, *self.shape, generator=rng)
        return Draw((noise, torch.rand(batch, generator=rng)), torch.zeros(1, len(NAMES)))

    @torch.no_grad()
    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        """Images `[B, C, H, W]` → the estimates from their noisy versions, `[B, 3, C, H, W]`."""
        noise, place = draw.noise
        seen = (images + self.deviation * noise).flatten(1)
        # ‖y‖² is the same for all images of the prior.
        shares = ((seen @ self.prior.T - self.half_energy) / self.deviation**2).softmax(1)
        drawn = (shares.double().cumsum(1) < place[:, None]).sum(1).clamp(max=len(self.prior) - 1)
        estimates = torch.stack([shares @ self.prior, self.prior[shares.argmax(1)], self.prior[drawn]], dim=1)
        return estimates.unflatten(2, self.shape)

    def parameters(self) -> list[Tensor]:
        """None: nothing is learned."""
        return []

    def state_dict(self) -> dict[str, Tensor]:
        """Empty."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Nothing is kept."""
