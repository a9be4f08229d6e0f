"""Detail that repeats from cell to cell of the networks' grid: a weave over an image.

A synthesis turns equal latents into equal pixels. Where many cells have no latents worth coding, all the
texture that it gives them is one pattern, every 8 or 16 pixels. Distances hardly tell this from grain; eyes
see it at once.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Periods in pixels, of the grids at 1/8 and 1/16, and the sides, in cells, of the squares that are averaged.
_GRIDS = ((8, 4), (16, 3))
_SMOOTH = 5  # side of the means; detail is what differs from them


def weave_distortion(reference: Tensor, decoded: Tensor) -> Tensor:
    """How far the energy of repeating detail exceeds the reference's, in each neighbourhood: mean squared
    pixel values, `[B]`; 0 for equal images.

    reference, decoded: float `[B, 3, H, W]`, sides multiples of 16, from 48 on, cut where the networks' grid
    begins. Differentiable in `decoded`. What repeats in the reference may repeat in `decoded`.
    """
    total = decoded.new_zeros(len(decoded))
    for period, side in _GRIDS:
        with torch.no_grad():
            wanted = _repeating(reference, period, side)
        total = total + (_repeating(decoded, period, side) - wanted).relu().mean((1, 2))
    return total


def _repeating(image: Tensor, period: int, side: int) -> Tensor:
    """The energy of detail that `side`² neighbouring cells share, for each such square, `[B, h, w]`."""
    detail = image - F.avg_pool2d(image, _SMOOTH, 1, _SMOOTH // 2, count_include_pad=False)
    # Each place within a cell becomes a channel, so that neighbours are the same place in the next cell.
    shared = F.avg_pool2d(F.pixel_unshuffle(detail, period), side, 1)
    return shared.square().mean(1)
