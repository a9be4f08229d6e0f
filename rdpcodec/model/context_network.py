"""The context network in training: from decoded hyper-latents to where the next ones lie.

Like the scale network, it decides how symbols are read, so what is trained is what is shipped: 8-bit
operands, reached by rounding with the gradient of the identity. `rdpcodec.entropy.context` evaluates the
integers.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rdpcodec.entropy.context import (
    ENTER_SHIFT,
    FRACTIONS,
    HIDDEN_SHIFT,
    LEAVE_SHIFT,
    NEIGHBOURS,
    SCALES,
)
from rdpcodec.entropy.integers import ACTIVATION_LIMIT, HYPER_LATENT_LIMIT
from rdpcodec.entropy.tables import KNOTS
from rdpcodec.model.prior import information
from rdpcodec.model.scale_network import (
    ACTIVATION_UNIT,
    HYPER_LATENT_UNIT,
    IntegerPointwise,
    clamp_through,
    round_through,
)

# Scale s stands for a logistic distribution with the scale parameter SMALLEST_SCALE · SCALE_STEP^s, in
# hyper-latents: 0.04 to 18.
SMALLEST_SCALE = 0.04
SCALE_STEP = 1.5
# What the integer 1 of a weight counts as. The shifts follow from that, or the other way round.
_ENTER_UNIT = 2.0**-ENTER_SHIFT * ACTIVATION_UNIT / HYPER_LATENT_UNIT
_HIDDEN_UNIT = 2.0**-HIDDEN_SHIFT
_LEAVE_UNIT = 2.0**-LEAVE_SHIFT / FRACTIONS / ACTIVATION_UNIT


class ContextNetwork(nn.Module):
    """Three neighbours of a position → mean and scale of each hyper-latent there.

    Layers: 1×1 on the neighbours' channels (rate-dependent bias), 1×1, 1×1 (rate-dependent bias).
    """

    def __init__(self, hyper_latents: int, hidden: int = 96) -> None:
        super().__init__()
        self.enter = IntegerPointwise(
            NEIGHBOURS * hyper_latents, hidden, knots=KNOTS, init=0.2, bias=0.3, weight_unit=_ENTER_UNIT
        )
        self.hidden = IntegerPointwise(hidden, hidden, init=0.6, bias=0.1, weight_unit=_HIDDEN_UNIT)
        self.leave = IntegerPointwise(
            hidden, 2 * hyper_latents, knots=KNOTS, init=0.0, weight_unit=_LEAVE_UNIT
        )
        with torch.no_grad():  # at the start, all means are 0 and all scales a third
            self.leave.bias[:, hyper_latents:] = math.log(0.33 / SMALLEST_SCALE, SCALE_STEP) / FRACTIONS

    def forward(self, z: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """z: `[B, M, h, w]`, integers in ±127; quality `[B]` → means in eighths, in ±8·127, and scales,
        0..15: integral floats, `[B, M, h, w]` each.
        """
        padded = F.pad(z, (1, 0, 1, 0))
        x = torch.cat([padded[:, :, 1:, :-1], padded[:, :, :-1, 1:], padded[:, :, :-1, :-1]], 1)
        x = self.enter.accumulate(x, quality, _ENTER_UNIT * HYPER_LATENT_UNIT)
        x = _activated(x, ENTER_SHIFT)
        x = _activated(self.hidden.accumulate(x, quality, _HIDDEN_UNIT * ACTIVATION_UNIT), HIDDEN_SHIFT)
        x = self.leave.accumulate(x, quality, _LEAVE_UNIT * ACTIVATION_UNIT) * 2.0**-LEAVE_SHIFT
        means, scales = x.chunk(2, 1)
        limit = FRACTIONS * HYPER_LATENT_LIMIT
        return (
            round_through(clamp_through(means, -limit, limit)),
            round_through(clamp_through(scales, 0, SCALES - 1)),
        )

    def bits(self, z: Tensor, quality: Tensor) -> Tensor:
        """Information of z under these logistic distributions, in bits. z, quality: see `forward` → `[B, M,
        h, w]`.
        """
        means, scales = self(z, quality)
        inverse = torch.exp(-math.log(SCALE_STEP) * scales) / SMALLEST_SCALE
        return information(logistic_mass((z - means / FRACTIONS).abs(), inverse))


def _activated(accumulator: Tensor, shift: int) -> Tensor:
    """Divide by 2^shift, round half up, clamp to 0..255.

    Units at zero get no gradient. With gradients that wake them, as in the scale network, the network saved a
    fifth less (bench/experiments/2026-12-hyper-context).
    """
    return round_through((accumulator * 2.0**-shift).clamp(0, ACTIVATION_LIMIT))


def logistic_mass(distance: Tensor, inverse_scale: Tensor) -> Tensor:
    """The probability that a logistic variable lies within ½ of a value at `distance` from its mean."""
    upper = torch.sigmoid((0.5 - distance) * inverse_scale)
    return upper - torch.sigmoid((-0.5 - distance) * inverse_scale)


@torch.no_grad()
def context_tensors(network: ContextNetwork) -> dict[str, Tensor]:
    """The integers of a trained context network, under their names in a release file."""

    def weight(layer: IntegerPointwise) -> Tensor:
        return layer.integer_weight().to(torch.int8).contiguous()

    def bias(layer: IntegerPointwise, input_unit: float) -> Tensor:
        return layer.integer_bias(layer.weight_unit * input_unit).to(torch.int32).contiguous()

    return {
        "context.enter": weight(network.enter),
        "context.enter_bias": bias(network.enter, HYPER_LATENT_UNIT),
        "context.hidden": weight(network.hidden),
        "context.hidden_bias": bias(network.hidden, ACTIVATION_UNIT)[0].contiguous(),
        "context.leave": weight(network.leave),
        "context.leave_bias": bias(network.leave, ACTIVATION_UNIT),
    }
