"""Two distortions that were compared with SSIMULACRA2 and lost: MS-SSIM, and Wasserstein distortion alone.

Arguments and results as those of `rdpcodec.metrics.eyes.ssimulacra2_distortion`.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from rdpcodec.metrics.eyes import _WASSERSTEIN_LEVELS, _both, _narrow_differences
from rdpcodec.metrics.ssimulacra2 import C2
from rdpcodec.metrics.xyb import blur

# For SSIM of images whose range is about 1.
C1 = 0.01**2
# Wang, Simoncelli & Bovik 2003, from the finest scale on.
EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


class Windows(NamedTuple):
    """Statistics of a reference and a decoded image in Gaussian windows at each pixel, `[B, 3, H, W]`."""

    mean: Tensor
    mean_decoded: Tensor
    # Sum of both variances, and the covariance.
    variances: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, original: Tensor, judged: Tensor) -> Windows:
        powers = original.square() + judged.square()
        blurred = blur(torch.cat([original, judged, powers, original * judged], 1))
        mean, other, power, product = blurred.chunk(4, 1)
        return cls(mean, other, power - mean.square() - other.square(), product - mean * other)


def ms_ssim_distortion(reference: Tensor, decoded: Tensor) -> Tensor:
    """1 - MS-SSIM of SSIMULACRA2's X, Y and B, 0..1, the mean of the three.

    After Wang, Simoncelli & Bovik, Multiscale structural similarity, 2003, with the window and the scales
    (means in linear light) of SSIMULACRA2.
    """
    product = reference.new_ones((), dtype=torch.float32)
    scales = list(_both(reference, decoded))[: len(EXPONENTS)]
    for (original, judged), exponent in zip(scales, EXPONENTS, strict=False):
        windows = Windows.of(original, judged)
        similar = (2 * windows.covariance + C2) / (windows.variances + C2)
        product = product * similar.mean((2, 3)).clamp(min=1e-3) ** exponent
    luminance = (2 * windows.mean * windows.mean_decoded + C1) / (
        windows.mean.square() + windows.mean_decoded.square() + C1
    )
    return 1 - (product * luminance.mean((2, 3)) ** exponent).mean(1)


def wasserstein_distortion(reference: Tensor, decoded: Tensor) -> Tensor:
    """Squared differences of local means and of local deviations of band-passed X, Y and B: texture may move
    within a window of about three pixels of its level. `rdpcodec.metrics.texture` has this and more.
    """
    total = reference.new_zeros(len(reference), dtype=torch.float32)
    for original, judged in islice(_both(reference, decoded), _WASSERSTEIN_LEVELS):
        total = total + _narrow_differences(original, judged)
    return total
