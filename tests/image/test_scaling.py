from __future__ import annotations

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
