"""The look at an image: cheap, and in agreement with the features that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from rdpcodec.encoder.exact.detector import candidates, is_worth_a_look


@settings(deadline=None)
@given(st.integers(16, 60), st.integers(16, 60), st.integers(0, 99))
def test_noise_is_worth_a_look_where_quality_is_high(width: int, height: int, seed: int) -> None:
    """Noise with more colours than `_has_few_colours` allows is rough, but no candidate at low quality."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert is_worth_a_look(pixels, 90)
    assert candidates(pixels, 90).blocks.all()
    assert not candidates(pixels, 90).drawn.any()
    assert not candidates(pixels, 50).blocks.any()


def page_on(photograph: Image.Image) -> np.ndarray:
    """A photograph whose left 200 columns are a drawing."""
    image = photograph.crop((0, 0, 480, 320)).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 199, 320), fill=(250, 250, 240))
    for y in range(0, 320, 20):
        draw.text((4, y), "A line of a page of text", fill=(10, 20, 90), font_size=16)
    return np.asarray(image)


@pytest.mark.parametrize("quality", [0.0, 50.0, 100.0])
def test_what_is_drawn_is_found_where_it_is(photograph: Image.Image, quality: float) -> None:
    pixels = page_on(photograph)
    assert is_worth_a_look(pixels, quality)
    drawn = candidates(pixels, quality).drawn
    assert drawn[:, :11].mean() > 0.9
    assert drawn[:, 14:].mean() < 0.1


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_noise_in_any_one_channel_is_rough(channel: int) -> None:
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96]
    pixels = np.stack([60 + x, 60 + y, 200 - x], 2).astype(np.uint8)
    assert not candidates(pixels, 90).blocks.any()
    pixels[..., channel] = generator.integers(0, 256, (96, 96))
    assert is_worth_a_look(pixels, 90)
    assert candidates(pixels, 90).blocks.all()


def test_all_neighbours_of_a_drawn_block_are_candidates() -> None:
    """Above and below it, beside it and at its corners, for drawings do not end at blocks."""
    y, x = np.mgrid[:112, :112]
    pixels = np.stack([60 + x, 60 + y, 200 - x], 2).astype(np.uint8)
    pixels[48:64, 48:64] = 255
    pixels[48:64, 54:58] = 0
    wanted = np.zeros((7, 7), bool)
    wanted[2:5, 2:5] = True
    found = candidates(pixels, 50)
    np.testing.assert_array_equal(found.drawn, wanted)
    np.testing.assert_array_equal(found.blocks, wanted)
