"""The look at an image: cheap, and of the same mind as the features that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from rdpcodec.encoder.detector import candidates, is_worth_a_look


@settings(deadline=None)
@given(st.integers(16, 60), st.integers(16, 60), st.integers(0, 99))
def test_noise_is_worth_a_look_where_quality_is_high(width: int, height: int, seed: int) -> None:
    """Any one with more colours than `_has_few_colours` allows is rough, and at low quality nothing."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert is_worth_a_look(pixels, 90)
    assert candidates(pixels, 90).blocks.all()
    assert not candidates(pixels, 90).drawn.any()
    assert not candidates(pixels, 50).blocks.any()


def page_on(photograph: Image.Image) -> np.ndarray:
    """A photograph of which the left 200 columns are a drawing."""
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
