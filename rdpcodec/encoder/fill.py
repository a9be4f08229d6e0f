"""Smooth filling: what the networks see where pixels do not concern them.

Under the exact layer and under full transparency, the networks may see anything. A smooth continuation of the
surroundings costs them next to nothing.
"""

from __future__ import annotations

import numpy as np


def smooth_fill(pixels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Pixels, uint8 `[H, W, 3]`, with those that are not `known`, bool `[H, W]`, replaced by a smooth
    continuation of the others; middle gray where nothing is known.

    Known pixels are averaged into coarser and coarser images, and holes are filled from these ("push-pull";
    Gortler et al., The Lumigraph, SIGGRAPH 1996, section 3.4).
    """
    if known.all():
        return pixels
    if not known.any():
        return np.full_like(pixels, 128)
    weights = known[..., None].astype(np.float32)
    filled = _filled(pixels.astype(np.float32) * weights, weights)
    return np.where(known[..., None], pixels, filled.round().clip(0, 255).astype(np.uint8))


def _filled(total: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted pixels `[H, W, 3]` and their weights in [0, 1], `[H, W, 1]` → pixels without holes."""
    if min(total.shape[:2]) == 1 or weights.min() == 1:
        return total / weights.clip(1e-6) if weights.min() > 0 else _mean(total, weights)
    coarse_weights = _halved(weights)
    scale = np.minimum(1, 4 * coarse_weights) / coarse_weights.clip(1e-6)
    coarse = _filled(_halved(total) * scale, coarse_weights * scale)
    fine = _doubled(coarse, total.shape[:2])
    return total + (1 - weights) * fine


def _mean(total: np.ndarray, weights: np.ndarray) -> np.ndarray:
    mean = total.sum((0, 1)) / weights.sum().clip(1e-6)
    return total + (1 - weights) * mean


def _halved(x: np.ndarray) -> np.ndarray:
    """Means of 2×2 pixels of `[H, W, C]`; pixels beyond the border are zero."""
    x = np.pad(x, ((0, x.shape[0] % 2), (0, x.shape[1] % 2), (0, 0)))
    return np.asarray((x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4)


def _doubled(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels `[h, w, C]` at twice the resolution, linear between their centres, cropped to `size`."""
    for axis in (0, 1):
        edge = [(0, 0)] * 3
        edge[axis] = (1, 1)
        padded = np.moveaxis(np.pad(x, edge, mode="edge"), axis, 0)
        near, before, after = padded[1:-1], padded[:-2], padded[2:]
        both = np.stack([0.75 * near + 0.25 * before, 0.75 * near + 0.25 * after], 1)
        x = np.moveaxis(both.reshape(-1, *near.shape[1:]), 0, axis)
    return x[: size[0], : size[1]]
