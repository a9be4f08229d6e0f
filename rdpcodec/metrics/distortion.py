"""Full-reference distortion of 8-bit images: MSE, PSNR, SSIM, MS-SSIM.

All raise `UsageError` for arrays of other types, or of different shapes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rdpcodec.metrics.pair import check_pair, check_values

# Rows whose squared errors are summed at once: a few megabytes for wide images.
_STRIP = 64
# For SSIM: a Gaussian window of 11 pixels, and constants for pixels of 0..255.
_WINDOW = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
_WINDOW = (_WINDOW / _WINDOW.sum()).astype(np.float32)
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
# For MS-SSIM, from the finest of five scales on.
_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# So that the coarsest scale has a whole window: the shorter side must exceed (11 - 1) · 2^4.
MS_SSIM_MINIMUM_SIDE = 161


def mse(reference: np.ndarray, decoded: np.ndarray) -> float:
    """Mean squared error over pixels and channels.

    Both uint8 of one shape; the result is in pixel values squared.
    """
    check_values(reference, decoded)
    total = 0  # exact, as are the sums of the strips
    for top in range(0, len(reference), _STRIP):
        errors = np.subtract(reference[top : top + _STRIP], decoded[top : top + _STRIP], dtype=np.int32)
        total += int(np.square(errors).sum(dtype=np.int64))
    return total / reference.size


def psnr(reference: np.ndarray, decoded: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over all channels together (RGB PSNR); infinite for equal images.

    Both uint8 of one shape.
    """
    error = mse(reference, decoded)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def ssim(reference: np.ndarray, decoded: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004), mean over the RGB channels, up to 1.

    Both uint8 `[H, W, 3]`, sides of 11 pixels or more.
    """
    check_pair(reference, decoded)
    means = []
    for x, y in zip(_channels(reference), _channels(decoded), strict=True):
        luminance, structure = _similarities(x, y)
        means.append((luminance * structure).mean(dtype=np.float64))
    return float(np.mean(means))


def ms_ssim(reference: np.ndarray, decoded: np.ndarray) -> float:
    """Multi-scale structural similarity (Wang et al. 2003), mean over the RGB channels, 0..1.

    Both uint8 `[H, W, 3]`; not a number where the shorter side is under 161 pixels, for which it is not
    defined.
    """
    check_pair(reference, decoded)
    if min(reference.shape[:2]) < MS_SSIM_MINIMUM_SIDE:
        return float("nan")
    products = []
    for x, y in zip(_channels(reference), _channels(decoded), strict=True):
        product = 1.0
        for scale, exponent in enumerate(_EXPONENTS, 1):
            luminance, structure = _similarities(x, y)
            compared = luminance * structure if scale == len(_EXPONENTS) else structure
            product *= max(float(compared.mean(dtype=np.float64)), 0) ** exponent
            x, y = _halved(x), _halved(y)
        products.append(product)
    return float(np.mean(products))


def _channels(image: np.ndarray) -> Iterator[np.ndarray]:
    """uint8 `[H, W, 3]` → float32 `[H, W]`, one channel after the other, since each needs much memory."""
    return (np.ascontiguousarray(image[:, :, channel], np.float32) for channel in range(3))


def _similarities(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SSIM's two factors, of luminance and of contrast with structure, in every whole window."""
    # Variances are those of differences from any value. From one in the middle of x, squares are small: those
    # of bright pixels would leave nothing but rounding errors of the variances of flat areas.
    middle = np.float32(x.mean(dtype=np.float64))
    x, y = x - middle, y - middle
    mean_x, mean_y = _windowed(x), _windowed(y)
    variances = _windowed(x**2 + y**2) - (mean_x**2 + mean_y**2)
    covariance = _windowed(x * y) - mean_x * mean_y
    # 1 at most, whatever is rounded.
    structure = (np.minimum(2 * covariance, variances) + _C2) / (variances + _C2)
    mean_x, mean_y = mean_x + middle, mean_y + middle
    return (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1), structure


def _windowed(x: np.ndarray) -> np.ndarray:
    """Weighted means in every whole window, `[H, W]` → `[H - 10, W - 10]`."""
    height, width = x.shape[0] - 10, x.shape[1] - 10
    rows = sum(weight * x[i : i + height] for i, weight in enumerate(_WINDOW))
    return np.asarray(sum(weight * rows[:, i : i + width] for i, weight in enumerate(_WINDOW)))


def _halved(x: np.ndarray) -> np.ndarray:
    """Means of 2×2 pixels; an odd side begins with a line of zeros, as in pytorch-msssim."""
    x = np.pad(x, ((x.shape[0] % 2, 0), (x.shape[1] % 2, 0)))
    return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4
