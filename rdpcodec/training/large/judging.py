"""Whether weights in training are worth going on with: their rates against those of other weights.

Rates are compared on the held-out crops, at equal PSNR and at equal SSIMULACRA2. Latents are rounded as in
the encoder, and counted under the trained densities.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from torch import Tensor

from rdpcodec.errors import RdpError
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.training.images.validation import points_of

# Share of the bits of `fast`. `large` should need 8 % less than `base`. But `base` was trained for squared
# error only: at equal SSIMULACRA2, training for eyes would win as much by itself. `base` needed 2.8 % less
# than the `fast` trained like it (docs/decisions.md), and today's `fast` is trained for eyes like `large`.
# Two things still differ. `fast` also learnt for the realism synthesis, which cost it about 4 % of the bits
# at equal PSNR; the learning rate of `large` has not fallen yet, which costs about as much.
WANTED = 0.92 * 0.972


class NotWorthIt(RdpError):
    """Weights that need more bits than they should by now."""


class Curve(NamedTuple):
    """Means over crops at each validation quality: log of bits per pixel, PSNR in dB, SSIMULACRA2."""

    log_rate: np.ndarray
    psnr: np.ndarray
    ssimulacra2: np.ndarray


class Verdict(NamedTuple):
    """Bits as a multiple of what other weights need, at equal PSNR and at equal SSIMULACRA2.

    Infinite where the curves do not overlap.
    """

    psnr: float
    ssimulacra2: float

    @property
    def overall(self) -> float:
        """The geometric mean of both."""
        return math.sqrt(self.psnr * self.ssimulacra2)

    def check(self, wanted: float) -> None:
        """Raise `NotWorthIt` when `overall` is more than `wanted`."""
        if not self.overall <= wanted:
            raise NotWorthIt(
                f"{self.overall:.3f} of the other weights' bits are needed, and {wanted:.3f} were allowed "
                f"({self.psnr:.3f} at equal PSNR, {self.ssimulacra2:.3f} at equal SSIMULACRA2): stop here; "
                "the pieces are kept"
            )


def curve(model: RdpModel, crops: Tensor) -> Curve:
    """The curve of a model on crops `[B, 3, H, W]`, sides multiples of 64, on its device."""
    points = points_of(model, crops)
    return Curve(*np.array([[at.log_rate, float(at.loss.psnr), at.ssimulacra2] for at in points]).T)


def verdict(found: Curve, other: Curve) -> Verdict:
    """Judge one curve by another."""
    return Verdict(
        _rates(found.log_rate, found.psnr, other.log_rate, other.psnr),
        _rates(found.log_rate, found.ssimulacra2, other.log_rate, other.ssimulacra2),
    )


def _rates(rate: np.ndarray, merit: np.ndarray, other_rate: np.ndarray, other_merit: np.ndarray) -> float:
    """The mean ratio of rates at equal merit, with straight lines between the points."""
    low, high = max(merit.min(), other_merit.min()), min(merit.max(), other_merit.max())
    if low >= high:
        return math.inf
    at = np.linspace(low, high, 101)
    ratios = [
        np.interp(at, np.sort(m), r[np.argsort(m)]) for r, m in ((rate, merit), (other_rate, other_merit))
    ]
    return float(np.exp(np.mean(ratios[0] - ratios[1])))
