"""Distortions for eyes: SSIMULACRA2, coarse errors, MS-SSIM and two distortions of texture, in a colour space
of cones.

All are differentiable and need torch alone, without a trained network. They compare float images
`[B, 3, H, W]` in sRGB, 0..1, and give one distortion for each, `[B]`, 0 for equal images. Values outside 0..1
are allowed, so that a decoder's output can be judged before it is clipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rdpcodec.metrics.ssimulacra2 import C2, FELT, POLYNOMIAL, POWER, SCALE, WEIGHTS
from rdpcodec.metrics.xyb import blur, scales, xyb

# For SSIM of images whose range is about 1.
_C1 = 0.01**2
# Keeps roots differentiable at 0; too small to move a score by a hundredth.
_EPSILON = 1e-20
# A distortion below this counts as none: its relative gradient would be that of rounding errors.
LEAST_DISTORTION = 1e-6
# For MS-SSIM (Wang, Simoncelli & Bovik 2003), from the finest scale on.
_MS_SSIM_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# For coarse errors: means over 2 to 16 pixels, lower weights for red-green and blue-yellow, and the norm.
# Chosen to follow Butteraugli's 3-norm (bench/experiments/2026-11-eyes).
_COARSE_SCALES = slice(1, 5)
_COARSE_COLOURS = (0.3, 1.0, 0.3)
_COARSE_NORM = 3
_WASSERSTEIN_LEVELS = 4
# For detail in wide windows: the number of finest levels, the side in pixels of the means taken before the
# Gaussian window, and the weight.
_WIDE_LEVELS = 2
_WIDE_CELL = 8
_WIDE_WEIGHT = 6.0
# What a deviation must exceed to count, squared, so that flat areas have a gradient: a quarter of an 8-bit
# step.
_WASSERSTEIN_FLOOR = 1e-6


@cache
def _weights(device: torch.device) -> Tensor:
    """`WEIGHTS` on a device, made once: recorded kernels (CUDA graphs) can take nothing from the host."""
    with torch.inference_mode(False):
        return torch.tensor(WEIGHTS).to(device)


class _Windows(NamedTuple):
    """Statistics of a reference and a decoded image in Gaussian windows at each pixel, `[B, 3, H, W]`."""

    mean: Tensor
    mean_decoded: Tensor
    # Sum of both variances, and the covariance.
    variances: Tensor
    covariance: Tensor


class _Reference(NamedTuple):
    """A reference at one scale, `[B, C, H, W]` each, and the weights of its errors, `[C, norm, kind]`."""

    image: Tensor
    mean: Tensor
    variance: Tensor
    edges: Tensor  # 1 + |image - mean|
    weights: Tensor

    @classmethod
    def of(cls, image: Tensor, weights: Tensor) -> _Reference:
        mean, power = blur(torch.cat([image, image.square()], 1)).chunk(2, 1)
        return cls(image, mean, power - mean.square(), 1 + (image - mean).abs(), weights)

    def errors(self, judged: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps of errors of structure, of added edges and of lost edges, `[B, C, H, W]` each."""
        moments = torch.cat([judged, judged.square(), self.image * judged], 1)
        mean, power, product = blur(moments).chunk(3, 1)
        variances = self.variance + power - mean.square()
        covariance = product - self.mean * mean
        alike = (1 - (self.mean - mean).square()) * (2 * covariance + C2) / (variances + C2)
        edges = (1 + (judged - mean).abs()) / self.edges - 1
        return (1 - alike).relu(), edges.relu(), (-edges).relu()


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
                total = total + (errors.square().square().mean((2, 3)) + _EPSILON) ** 0.25 @ fourth
        return total * SCALE

    def _coarse(self, colours: list[Tensor]) -> Tensor | float:
        total: Tensor | float = 0.0
        for reference, judged in zip(self._means, colours[_COARSE_SCALES], strict=True):
            squares = sum(w * (judged - reference)[:, c].square() for c, w in enumerate(_COARSE_COLOURS))
            norm = ((squares + _EPSILON) ** (_COARSE_NORM / 2)).mean((1, 2)) ** (2 / _COARSE_NORM)
            total = total + norm
        return total


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


def ms_ssim_distortion(reference: Tensor, decoded: Tensor) -> Tensor:
    """1 - MS-SSIM of SSIMULACRA2's X, Y and B, 0..1, the mean of the three.

    Arguments and result as in `ssimulacra2_distortion`. After Wang, Simoncelli & Bovik, Multiscale structural
    similarity, 2003, with the window and the scales (means in linear light) of SSIMULACRA2.
    """
    product = reference.new_ones((), dtype=torch.float32)
    scales = list(_both(reference, decoded))[: len(_MS_SSIM_EXPONENTS)]
    for (original, judged), exponent in zip(scales, _MS_SSIM_EXPONENTS, strict=False):
        windows = _windows(original, judged)
        similar = (2 * windows.covariance + C2) / (windows.variances + C2)
        product = product * similar.mean((2, 3)).clamp(min=1e-3) ** exponent
    luminance = (2 * windows.mean * windows.mean_decoded + _C1) / (
        windows.mean.square() + windows.mean_decoded.square() + _C1
    )
    return 1 - (product * luminance.mean((2, 3)) ** exponent).mean(1)


def wasserstein_distortion(reference: Tensor, decoded: Tensor) -> Tensor:
    """Squared differences of local means and of local deviations of band-passed X, Y and B: texture may move
    within a window of about three pixels of its level.

    Arguments and result as in `ssimulacra2_distortion`. After Qiu, Wagner, Ballé & Theis, Wasserstein
    Distortion: Unifying Fidelity and Realism, 2024, eq. 4, with fixed derivatives in place of VGG's features.
    """
    total = reference.new_zeros(len(reference), dtype=torch.float32)
    for original, judged in islice(_both(reference, decoded), _WASSERSTEIN_LEVELS):
        total = total + _narrow_differences(original, judged)
    return total


def texture_distortion(reference: Tensor, decoded: Tensor) -> Tensor:
    """`wasserstein_distortion`, plus differences in the strength of fine detail within windows of about 25
    pixels of its level.

    Few bits cannot say how strong texture is at each place, and the best guess at an unknown deviation has
    too little energy. In a wide window the strength can be known (bench/experiments/2026-11-weave). Arguments
    and result as in `ssimulacra2_distortion`.
    """
    total = reference.new_zeros(len(reference), dtype=torch.float32)
    for level, (original, judged) in enumerate(islice(_both(reference, decoded), _WASSERSTEIN_LEVELS)):
        total = total + _narrow_differences(original, judged)
        if level < _WIDE_LEVELS:
            differences = _wide_deviations(original) - _wide_deviations(judged)
            total = total + _WIDE_WEIGHT * differences.square().mean((1, 2, 3))
    return total


def _narrow_differences(original: Tensor, judged: Tensor) -> Tensor:
    """The Wasserstein distortion of one level, `[B]`."""
    mean, deviation = _local_statistics(_derivatives(original))
    other_mean, other_deviation = _local_statistics(_derivatives(judged))
    differences = (mean - other_mean).square() + (deviation - other_deviation).square()
    return differences.mean((1, 2, 3))


def _wide_deviations(x: Tensor) -> Tensor:
    """Root mean squares of the first derivatives and of the doubled second one, in wide windows."""
    here, right, below = x[..., 1:-1, 1:-1], x[..., 1:-1, 2:], x[..., 2:, 1:-1]
    around = (x[..., 1:-1, :-2] + right + x[..., :-2, 1:-1] + below) / 4
    detail = torch.cat([right - here, below - here, 2 * (here - around)], 1)
    power = F.avg_pool2d(detail.square(), _WIDE_CELL, ceil_mode=True, count_include_pad=False)
    return (blur(power) + _WASSERSTEIN_FLOOR).sqrt()


def _derivatives(x: Tensor) -> Tensor:
    """X, Y and B themselves and their first derivatives in four directions, `[B, 15, H - 1, W - 1]`."""
    here, right, below, beyond = x[..., :-1, :-1], x[..., :-1, 1:], x[..., 1:, :-1], x[..., 1:, 1:]
    return torch.cat([here, right - here, below - here, beyond - here, right - below], 1)


def _local_statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Means and deviations within Gaussian windows, at half the resolution."""
    moments = torch.cat([features, features.square()], 1)
    mean, power = blur(F.avg_pool2d(moments, 2)).chunk(2, 1)
    return mean, ((power - mean.square()).relu() + _WASSERSTEIN_FLOOR).sqrt()


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


def _both(reference: Tensor, decoded: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Two images in X, Y and B, at all scales."""
    for light, other in zip(scales(reference), scales(decoded), strict=True):
        yield xyb(light), xyb(other)


def _windows(original: Tensor, judged: Tensor) -> _Windows:
    powers = original.square() + judged.square()
    blurred = blur(torch.cat([original, judged, powers, original * judged], 1))
    mean, other, power, product = blurred.chunk(4, 1)
    return _Windows(mean, other, power - mean.square() - other.square(), product - mean * other)
