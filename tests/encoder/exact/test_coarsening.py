"""How exactly the exact layer holds its pixels: by what errors cost, whatever the number of colours."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from rdpcodec.encoder.exact.coarsening import Coarsening


def rings() -> np.ndarray:
    """Circles with smooth edges, in few levels of gray."""
    image = Image.new("RGB", (480, 480), "white")
    for radius in range(20, 230, 30):
        box = (240 - radius, 240 - radius, 240 + radius, 240 + radius)
        ImageDraw.Draw(image).ellipse(box, outline="black", width=7)
    return np.asarray(image.resize((120, 120), Image.Resampling.BOX))


def colours(pixels: np.ndarray) -> int:
    return len(np.unique(pixels.reshape(-1, 3), axis=0))


@pytest.mark.parametrize(("price", "exact"), [(1e-4, False), (10.0, True)])
def test_few_colours_become_fewer_where_errors_are_cheap(price: float, exact: bool) -> None:
    pixels = rings()
    assert 2 < colours(pixels) < 32
    mask = np.ones(pixels.shape[:2], bool)
    version = Coarsening(pixels, np.full(mask.shape, price), exactly=False).best(mask)
    assert (colours(version.pixels) == colours(pixels)) is exact
    assert colours(version.pixels) > 1


def test_what_is_cheap_to_hold_exactly_is_so_where_that_is_wanted() -> None:
    """Even where it is not worth its bits."""
    pixels = rings()
    mask = np.ones(pixels.shape[:2], bool)
    for exactly in (False, True):
        coarsening = Coarsening(pixels, np.full(mask.shape, 1e-4), exactly=exactly)
        held = coarsening.held(coarsening.best(mask), mask)
        assert np.array_equal(held, pixels) is exactly


def test_noise_is_not_cheap_to_hold_exactly() -> None:
    """No coder compresses noise: it is held exactly only where its errors are worth all its bits."""
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    mask = np.ones(pixels.shape[:2], bool)
    for price, exact in ((1e-4, False), (1e3, True)):
        coarsening = Coarsening(pixels, np.full(mask.shape, price), exactly=True)
        held = coarsening.held(coarsening.best(mask), mask)
        assert np.array_equal(held, pixels) is exact
