"""What a search pays for the errors of a tile, in bits: λ times the distortion that training minimises.

A part of that is squared error, the rest are distortions for eyes in its place (`rdpcodec.metrics.eyes`).
Training takes the relative gradient anew in each step; a search needs one function to descend on, so here the
exchange rates are those of the symbols from which the search begins. A tile is judged with the margin around
it, which is wider than the windows of SSIMULACRA2 at the scales that count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from rdpcodec.metrics.eyes import LEAST_DISTORTION, Coarse, Ssimulacra2, exchange_rate

# As in the training of the released weights (`--eyes`, `--coarse`).
EYES_SHARE = 0.5
COARSE_SHARE = 0.3

Distortion = Callable[[Tensor], Tensor]


class _Felt(NamedTuple):
    """A distortion for eyes, `[1, 3, H, W]` -> `[1]`: its share, and the squared error a unit stands for."""

    share: float
    rate: float
    distortion: Distortion


class ErrorPrice:
    """λ·255²·D of one tile, for images near the one from which a search begins."""

    def __init__(self, original: Tensor, decoded: Tensor, weight: float) -> None:
        """original, decoded: float `[1, 3, H, W]` in [0, 1], of any size; weight: bits for a mean squared
        error of 1.

        A distortion that the image has none of, because it is too small or already equal, leaves its share
        to squared error.
        """
        self._original, self.weight = original, weight
        shares: list[tuple[float, Distortion]] = [
            (EYES_SHARE, Ssimulacra2(original).distortion),
            (COARSE_SHARE, Coarse(original).distortion),
        ]
        self._felt: list[_Felt] = []
        with torch.no_grad():
            mse = (decoded - original).square().mean()
            for share, distortion in shares:
                start = float(distortion(decoded))
                if start > LEAST_DISTORTION:
                    self._felt.append(
                        _Felt(share, float(exchange_rate(mse, torch.tensor(start))), distortion)
                    )

    def __call__(self, decoded: Tensor) -> Tensor:
        """The bits that the errors of `decoded`, `[1, 3, H, W]`, are worth; a scalar."""
        share = 1 - sum(part.share for part in self._felt)
        price = share * (decoded - self._original).square().mean()
        for part in self._felt:
            price = price + part.share * part.rate * part.distortion(decoded).sum()
        return self.weight * price
