from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from image.made_png import chunk, gamma_chunk, gray_png, png_with, primaries_chunk
from PIL import Image, ImageCms

from rdpcodec.image import PictureWarning, load_picture
from rdpcodec.image.profiles import CODED_PRIMARIES, SRGB, SRGB_CURVE, made_profile

RAMP = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert("RGB")
COLOURS = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
DISPLAY_P3, BT2020 = CODED_PRIMARIES[12], CODED_PRIMARIES[9]


def with_profile(image: Image.Image, profile: bytes) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", icc_profile=profile)
    return buffer.getvalue()


def srgb_of(linear: np.ndarray) -> np.ndarray:
    """Linear light 0..1 → sRGB 0..255 (IEC 61966-2-1)."""
    low = linear <= 0.0031308
    return 255 * np.where(low, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)


def off_by(pixels: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(pixels.astype(float) - expected).max())


def test_a_linear_profile_named_srgb_is_applied() -> None:
    profile = made_profile(SRGB, (1.0,))
    named = profile.replace("made from".encode("utf-16-be"), "sRGB from".encode("utf-16-be"))
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(named)))
    linear = np.arange(256).reshape(16, 16, 1) / 255
    for image, source in ((RAMP, named), (RAMP, profile)):
        assert off_by(load_picture(with_profile(image, source)).pixels, srgb_of(linear)) < 1.5


def test_srgb_under_any_name_changes_no_pixel() -> None:
    for profile in (
        made_profile(SRGB, SRGB_CURVE),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ):
        pixels = load_picture(with_profile(COLOURS, profile)).pixels
        np.testing.assert_array_equal(pixels, np.asarray(COLOURS))


def test_made_primaries_are_those_of_the_standard() -> None:
    """ITU-R BT.709's matrix to XYZ under D65, adapted to D50: the colorants of every sRGB profile."""
    expected = [[0.4361, 0.2225, 0.0139], [0.3851, 0.7169, 0.0971], [0.1431, 0.0606, 0.7141]]
    np.testing.assert_allclose(SRGB.colorants(), expected, atol=3e-4)
    for primaries in CODED_PRIMARIES.values():
        np.testing.assert_allclose(primaries.colorants().sum(axis=0), [0.9642, 1.0, 0.8249], atol=1e-6)


def test_an_rgb_profile_on_gray_is_applied_and_leaves_it_gray() -> None:
    picture = load_picture(with_profile(RAMP.convert("L"), made_profile(BT2020, (1.0,))))
    assert picture.gray
    assert off_by(picture.pixels, srgb_of(np.arange(256).reshape(16, 16, 1) / 255)) < 1.5


def test_a_profile_of_another_kind_of_colour_is_ignored_with_a_warning_and_not_kept() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for keep in (False, True):
        with pytest.warns(PictureWarning, match="it is for Lab, the image is RGB"):
            picture = load_picture(with_profile(COLOURS, profile), keep_metadata=keep)
        assert picture.icc is None
        np.testing.assert_array_equal(picture.pixels, np.asarray(COLOURS))


@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8, 1 / 2.6])
def test_png_gamma_is_applied(gamma: float) -> None:
    expected = srgb_of((np.arange(256).reshape(16, 16, 1) / 255) ** (1 / gamma))
    for image in (RAMP, RAMP.convert("L")):
        assert off_by(load_picture(png_with(image, gamma_chunk(gamma))).pixels, expected) < 2.5


def test_png_primaries_are_applied_with_its_gamma() -> None:
    wide = [value for point in (BT2020.white, BT2020.red, BT2020.green, BT2020.blue) for value in point]
    pixels = load_picture(png_with(COLOURS, gamma_chunk(0.45455), primaries_chunk(*wide))).pixels
    by_profile = load_picture(with_profile(COLOURS, made_profile(BT2020, (2.2,)))).pixels
    assert off_by(pixels, by_profile) <= 1
    assert off_by(pixels, np.asarray(COLOURS)) > 20


def test_gamma_and_primaries_of_srgb_change_no_pixel() -> None:
    usual = [0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06]
    srgb = chunk(b"sRGB", b"\0")
    for chunks in (
        (gamma_chunk(0.45455),),
        (gamma_chunk(0.45455), primaries_chunk(*usual)),
        (srgb, gamma_chunk(1)),
    ):
        np.testing.assert_array_equal(load_picture(png_with(COLOURS, *chunks)).pixels, np.asarray(COLOURS))


@pytest.mark.parametrize("coordinates", [[0.0] * 8, [0.3127, 0.329, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]])
def test_primaries_that_are_no_colours_are_ignored_with_a_warning(coordinates: list[float]) -> None:
    with pytest.warns(PictureWarning, match="gAMA and cHRM chunks are ignored"):
        picture = load_picture(png_with(COLOURS, gamma_chunk(1), primaries_chunk(*coordinates)))
    np.testing.assert_array_equal(picture.pixels, np.asarray(COLOURS))


def test_coded_colours_of_a_png_are_applied_and_go_first() -> None:
    code = chunk(b"cICP", bytes([12, 13, 0, 1]))
    expected = load_picture(with_profile(COLOURS, made_profile(DISPLAY_P3, SRGB_CURVE))).pixels
    data = png_with(COLOURS, code, gamma_chunk(1))
    np.testing.assert_array_equal(load_picture(data).pixels, expected)
    with Image.open(io.BytesIO(data)) as opened:
        np.testing.assert_array_equal(load_picture(opened).pixels, expected)
    srgb = png_with(COLOURS, chunk(b"cICP", bytes([1, 13, 0, 1])), gamma_chunk(1))
    np.testing.assert_array_equal(load_picture(srgb).pixels, np.asarray(COLOURS))


@pytest.mark.parametrize(("transfer", "message"), [(16, "PQ"), (18, "HLG"), (99, "not known")])
def test_coded_colours_that_cannot_be_applied_are_warned_of(transfer: int, message: str) -> None:
    with pytest.warns(PictureWarning, match=message):
        picture = load_picture(png_with(COLOURS, chunk(b"cICP", bytes([9, transfer, 0, 1]))))
    np.testing.assert_array_equal(picture.pixels, np.asarray(COLOURS))


def test_a_kept_profile_describes_the_pixels_that_are_kept() -> None:
    profile = made_profile(DISPLAY_P3, SRGB_CURVE)
    kept = load_picture(with_profile(COLOURS, profile), keep_metadata=True)
    assert kept.icc == profile
    np.testing.assert_array_equal(kept.pixels, np.asarray(COLOURS))
    turned = load_picture(png_with(RAMP.convert("L"), gamma_chunk(1)), keep_metadata=True)
    assert turned.icc is None  # an RGB profile is none for gray, and is applied
    assert turned.pixels.mean() > 150


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.filterwarnings("ignore:16 bits")
def test_the_transparent_value_of_a_gray_png_becomes_alpha_at_every_depth(depth: int) -> None:
    values = np.random.default_rng(depth).integers(0, 1 << depth, (9, 7))
    transparent = int(values[4, 3])
    picture = load_picture(gray_png(values, depth, transparent))
    assert picture.gray
    np.testing.assert_array_equal(picture.alpha, np.where(values == transparent, 0, 255))


def test_a_png_cut_within_its_colour_chunk_is_refused_and_not_misread() -> None:
    data = png_with(COLOURS, chunk(b"cICP", bytes([12, 13, 0, 1])))
    lying = data[:33] + struct.pack(">I", 1 << 31) + data[37:]
    with pytest.raises(ValueError, match=r"cannot be read|not an image"):
        load_picture(lying)
