"""A distortion of texture, for realism: texture may move a little, but keeps its strength.

It is differentiable and needs torch alone, without a trained network.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from rdpcodec.metrics.xyb import blur, scales, xyb

_WASSERSTEIN_LEVELS = 4
# For detail in wide windows: the number of finest levels, the side in pixels of the means taken before the
# Gaussian window, and the weight.
_WIDE_LEVELS = 2
_WIDE_CELL = 8
_WIDE_WEIGHT = 6.0
# What a deviation must exceed to count, squared, so that flat areas have a gradient: a quarter of an 8-bit
# step.
_WASSERSTEIN_FLOOR = 1e-6


def texture_distortion(reference: Tensor, decoded: Tensor) -> Tensor:
    """Wasserstein distortion, plus differences in the strength of fine detail within wide windows.

    The first is squared differences of local means and of local deviations of band-passed X, Y and B: texture
    may move within a window of about three pixels of its level. After Qiu, Wagner, Ballé & Theis, Wasserstein
    Distortion: Unifying Fidelity and Realism, 2024, eq. 4, with fixed derivatives in place of VGG's features.

    Wide windows have about 25 pixels of their level. Few bits cannot say how strong texture is at each place,
    and the best guess at an unknown deviation has too little energy. In a wide window the strength can be
    known (bench/experiments/2026-11-weave).

    reference, decoded: float `[B, 3, H, W]`, sRGB in 0..1. Returns float32 `[B]`, 0 for equal images.
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


def _both(reference: Tensor, decoded: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Two images in X, Y and B, at all scales."""
    for light, other in zip(scales(reference), scales(decoded), strict=True):
        yield xyb(light), xyb(other)
