"""An image whose pixels come from a formula, and changed versions of it: the same on every machine."""

from __future__ import annotations

import numpy as np

# Scores of the changed versions, from the package ssimulacra2 0.3.0 with one change: zeros beyond
# all borders, as in the C++ code (libjxl's gauss_blur.cc; the package mirrors columns). Its blur is then
# `ndimage.gaussian_filter(image, sigma=1.5, truncate=3.33, mode="constant", axes=(0, 1))`. On Kodak images as
# JPEG and AVIF with scores from 22 to 82, both agree to 0.015.
SSIMULACRA2 = {"blurred": 70.235, "coarse": 61.543, "tinted": 82.255}


def formula() -> np.ndarray:
    """uint8 `[256, 320, 3]`: gradients, stripes of rising frequency and a disc."""
    y, x = np.mgrid[0:256, 0:320].astype(np.float64)
    stripes = np.sin(x * x / 700) * np.cos(y / 9)
    disc = (np.hypot(x - 200, y - 120) < 60).astype(np.float64)
    planes = [90 + 50 * stripes + 60 * disc, 60 + y / 2 + 30 * stripes, 140 - x / 4 + 70 * disc]
    return np.stack([p.round().clip(0, 255) for p in planes], -1).astype(np.uint8)


def changed(image: np.ndarray) -> dict[str, np.ndarray]:
    wide = image.astype(np.int64)
    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    box = np.mean([np.roll(wide, shift, (0, 1)) for shift in shifts], 0)
    return {
        "blurred": box.astype(np.uint8),
        "coarse": (wide // 16 * 16 + 8).astype(np.uint8),
        "tinted": (wide + np.array([6, -4, 8])).clip(0, 255).astype(np.uint8),
    }
