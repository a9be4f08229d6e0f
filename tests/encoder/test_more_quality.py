"""No quality makes an image worse than a lower one did, whatever the image is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from rdpcodec import Codec
from rdpcodec.encoder.image_encoder import TINY

QUALITIES = (0, 25, 50, 75, 90, 100)
# Networks that are trained for eyes may give up some PSNR for what eyes see.
TOLERANCE = 0.5
# From here on, images are equal for all purposes.
ENOUGH = 50.0

Draw = Callable[[np.random.Generator, int, int], np.ndarray]


def flat(random: np.random.Generator, width: int, height: int) -> np.ndarray:
    return np.tile(random.integers(0, 256, 3, dtype=np.uint8), (height, width, 1))


def noise(random: np.random.Generator, width: int, height: int) -> np.ndarray:
    reach = random.choice([4, 16, 64, 256])
    return np.asarray(random.integers(0, reach, (height, width, 3)) + (256 - reach) // 2, np.uint8)


def gradient(random: np.random.Generator, width: int, height: int) -> np.ndarray:
    corners = random.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR))


def text(random: np.random.Generator, width: int, height: int) -> np.ndarray:
    image = Image.fromarray(flat(random, width, height))
    for y in range(0, height, 13):
        letters = "".join(map(chr, random.integers(33, 127, width // 6)))
        ImageDraw.Draw(image).text((2, y), letters, tuple(map(int, random.integers(0, 256, 3))), font_size=11)
    return np.asarray(image)


def mixture(random: np.random.Generator, width: int, height: int) -> np.ndarray:
    left, right = random.choice(len(PLAIN), 2, replace=False)
    pixels = PLAIN[left](random, width, height).copy()
    cut = width // 3
    pixels[:, cut:] = PLAIN[right](random, width, height)[:, cut:]
    return pixels


PLAIN: tuple[Draw, ...] = (flat, noise, gradient, text)


@pytest.mark.parametrize("draw", [*PLAIN, mixture])
@settings(max_examples=2, derandomize=True)
@given(seed=st.integers(0, 2**32), width=st.integers(16, 80), height=st.integers(16, 80))
def test_no_quality_is_worse_than_a_lower_one(
    codec: Codec, draw: Draw, seed: int, width: int, height: int
) -> None:
    found = psnrs(codec, draw(np.random.default_rng(seed), width, height), QUALITIES)
    for low, high in pairwise(found):
        assert high >= min(low, ENOUGH) - TOLERANCE, found


@pytest.mark.parametrize("draw", [*PLAIN, mixture])
@settings(max_examples=1, derandomize=True)
@given(seed=st.integers(0, 2**32), width=st.integers(6, 45), height=st.integers(6, 45))
def test_a_tiny_image_is_not_worse_at_all(
    codec: Codec, draw: Draw, seed: int, width: int, height: int
) -> None:
    qualities = sorted({0, 100, *np.random.default_rng(seed).integers(1, 100, 4).tolist()})
    found = psnrs(codec, draw(np.random.default_rng(seed), width, height), qualities)
    assert width * height <= TINY
    assert found == sorted(found)


@pytest.mark.parametrize("side", [16, 24, 32, 45])
def test_an_icon_is_exact_at_quality_100(codec: Codec, side: int) -> None:
    drawn = Image.new("RGB", (512, 512), "white")
    ImageDraw.Draw(drawn).ellipse((32, 32, 480, 480), fill=(255, 80, 0))
    icon = np.asarray(drawn.resize((side, side), Image.Resampling.LANCZOS))
    assert psnrs(codec, icon, [100]) == [np.inf]


@pytest.mark.parametrize("draw", [gradient, text])
def test_much_more_quality_makes_a_tiny_image_much_better(codec: Codec, draw: Draw) -> None:
    """Other qualities are tried too, but not always taken."""
    pixels = draw(np.random.default_rng(1), 34, 22)
    assert pixels[..., 0].size <= TINY
    low, high = psnrs(codec, pixels, (20, 80))
    assert high > low + 3


@pytest.mark.parametrize(
    ("seed", "width", "height"), [(1935808501, 39, 13), (1790082149, 33, 24), (848832052, 99, 7)]
)
def test_noise_of_a_few_levels_is_no_worse_than_at_quality_0(
    codec: Codec, seed: int, width: int, height: int
) -> None:
    low, high = psnrs(codec, noise(np.random.default_rng(seed), width, height), (0, 20))
    assert high >= low


def psnrs(codec: Codec, pixels: np.ndarray, qualities: Iterable[int]) -> list[float]:
    """PSNR of the decoded file of each quality."""
    image = Image.fromarray(pixels)
    return [psnr(pixels, codec.compress(image, quality), codec) for quality in qualities]


def psnr(pixels: np.ndarray, data: bytes, codec: Codec) -> float:
    error = np.square(pixels - np.asarray(codec.decompress(data), float)).mean()
    return float(10 * np.log10(255**2 / error)) if error else np.inf
