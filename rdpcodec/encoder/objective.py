"""What a search pays for the errors of a tile, in bits: λ times the distortion that training minimises.

Part of that is squared error; the rest is distortions for eyes in its place (`rdpcodec.metrics.eyes`).
Training takes the relative gradient anew in each step. A search needs one function to descend on, so here the
exchange rates are fixed at those of the symbols from which it begins. A tile is judged with the margin around
it, which is wider than SSIMULACRA2's windows at all but its two coarsest scales.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rdpcodec.metrics.eyes import LEAST_DISTORTION, ForEyes, exchange_rate
from rdpcodec.weights.release import DistortionShares


class ErrorPrice:
    """λ·255²·D of one tile, for images near the one from which a search begins."""

    def __init__(self, original: Tensor, decoded: Tensor, weight: float, shares: DistortionShares) -> None:
        """original, decoded: float `[1, 3, H, W]` in [0, 1], of any size; weight: bits for a mean squared
        error of 1; shares: of the distortion that the model was trained for.

        Where a distortion is absent, because the image is too small or already equal, its share goes to
        squared error.
        """
        self._original, self.weight = original, weight
        self._for_eyes = ForEyes(original)
        with torch.no_grad():
            mse = (decoded - original).square().mean()
            starts = torch.cat(self._for_eyes.distortions(decoded))
        counts = starts > LEAST_DISTORTION
        counted = counts * starts.new_tensor(shares)
        self._rates = counted * exchange_rate(mse, starts)
        self._squared_share = 1 - float(counted.sum())

    def __call__(self, decoded: Tensor) -> Tensor:
        """The price in bits of the errors of `decoded`, `[1, 3, H, W]`; a scalar."""
        felt = torch.cat(self._for_eyes.distortions(decoded))
        squared = (decoded - self._original).square().mean()
        return self.weight * (self._squared_share * squared + self._rates @ felt)
