"""Decoded images in files of other formats: what they lose there, and what they do not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageColor
from PIL.ExifTags import Base

from rdpcodec.errors import UsageError
from rdpcodec.image import (
    ImageData,
    ImageWarning,
    encode_image,
    load_image,
    on_background,
    parsed_colour,
    writable_format,
)
from rdpcodec.image.profiles import CODED_PRIMARIES, SRGB, SRGB_CURVE, made_profile


def written(image: Image.Image, suffix: str) -> np.ndarray:
    return load_image(encode_image(image, writable_format(suffix), "x")).pixels.astype(float)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".bmp", ".jxl"])
def test_formats_that_can_lose_nothing_lose_nothing(small: Image.Image, suffix: str) -> None:
    if suffix == ".jxl":
        pytest.importorskip("pillow_jxl")
    np.testing.assert_array_equal(written(small, suffix), np.asarray(small))


LOSSY = [".jpg", ".avif", ".heic"]


@pytest.mark.parametrize("suffix", LOSSY)
def test_formats_that_lose_something_lose_what_nobody_sees(small: Image.Image, suffix: str) -> None:
    if suffix == ".heic":
        pytest.importorskip("pillow_heif")
    error = written(small, suffix) - np.asarray(small)
    assert 10 * np.log10(255**2 / (error**2).mean()) > 40  # dB, above which differences count as invisible


@pytest.mark.parametrize("suffix", LOSSY)
def test_colours_keep_their_full_resolution_in_formats_that_can_halve_it(suffix: str) -> None:
    if suffix == ".heic":
        pytest.importorskip("pillow_heif")
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (200, 60, 60), (60, 100, 200)
    found = written(Image.fromarray(stripes), suffix)
    reds = found[..., 0]
    assert reds[:, ::2].min() - reds[:, 1::2].max() > 100


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_resolution_is_in_the_files_own_header(kind: str) -> None:
    """Where programs that do not read EXIF look for it."""
    exif = Image.Exif()
    exif.update({Base.XResolution: 300, Base.YResolution: 150, Base.ResolutionUnit: 2})
    image = ImageData(np.zeros((8, 8, 3), np.uint8), exif=exif.tobytes()).to_pillow()
    with Image.open(io.BytesIO(encode_image(image, kind, "x"))) as read:
        assert read.info["dpi"] == pytest.approx((300, 150), rel=1e-3)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_outlives_a_profile_that_the_format_cannot_hold(small: Image.Image, mode: str) -> None:
    image = small.convert(mode)
    alpha = Image.linear_gradient("L").resize(image.size)
    image.putalpha(alpha)
    image.info["icc_profile"] = made_profile(CODED_PRIMARIES[12], SRGB_CURVE)
    with pytest.warns(ImageWarning, match="the ICC profile is left out: TGA cannot hold it"):
        data = encode_image(image, "TGA", "x")
    with Image.open(io.BytesIO(data)) as read:
        np.testing.assert_array_equal(np.asarray(read.getchannel("A")), np.asarray(alpha))


def gray_profile() -> bytes:
    """A profile of gray levels that are proportional to light."""
    profile = made_profile(SRGB, (1.0,)).replace(b"rTRC", b"kTRC")
    return profile[:16] + b"GRAY" + profile[20:]


@pytest.mark.parametrize(
    ("mode", "suffix"), [("L", ".webp"), ("L", ".avif"), ("LA", ".webp"), ("LA", ".avif")]
)
def test_a_profile_of_gray_is_applied_where_the_format_has_colours_only(mode: str, suffix: str) -> None:
    image = Image.linear_gradient("L")
    image.info["icc_profile"] = gray_profile()
    expected = load_image(encode_image(image, "PNG", "x")).pixels.astype(float)
    if mode == "LA":
        image.putalpha(200)
    with pytest.warns(ImageWarning, match=f"{suffix[1:].upper()} cannot hold it; the colours are sRGB now"):
        found = written(image, suffix)
    assert np.abs(found - expected).max() <= 3


@pytest.mark.parametrize("gray", [True, False])
@pytest.mark.parametrize("colour", ["#ff8800", "#808080", "white"])
def test_a_background_has_its_colour_whatever_the_profile(gray: bool, colour: str) -> None:
    image = Image.new("LA" if gray else "RGBA", (40, 30))
    image.info["icc_profile"] = profile = gray_profile() if gray else made_profile(SRGB, (1.0,))
    if colour == "white":
        placed = on_background(image, colour)
        assert placed.info["icc_profile"] == profile
    else:
        with pytest.warns(ImageWarning, match=f"the background, {colour}, is sRGB"):
            placed = on_background(image, colour)
    found = load_image(encode_image(placed, "PNG", "x")).pixels
    assert np.abs(found.astype(int) - ImageColor.getrgb(colour)).max() <= 1


def test_a_background_is_an_opaque_colour() -> None:
    assert parsed_colour("#ff8800ff") == parsed_colour("rgb(255, 136, 0)") == (255, 136, 0)
    for colour, why in (
        ("#ff880080", "transparent itself"),
        ("rgb(300, 0, 0)", "not a colour"),
        ("", "not a"),
    ):
        with pytest.raises(UsageError, match=why):
            parsed_colour(colour)


def test_what_cannot_hold_an_image_is_not_advised_for_it() -> None:
    with pytest.raises(UsageError, match=r"16383 pixels\); try \.png$"):
        encode_image(Image.new("L", (16_384, 1)), "WEBP", "x")


def test_a_lack_of_memory_is_not_taken_for_a_format_that_cannot_hold_the_image(
    small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(MemoryError):
        encode_image(small, "PNG", "x")
