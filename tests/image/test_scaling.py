from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rdpcodec import UsageError
from rdpcodec.image import load_image
from rdpcodec.image.scaling import scaled_down, scaled_image


@pytest.mark.parametrize("side", [0, -1])
def test_a_longest_side_under_one_pixel_is_refused(small: Image.Image, side: int) -> None:
    message = f"a longest side of {side} pixels: give 1 or more"
    with pytest.raises(UsageError, match=message):
        scaled_image(small, side)
    with pytest.raises(UsageError, match=message):
        scaled_down(load_image(small), side)


@pytest.mark.parametrize("exact", [False, True])
def test_colours_under_full_transparency_are_scaled_if_they_are_to_be_kept(
    small: Image.Image, exact: bool
) -> None:
    transparent = small.copy()
    transparent.putalpha(Image.new("L", small.size, 0))
    transparent.putpixel((0, 0), (0, 0, 0, 255))
    scaled = scaled_down(load_image(transparent, exact_alpha=exact), 50)
    colours = np.asarray(scaled_image(Image.fromarray(np.asarray(transparent)[..., :3]), 50))
    assert np.array_equal(scaled.pixels, colours) == exact
    expected = np.asarray(scaled_image(transparent, 50))[..., 3]
    np.testing.assert_array_equal(scaled.alpha, expected)
