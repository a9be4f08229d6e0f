"""Transparency: what is hidden costs nothing, what is seen stays, and `exact` keeps all of it."""

from __future__ import annotations

import io
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from recoded_files import recoded

from rdpcodec import Codec
from rdpcodec.encoder.transparency import alpha_step, coarse_alpha, is_neutral, simplified
from rdpcodec.format import container, exact_layer
from rdpcodec.format.container import Segment
from rdpcodec.image import ImageData


@pytest.fixture(scope="module")
def cut_out(photograph: Image.Image) -> Image.Image:
    """A disc of a photograph; what surrounds it is noise that nobody sees."""
    side = 160
    y, x = np.mgrid[:side, :side]
    distance = np.hypot(x - 80, y - 80)
    alpha = np.clip((62 - distance) * 40, 0, 255).astype(np.uint8)
    pixels = np.array(photograph.crop((200, 100, 360, 260)))
    noise = np.random.default_rng(0).integers(0, 256, pixels.shape, dtype=np.uint8)
    pixels[alpha == 0] = noise[alpha == 0]
    return Image.fromarray(np.dstack([pixels, alpha]))


def test_hidden_colours_cost_next_to_nothing(codec: Codec, cut_out: Image.Image) -> None:
    tidy = codec.compress(cut_out, 50)
    exact = codec.compress(cut_out, 50, exact_alpha=True)
    assert len(tidy) < len(exact) / 2
    original, decoded = np.asarray(cut_out, float), np.asarray(codec.decompress(tidy), float)
    seen = original[..., 3] > 0
    assert np.square(original[seen][:, :3] - decoded[seen][:, :3]).mean() < 255**2 / 10**2.6


def test_levels_of_alpha_are_kept_where_they_are_seen(codec: Codec, cut_out: Image.Image) -> None:
    original = np.asarray(cut_out)[..., 3]
    for quality, most in ((100, 0), (50, 3), (0, 6)):
        alpha = np.asarray(codec.decompress(codec.compress(cut_out, quality)))[..., 3]
        assert np.abs(alpha.astype(int) - original).max() <= most
        np.testing.assert_array_equal(alpha == 0, original == 0)
        np.testing.assert_array_equal(alpha == 255, original == 255)
    exact = np.asarray(codec.decompress(codec.compress(cut_out, 0, exact_alpha=True)))[..., 3]
    np.testing.assert_array_equal(exact, original)


def test_a_tiny_image_has_the_alpha_of_the_quality_asked_for(codec: Codec) -> None:
    """Whatever quality codes its colours best."""
    shadow = Image.new("RGBA", (48, 40))
    shadow.putalpha(Image.radial_gradient("L").resize(shadow.size))
    for quality in (100, 90, 50):
        alpha = np.asarray(codec.decompress(codec.compress(shadow, quality)).getchannel("A"))
        np.testing.assert_array_equal(
            alpha, coarse_alpha(np.asarray(shadow.getchannel("A")), alpha_step(quality))
        )


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99), st.integers(1, 255))
def test_colours_change_only_where_nobody_sees_them(width: int, height: int, seed: int, most: int) -> None:
    """Even under the faintest alpha, colours are seen."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    alpha = generator.integers(0, most + 1, (height, width), dtype=np.uint8)
    found = simplified(ImageData(pixels, alpha=alpha))
    np.testing.assert_array_equal(found.pixels[alpha > 0], pixels[alpha > 0])
    opaque = np.full_like(alpha, 255)
    np.testing.assert_array_equal(alpha, opaque if found.alpha is None else found.alpha)


def test_an_alpha_channel_takes_fewer_bytes_at_a_lower_quality(codec: Codec, small: Image.Image) -> None:
    image = small.copy()
    image.putalpha(Image.radial_gradient("L").resize(small.size))
    files = [container.read(codec.compress(image, quality)) for quality in (100, 50, 0)]
    lengths = [len(file.segments[Segment.OPACITY]) for file in files]
    assert lengths[0] > 1.2 * lengths[1] > 1.2 * lengths[2]


@given(st.floats(0, 100))
def test_fewer_levels_keep_their_order_and_both_ends(quality: float) -> None:
    levels = coarse_alpha(np.arange(256, dtype=np.uint8), alpha_step(quality)).astype(int)
    assert (np.diff(levels) >= 0).all()
    assert levels[0] == 0
    assert levels[255] == 255
    assert levels[1:255].min() >= 1
    assert levels[1:255].max() <= 254


def test_an_opaque_alpha_channel_comes_back_only_if_asked_for(codec: Codec, small: Image.Image) -> None:
    opaque = small.convert("RGBA")
    assert codec.compress(opaque) == codec.compress(small)
    assert codec.decompress(codec.compress(opaque, exact_alpha=True)).mode == "RGBA"


def test_only_an_alpha_channel_that_is_opaque_everywhere_is_dropped() -> None:
    pixels = np.zeros((1, 2, 3), np.uint8)
    for level in range(256):
        found = simplified(ImageData(pixels, alpha=np.array([[255, level]], np.uint8)))
        assert (found.alpha is None) == (level == 255)


def test_gray_pixels_in_three_channels_come_back_neutral(codec: Codec, photograph: Image.Image) -> None:
    gray = photograph.crop((0, 0, 200, 120)).convert("L").convert("RGB")
    data = codec.compress(gray, 30)
    assert Segment.NEUTRAL in container.read(data).segments
    decoded = codec.decompress(data)
    assert decoded.mode == "RGB"
    pixels = np.asarray(decoded)
    assert (pixels == pixels[..., :1]).all()
    assert Segment.NEUTRAL not in container.read(codec.compress(photograph, 30)).segments


def test_one_coloured_pixel_in_any_row_makes_an_image_coloured() -> None:
    gray = np.random.default_rng(0).integers(0, 256, (130, 9, 1), dtype=np.uint8).repeat(3, axis=2)
    assert is_neutral(gray)
    for row, channel in product(range(130), range(3)):
        coloured = gray.copy()
        coloured[row, 5, channel] ^= 1
        assert not is_neutral(coloured)


def test_an_image_of_one_channel_says_so_once(codec: Codec, small: Image.Image) -> None:
    file = container.read(codec.compress(small.convert("L"), 30))
    assert file.segments.keys() == {Segment.GRAY}


def test_the_green_channel_of_the_segment_is_the_alpha(codec: Codec, small: Image.Image) -> None:
    """docs/format.md, section 2.2: an encoder may have other values in red and blue."""
    size = (small.height, small.width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    payload = exact_layer.encode(pixels, np.ones(size[:2], bool), exact_layer.TRIAL)
    decoded = codec.decompress(recoded(codec.compress(small, 20), OPACITY=payload))
    np.testing.assert_array_equal(np.asarray(decoded)[..., 3], pixels[..., 1])


def test_alpha_takes_no_more_than_a_lossless_webp_of_it(codec: Codec, cut_out: Image.Image) -> None:
    data, gray = codec.compress(cut_out, 50, exact_alpha=True), io.BytesIO()
    cut_out.getchannel("A").save(gray, "WEBP", lossless=True, method=6, quality=100)
    assert len(container.read(data).segments[Segment.OPACITY]) <= len(gray.getvalue())


def test_alpha_of_several_tiles_and_regions(codec: Codec, cut_out: Image.Image) -> None:
    wide = cut_out.resize((1100, 80))
    data = codec.compress(wide, 40, exact_alpha=True)
    alpha = np.asarray(wide)[..., 3]
    part = codec.decompress(data, region=(500, 10, 300, 60))
    np.testing.assert_array_equal(np.asarray(part)[..., 3], alpha[10:70, 500:800])
