"""What a search pays for the errors of a tile, in bits: λ times the distortion that training minimises.

Three tenths of that are squared error, the rest is SSIMULACRA2 in its place (`rdpcodec.metrics.eyes`).
Training takes the relative gradient anew in each step; a search needs one function to descend on, so here the
exchange rate of the two is that of the symbols from which the search begins. A tile is judged with the margin
around it, which is wider than SSIMULACRA2's windows at the scales that count.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rdpcodec.metrics.eyes import LEAST_DISTORTION, Ssimulacra2, exchange_rate

# As in the training of the released weights (`--eyes`).
EYES_SHARE = 0.7


class ErrorPrice:
    """λ·255²·D of one tile, for images near the one from which a search begins."""

    def __init__(self, original: Tensor, decoded: Tensor, weight: float) -> None:
        """original, decoded: float `[1, 3, H, W]` in [0, 1], of any size; weight: bits for a mean squared
        error of 1.

        Images without a SSIMULACRA2 distortion, because they are too small or already equal, keep to squared
        error.
        """
        self._original, self.weight = original, weight
        self._ssimulacra2 = Ssimulacra2(original)
        with torch.no_grad():
            start = self._ssimulacra2.distortion(decoded)
            self._rate = float(exchange_rate((decoded - original).square().mean(), start))
        self._share = EYES_SHARE if float(start) > LEAST_DISTORTION else 0.0

    def __call__(self, decoded: Tensor) -> Tensor:
        """The bits that the errors of `decoded`, `[1, 3, H, W]`, are worth; a scalar."""
        return self.squared(decoded) + self.eyes(decoded)

    def squared(self, decoded: Tensor) -> Tensor:
        """The part of squared error."""
        return self.weight * (1 - self._share) * (decoded - self._original).square().mean()

    def eyes(self, decoded: Tensor) -> Tensor:
        """The part of SSIMULACRA2, which takes longer than a synthesis."""
        if not self._share:
            return decoded.new_zeros(())
        return self.weight * self._share * self._rate * self._ssimulacra2.distortion(decoded).sum()
