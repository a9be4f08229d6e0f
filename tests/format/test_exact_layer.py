"""The exact layer: what is put into it comes back, and foreign data is refused."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from palette_images import of_colours
from PIL import Image

from rdpcodec.errors import FormatError
from rdpcodec.format import exact_layer
from rdpcodec.format.exact_layer import TRIAL, ExactLayer
from rdpcodec.format.tiles import Box


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(0, 1000),
    st.sampled_from([1, 3, 40, 500]),
    st.sampled_from([0.0, 0.1, 0.9, 1.0]),
)
def test_masked_pixels_come_back(width: int, height: int, seed: int, colours: int, share: float) -> None:
    pixels = of_colours(colours, width, height, seed)
    mask = np.random.default_rng(seed + 1).random((height, width)) < share
    tile = Box(0, 0, width, height)
    layer = ExactLayer([exact_layer.encode(pixels, mask, TRIAL)], [tile])
    again = exact_layer.split(exact_layer.joined(layer), [tile])
    assert again.covers(0) == (mask.all() and mask.any())
    found = again.tile(0)
    if not mask.any():
        assert found is None
        assert not again
        return
    assert found is not None
    np.testing.assert_array_equal(found.mask, mask)
    np.testing.assert_array_equal(found.pixels[mask], pixels[mask])


def test_only_masked_pixels_of_a_part_are_replaced() -> None:
    pixels, tile = of_colours(9, 64, 48, seed=0), Box(100, 200, 164, 248)
    mask = np.zeros((48, 64), bool)
    mask[10:30, 20:40] = True
    layer = ExactLayer([exact_layer.encode(pixels, mask, TRIAL)], [tile])
    part = np.full((20, 30, 3), 7, np.uint8)
    layer.replace(part, Box(110, 205, 140, 225), 0)
    wanted = np.where(mask[..., None], pixels, np.uint8(7))[5:25, 10:40]
    np.testing.assert_array_equal(part, wanted)


@pytest.mark.parametrize("tile", [Box(0, 0, 63, 48), Box(0, 0, 48, 64), Box(0, 0, 64, 96)])
def test_a_layer_of_another_size_is_refused_before_any_pixel_is_asked_for(tile: Box) -> None:
    pixels = of_colours(9, 64, 48, seed=0)
    coded = exact_layer.encode(pixels, np.ones((48, 64), bool), TRIAL)
    exact_layer.split(coded, [Box(0, 0, 64, 48)])
    with pytest.raises(FormatError, match="does not fit"):
        exact_layer.split(coded, [tile])


@pytest.mark.parametrize("alpha", [1, 127, 128, 254])
def test_pixels_are_the_layers_or_not_and_nothing_between(alpha: int) -> None:
    image = Image.new("RGBA", (32, 32), (1, 2, 3, 255))
    image.putpixel((31, 31), (1, 2, 3, alpha))
    with pytest.raises(FormatError, match="half-transparent"):
        exact_layer.decode(webp(image, lossless=True), Box(0, 0, 32, 32))


def test_running_out_of_memory_is_not_called_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    coded = webp(Image.new("RGB", (32, 32)), lossless=True)
    monkeypatch.setattr(exact_layer, "opened", exhausted)
    with pytest.raises(MemoryError):
        exact_layer.decode(coded, Box(0, 0, 32, 32))


def webp(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", **options)
    return buffer.getvalue()[20:]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x2f", "truncated"),
        (webp(Image.new("RGB", (32, 32)), quality=50), "not lossless"),
        # VP8L has three bits for a version; zero is the only one.
        (b"\x2f" + (31 | 31 << 14 | 1 << 29).to_bytes(4, "little") + bytes(20), "not lossless"),
        (webp(Image.new("RGB", (33, 32)), lossless=True), "does not fit"),
        (webp(Image.new("RGBA", (32, 32), (1, 2, 3, 128)), lossless=True), "half-transparent"),
        (webp(Image.new("RGB", (32, 32)), lossless=True)[:6], "cannot be read"),
        # A claim of 16384 × 16384 pixels is refused before they are allocated.
        (b"\x2f" + ((1 << 28) - 1).to_bytes(4, "little") + bytes(20), "does not fit"),
    ],
)
def test_other_data_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        exact_layer.decode(data, Box(0, 0, 32, 32))


def test_pillows_own_limit_of_pixels_does_not_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = of_colours(3, 70, 50, 0)
    coded = exact_layer.encode(pixels, np.ones((50, 70), bool), TRIAL)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(exact_layer.decode(coded, Box(0, 0, 70, 50)).pixels, pixels)
