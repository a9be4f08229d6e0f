"""The smallest exact data: coded thoroughly where that pays, and always decoding to the given pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from rdpcodec.encoder.exact.coding import smallest
from rdpcodec.format import exact_layer
from rdpcodec.format.tiles import Box


def hatching() -> np.ndarray:
    image = Image.new("L", (200, 160), 255)
    draw = ImageDraw.Draw(image)
    for number, x in enumerate(range(-160, 200, 13)):
        draw.line((x, 160, x + 160, 0), fill=0, width=1 + number % 2)
    return np.asarray(image.convert("RGB"))


def test_a_hatching_is_coded_thoroughly() -> None:
    pixels, mask = hatching(), np.ones((160, 200), bool)
    data = smallest(pixels, mask)
    assert len(data) < len(exact_layer.encode(pixels, mask, exact_layer.NORMAL))
    np.testing.assert_array_equal(exact_layer.decode(data, Box(0, 0, 200, 160)).pixels, pixels)


def test_noise_is_not() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (110, 100, 3), dtype=np.uint8)
    mask = np.zeros((110, 100), bool)
    mask[5:80, 8:94] = True
    assert smallest(pixels, mask) == exact_layer.encode(pixels, mask, exact_layer.NORMAL)


def test_an_empty_mask_needs_nothing() -> None:
    assert smallest(hatching(), np.zeros((160, 200), bool)) == b""
