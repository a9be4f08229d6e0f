"""SSIM and MS-SSIM are those of pytorch-msssim, which most papers use."""

from __future__ import annotations

import math

import numpy as np
import pytest
import pytorch_msssim
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from rdpcodec.metrics.distortion import ms_ssim, mse, psnr, ssim


def tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize("size", [(400, 600), (399, 333), (161, 200)])
@pytest.mark.parametrize("noise", [2, 40])
def test_both_similarities_agree_with_pytorch_msssim(
    photograph: Image.Image, size: tuple[int, int], noise: float
) -> None:
    image = np.asarray(photograph)[: size[0], : size[1]]
    noisy = image + np.random.default_rng(0).normal(0, noise, image.shape)
    pair = image, np.clip(noisy, 0, 255).astype(np.uint8)
    tensors = [tensor(x) for x in pair]
    for ours, theirs in ((ssim, pytorch_msssim.ssim), (ms_ssim, pytorch_msssim.ms_ssim)):
        assert ours(*pair) == pytest.approx(float(theirs(*tensors, data_range=255)), abs=1e-5)


def test_ms_ssim_of_a_negative_agrees_too(photograph: Image.Image) -> None:
    """Opposite structure counts as none."""
    image = np.asarray(photograph)
    pair = image, 255 - image
    theirs = float(pytorch_msssim.ms_ssim(*map(tensor, pair), data_range=255))
    assert ms_ssim(*pair) == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("shape", [(1, 30, 3), (20, 1, 3), (20, 30, 1), (20, 30), (20, 31, 3)])
def test_errors_of_images_of_two_shapes_are_refused(shape: tuple[int, ...]) -> None:
    """Even where NumPy could broadcast the shapes."""
    image, other = np.zeros((20, 30, 3), np.uint8), np.zeros(shape, np.uint8)
    for metric in (mse, psnr):
        with pytest.raises(ValueError, match="shapes differ"):
            metric(image, other)


@given(st.integers(1, 200), st.integers(1, 9), st.integers(0, 255), st.integers(0, 2**32 - 1))
def test_squared_errors_are_those_of_floating_point(height: int, width: int, low: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    image, other = (generator.integers(least, 256, (height, width, 3), dtype=np.uint8) for least in (0, low))
    assert mse(image, other) == pytest.approx(np.mean((image - other.astype(float)) ** 2), rel=1e-12)
    assert mse(np.zeros_like(image), np.full_like(image, 255)) == 255**2


def test_equal_images_are_most_similar(photograph: Image.Image) -> None:
    image = np.asarray(photograph)
    assert ssim(image, image) == pytest.approx(1)
    assert ms_ssim(image, image) == pytest.approx(1)


def test_a_step_of_brightness_changes_flat_areas_by_what_the_formula_says() -> None:
    """Nothing but the luminance of the blue channel differs, and only the coarsest scale looks at it."""
    flat = np.full((256, 256, 3), (0, 0, 255), np.uint8)
    darker = flat - np.array([0, 0, 1], np.uint8)
    constant = (0.01 * 255) ** 2
    luminance = (2 * 255 * 254 + constant) / (255**2 + 254**2 + constant)
    assert ssim(flat, darker) == pytest.approx((2 + luminance) / 3, abs=5e-8)
    assert ms_ssim(flat, darker) == pytest.approx((2 + luminance**0.1333) / 3, abs=5e-8)


@pytest.mark.parametrize("level", [200, 251, 253])
def test_no_image_is_more_alike_than_an_equal_one(level: int) -> None:
    flat = np.full((176, 176, 3), level, np.uint8)
    assert 0.9999 < ssim(flat, flat - 1) < 1
    assert 0.9999 < ms_ssim(flat, flat - 1) < 1


def test_ms_ssim_is_not_defined_below_161_pixels(photograph: Image.Image) -> None:
    image = np.asarray(photograph)
    assert math.isnan(ms_ssim(image[:160], image[:160]))
    assert not math.isnan(ms_ssim(image[:161, :161], image[:161, :161]))
