"""Distortions for eyes: SSIMULACRA2 and coarse errors, in a colour space of cones.

Both are differentiable and need torch alone, without a trained network. They compare float images
`[B, 3, H, W]` in sRGB, 0..1, and give one distortion for each, `[B]`, 0 for equal images. Values outside 0..1
are allowed, so that a decoder's output can be judged before it is clipped.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from rdpcodec.metrics.ssimulacra2 import C2, FELT, POLYNOMIAL, POWER, SCALE, WEIGHTS
from rdpcodec.metrics.xyb import blur, scales, xyb

# Of numbers near this and below, `_root` gives less than the root; too small to move a score by a hundredth.
_EPSILON = 1e-20
# A distortion below this counts as none: its relative gradient would be that of rounding errors.
LEAST_DISTORTION = 1e-6
# For coarse errors: means over 2 to 16 pixels, lower weights for red-green and blue-yellow, and the norm.
# Chosen to follow Butteraugli's 3-norm (bench/experiments/2026-11-eyes).
_COARSE_SCALES = slice(1, 5)
_COARSE_COLOURS = (0.3, 1.0, 0.3)
_COARSE_NORM = 3


@cache
def _weights(device: torch.device) -> Tensor:
    """`WEIGHTS` on a device, made once: recorded kernels (CUDA graphs) can take nothing from the host."""
    with torch.inference_mode(False):
        return torch.tensor(WEIGHTS, dtype=torch.float32).to(device)


class _Reference(NamedTuple):
    """A reference at one scale, `[B, C, H, W]` each, and the weights of its errors, `[C, norm, kind]`."""

    image: Tensor
    mean: Tensor
    variance: Tensor
    detail: Tensor  # image - mean
    weights: Tensor

    @classmethod
    def of(cls, image: Tensor, weights: Tensor) -> _Reference:
        mean, power = blur(torch.cat([image, image.square()], 1)).chunk(2, 1)
        return cls(image, mean, power - mean.square(), image - mean, weights)

    def errors(self, judged: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps of errors of structure, of added edges and of lost edges, `[B, C, H, W]` each.

        They are computed from the change. As differences between moments of both images they would be
        rounding errors where the images are nearly equal.
        """
        change = judged - self.image
        mean, power, product = blur(torch.cat([change, change.square(), self.image * change], 1)).chunk(3, 1)
        variance, covariance = power - mean.square(), product - self.mean * mean
        both = 2 * (self.variance + covariance) + variance
        # What the two factors of SSIM lack to 1. In the second, twice the covariance of both images is less
        # than the sum of their variances by the variance of the change.
        lightness, structure = mean.square(), variance / (both + C2)
        unlike = lightness + structure - lightness * structure
        edges = (1 + (self.detail + (change - mean)).abs()) / (1 + self.detail.abs()) - 1
        return unlike.relu(), edges.relu(), (-edges).relu()


class ForEyes:
    """SSIMULACRA2 and coarse errors against one reference. Whatever all decoded images share, and whatever
    both distortions need of an image, is computed once.
    """

    def __init__(self, reference: Tensor) -> None:
        """reference: as in `ssimulacra2_distortion`."""
        weights, colours = _weights(reference.device), _colours(reference)
        self._scales = [
            _Reference.of(_felt(image, scale), weights[FELT[scale], scale])
            for scale, image in enumerate(colours)
        ]
        self._means = colours[_COARSE_SCALES]

    def distortions(self, decoded: Tensor) -> tuple[Tensor, Tensor]:
        """`ssimulacra2_distortion` and `coarse_distortion` of an image, `[B]` each."""
        none, colours = decoded.new_zeros(len(decoded), dtype=torch.float32), _colours(decoded)
        return none + self._ssimulacra2(colours), none + self._coarse(colours)

    def _ssimulacra2(self, colours: list[Tensor]) -> Tensor | float:
        total: Tensor | float = 0.0
        for scale, (reference, image) in enumerate(zip(self._scales, colours, strict=True)):
            for kind, errors in enumerate(reference.errors(_felt(image, scale))):
                first, fourth = reference.weights[:, :, kind].unbind(1)
                total = total + errors.mean((2, 3)) @ first
                total = total + _root(errors.square().square().mean((2, 3)), 1 / 4) @ fourth
        return total * SCALE

    def _coarse(self, colours: list[Tensor]) -> Tensor | float:
        total: Tensor | float = 0.0
        for reference, judged in zip(self._means, colours[_COARSE_SCALES], strict=True):
            squares = sum(w * (judged - reference)[:, c].square() for c, w in enumerate(_COARSE_COLOURS))
            total = total + _root((squares ** (_COARSE_NORM / 2)).mean((1, 2)), 2 / _COARSE_NORM)
        return total


def _root(x: Tensor, exponent: float) -> Tensor:
    """x^exponent for x of 0 or more and exponents of 0 to 1. At 0 it is 0, with a gradient that is finite."""
    return x / (x + _EPSILON) ** (1 - exponent)


def ssimulacra2_distortion(reference: Tensor, decoded: Tensor) -> Tensor:
    """The weighted sum of SSIMULACRA2 v2.1, before its last polynomial: about 0.5 for a visually lossless
    image, 10 for one of low quality.

    reference, decoded: float `[B, 3, H, W]`, sRGB in 0..1, sides of 8 pixels or more. Returns float32 `[B]`:
    0 for smaller images; sides below 57 lack coarse scales. After Sneyers, SSIMULACRA 2, 2022-23
    (github.com/cloudinary/ssimulacra2); as there, images are black beyond their borders.
    """
    return ForEyes(reference).distortions(decoded)[0]


def ssimulacra2_score(distortion: Tensor) -> Tensor:
    """SSIMULACRA2's score for a result of `ssimulacra2_distortion`: 100 for equal images, 90 where no
    difference is seen, 30 for low quality; it may be negative. Any shape.
    """
    one, two, three = POLYNOMIAL
    s = one * distortion + two * distortion**2 + three * distortion**3
    return 100 - 10 * s.clamp(min=0) ** POWER


def in_place_of(mse: Tensor, distortion: Tensor) -> Tensor:
    """The value of the squared error with the relative gradient of another distortion, `[B]` each.

    One per cent less of the distortion is worth as much as one per cent less of squared error, at every
    quality and whatever its unit, so λ and quality keep their meaning.
    """
    return exchange_rate(mse, distortion) * distortion


def exchange_rate(mse: Tensor, distortion: Tensor) -> Tensor:
    """The squared error that a unit of another distortion stands for, without a gradient; any shape."""
    return mse.detach() / distortion.detach().clamp(min=LEAST_DISTORTION)


def coarse_distortion(reference: Tensor, decoded: Tensor) -> Tensor:
    """Errors of X, Y and B in means over 2, 4, 8 and 16 pixels, as the squared 3-norm of each scale.

    They show what SSIMULACRA2 hardly feels: that a smooth area is too light or too red, and where an image is
    worst. Arguments and result as in `ssimulacra2_distortion`.
    """
    return ForEyes(reference).distortions(decoded)[1]


def _colours(x: Tensor) -> list[Tensor]:
    """X, Y and B at each scale that SSIMULACRA2 feels; at the finest, where most of the work is, only the
    channels that it feels.
    """
    return [
        xyb(light, slice(0, 3) if scale else felt)
        for scale, (felt, light) in enumerate(zip(FELT, scales(x), strict=False))
    ]


def _felt(colours: Tensor, scale: int) -> Tensor:
    """The channels that SSIMULACRA2 feels, out of `_colours` at one scale."""
    return colours[:, FELT[scale]] if scale else colours
