"""Quality → λ, what a file at that quality pays for a smaller error.

The quality setting runs from 0 (fewest bits) to 100. Equal steps of it multiply λ by equal factors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

FloatOrTensor = TypeVar("FloatOrTensor", float, "Tensor")

# CompressAI's ladder runs from λ = 0.0018 (0.12 bpp on Kodak) to 0.18 (1.6 bpp); our low end is 10 times
# lower.
LAMBDA_MIN = 0.00018
LAMBDA_MAX = 0.18


def lambda_at(quality: FloatOrTensor) -> FloatOrTensor:
    """λ of the loss λ·255²·MSE + bpp (MSE of pixels in [0, 1]) at a quality 0..100, or at each of a tensor of
    any shape.
    """
    return LAMBDA_MIN * (LAMBDA_MAX / LAMBDA_MIN) ** (quality / 100)
