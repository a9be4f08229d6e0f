"""Full-reference distortion of 8-bit images: MSE, PSNR, SSIM, MS-SSIM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

# Five scales with an 11-pixel window: the shorter side must exceed (11 - 1) · 2^4.
MS_SSIM_MINIMUM_SIDE = 161


def mse(reference: np.ndarray, decoded: np.ndarray) -> float:
    """Mean squared error over pixels and channels.

    Both uint8 of one shape; in units of pixel values squared.
    """
    if reference.shape != decoded.shape:
        raise ValueError(f"shapes differ: {reference.shape} and {decoded.shape}")
    return float(np.mean((reference.astype(np.float64) - decoded.astype(np.float64)) ** 2))


def psnr(reference: np.ndarray, decoded: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over all channels together (RGB PSNR); infinite for equal images."""
    error = mse(reference, decoded)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def ssim(reference: np.ndarray, decoded: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004), mean over the RGB channels, up to 1, by pytorch-msssim.

    Both uint8 `[H, W, 3]`, sides of 11 pixels or more.
    """
    from pytorch_msssim import ssim as implementation

    return float(implementation(*_pair(reference, decoded), data_range=255))


def ms_ssim(reference: np.ndarray, decoded: np.ndarray) -> float:
    """Multi-scale structural similarity (Wang et al. 2003), mean over the RGB channels, 0..1, by
    pytorch-msssim.

    Both uint8 `[H, W, 3]`; not a number where the shorter side is under 161 pixels, for which it is not
    defined.
    """
    from pytorch_msssim import ms_ssim as implementation

    if min(reference.shape[:2]) < MS_SSIM_MINIMUM_SIDE:
        return float("nan")
    return float(implementation(*_pair(reference, decoded), data_range=255))


def _pair(reference: np.ndarray, decoded: np.ndarray) -> list[Tensor]:
    """Both images as float tensors `[1, 3, H, W]`, 0..255."""
    import torch

    return [torch.from_numpy(np.array(a)).permute(2, 0, 1)[None].float() for a in (reference, decoded)]
