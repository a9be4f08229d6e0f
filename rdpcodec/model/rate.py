"""The gains that turn one model into a codec for every rate.

Whatever depends on the rate is stored at a few knots along the quality setting, 0 to 100, and interpolated
between them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rdpcodec.entropy.tables import KNOTS
from rdpcodec.quality import lambda_at

# The λ, near that of middle qualities, at which the quantisation step of the initial latents is right. The
# gains start from step ∝ λ^-1/2.
LAMBDA_MIDDLE = 0.0095


def interpolate_knots(table: Tensor, quality: Tensor) -> Tensor:
    """Values at `quality`, linear between knots.

    table: `[KNOTS, C]`; quality: `[B]`, 0..100 → `[B, C]`.
    """
    position = (quality / 100.0 * (KNOTS - 1)).clamp(0, KNOTS - 1)
    lower = position.floor().clamp(max=KNOTS - 2).long()
    fraction = (position - lower).unsqueeze(1)
    return torch.lerp(table.index_select(0, lower), table.index_select(0, lower + 1), fraction)


class RateGain(nn.Module):
    """One positive gain per channel, a function of the quality: log-linear between knots."""

    def __init__(self, channels: int, exponent: float = 0.0) -> None:
        """The gains start as (λ / LAMBDA_MIDDLE)^exponent, the same for all channels."""
        super().__init__()
        log_lambda = lambda_at(torch.linspace(0, 100, KNOTS)).div(LAMBDA_MIDDLE).log()
        self.log_gain = nn.Parameter((exponent * log_lambda)[:, None].repeat(1, channels))

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """x: `[B, C, H, W]`; quality: `[B]`, 0..100 → x times the gains, in x's dtype."""
        gain = interpolate_knots(self.log_gain, quality).exp()
        return x * gain[:, :, None, None].to(x.dtype)
