from __future__ import annotations

import io
import struct
import zlib
from contextlib import nullcontext

import numpy as np
import pytest
from image.made_png import chunk, gamma_chunk, gray_png, png_with, primaries_chunk
from PIL import Image, ImageCms

from rdpcodec.format.container import Container, Header, Segment
from rdpcodec.format.side_data import unpack
from rdpcodec.format.tiles import Box
from rdpcodec.image import ImageWarning, load_image
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
        assert off_by(load_image(with_profile(image, source)).pixels, srgb_of(linear)) < 1.5


@pytest.mark.parametrize("gamma", [2.1, 2.2, 2.3])
def test_a_profile_that_differs_from_srgb_by_a_few_levels_is_applied(gamma: float) -> None:
    linear = (np.arange(256).reshape(16, 16, 1) / 255) ** gamma
    found = load_image(with_profile(RAMP, made_profile(SRGB, (gamma,)))).pixels
    assert off_by(found, srgb_of(linear)) < 1.5
    assert off_by(found, np.asarray(RAMP)) < 12


def with_another_white(profile: bytes, *xyz: float) -> bytes:
    """A made profile that states another white for its medium, as old display profiles do."""
    entry = profile.index(b"wtpt")
    (place,) = struct.unpack_from(">I", profile, entry + 4)
    white = struct.pack(">3i", *(round(value * 65536) for value in xyz))
    return profile[: place + 8] + white + profile[place + 20 :]


def test_white_is_white_whatever_the_white_of_the_medium() -> None:
    profile = with_another_white(made_profile(SRGB, (1.8,)), 0.7, 0.75, 0.5)
    assert profile != made_profile(SRGB, (1.8,))
    white = load_image(with_profile(Image.new("RGB", (2, 2), "white"), profile))
    assert (white.pixels == 255).all()


def test_srgb_under_any_name_changes_no_pixel() -> None:
    for profile in (
        made_profile(SRGB, SRGB_CURVE),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ):
        pixels = load_image(with_profile(COLOURS, profile)).pixels
        np.testing.assert_array_equal(pixels, np.asarray(COLOURS))


def test_made_primaries_are_those_of_the_standard() -> None:
    """ITU-R BT.709's matrix to XYZ under D65, adapted to D50: the colorants of every sRGB profile."""
    expected = [[0.4361, 0.2225, 0.0139], [0.3851, 0.7169, 0.0971], [0.1431, 0.0606, 0.7141]]
    np.testing.assert_allclose(SRGB.colorants(), expected, atol=3e-4)
    for primaries in CODED_PRIMARIES.values():
        np.testing.assert_allclose(primaries.colorants().sum(axis=0), [0.9642, 1.0, 0.8249], atol=1e-6)


# Colorants adapted to D50, as others compute them: B. Lindbloom, "RGB/XYZ Matrices" (1, 5, 6 and 7), and
# Skia's SkColorSpace.h (9 and 12). The keys are the numbers of ITU-T H.273, table 2.
SMPTE_C = [[0.4163, 0.2217, 0.0137], [0.3931, 0.7033, 0.0914], [0.1547, 0.0750, 0.7202]]
PUBLISHED = {
    1: [[0.4361, 0.2225, 0.0139], [0.3851, 0.7169, 0.0971], [0.1431, 0.0606, 0.7142]],
    5: [[0.4553, 0.2323, 0.0145], [0.3676, 0.7078, 0.1049], [0.1414, 0.0599, 0.7057]],
    6: SMPTE_C,
    7: SMPTE_C,
    9: [[0.6735, 0.2790, -0.0019], [0.1657, 0.6753, 0.0300], [0.1251, 0.0456, 0.7972]],
    12: [[0.5151, 0.2412, -0.0010], [0.2920, 0.6922, 0.0419], [0.1572, 0.0666, 0.7844]],
}


@pytest.mark.parametrize("number", CODED_PRIMARIES)
def test_coded_primaries_are_those_that_others_compute(number: int) -> None:
    np.testing.assert_allclose(CODED_PRIMARIES[number].colorants(), PUBLISHED[number], atol=5e-4)


def video_signal(light: np.ndarray) -> np.ndarray:
    """The signal that a camera makes from light (ITU-R BT.709, 1.2)."""
    return np.where(light < 0.018, 4.5 * light, 1.099 * light**0.45 - 0.099)


def srgb_signal(light: np.ndarray) -> np.ndarray:
    return srgb_of(light) / 255


# ITU-T H.273, table 3.
SIGNALS = {
    1: video_signal,
    4: lambda light: light ** (1 / 2.2),
    5: lambda light: light ** (1 / 2.8),
    6: video_signal,
    8: lambda light: light,
    13: srgb_signal,
    14: video_signal,
    15: video_signal,
}


@pytest.mark.parametrize("transfer", SIGNALS)
def test_coded_curves_give_back_the_light_they_were_made_of(transfer: int) -> None:
    light = np.linspace(0, 1, 100_001)
    seen = np.interp(np.arange(256) / 255, SIGNALS[transfer](light), light).reshape(16, 16, 1)
    loaded = load_image(png_with(RAMP, chunk(b"cICP", bytes([1, transfer, 0, 1]))))
    assert off_by(loaded.pixels, srgb_of(seen)) < 1.5


def tinted_profile(gamma_of_green: float) -> bytes:
    """A profile that tints gray, slightly or strongly: green has its own curve."""
    profile = bytearray(made_profile(SRGB, (1.8,)))
    entry = profile.index(b"gTRC")
    (place,) = struct.unpack_from(">I", profile, entry + 4)
    struct.pack_into(">i", profile, place + 12, round(gamma_of_green * 65536))
    return bytes(profile)


@pytest.mark.parametrize(("gamma_of_green", "gray"), [(1.82, True), (1.0, False), (1.4, False)])
def test_gray_under_a_profile_that_tints_it_becomes_colour(gamma_of_green: float, gray: bool) -> None:
    profile = tinted_profile(gamma_of_green)
    loaded = load_image(with_profile(RAMP.convert("L"), profile))
    target = ImageCms.createProfile("sRGB")
    expected = ImageCms.profileToProfile(RAMP, io.BytesIO(profile), target)
    assert expected is not None
    colours = np.asarray(expected).astype(float)
    assert loaded.gray == gray
    if gray:
        assert np.ptp(colours, axis=2).max() > 0
        colours = colours.mean(axis=2, keepdims=True)
    assert off_by(loaded.pixels, colours) <= 0.5


def gray_profile(gamma: float) -> bytes:
    """A profile for gray only, with its curve in kTRC."""
    profile = made_profile(SRGB, (gamma,)).replace(b"rTRC", b"kTRC")
    return profile[:16] + b"GRAY" + profile[20:]


@pytest.mark.parametrize(
    ("profile", "gamma"), [(made_profile(BT2020, (1.0,)), 1.0), (gray_profile(2.8), 2.8)], ids=["RGB", "gray"]
)
def test_a_profile_of_neutral_colours_on_gray_is_applied_and_leaves_it_gray(
    profile: bytes, gamma: float
) -> None:
    loaded = load_image(with_profile(RAMP.convert("L"), profile))
    assert loaded.gray
    assert off_by(loaded.pixels, srgb_of((np.arange(256).reshape(16, 16, 1) / 255) ** gamma)) < 1.5


def test_a_profile_of_another_kind_of_colour_is_ignored_with_a_warning_and_not_kept() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for keep in (False, True):
        with pytest.warns(ImageWarning, match="it is for Lab, the image is RGB"):
            loaded = load_image(with_profile(COLOURS, profile), keep_metadata=keep)
        assert loaded.icc is None
        np.testing.assert_array_equal(loaded.pixels, np.asarray(COLOURS))


@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8, 1 / 2.6])
def test_png_gamma_is_applied(gamma: float) -> None:
    expected = srgb_of((np.arange(256).reshape(16, 16, 1) / 255) ** (1 / gamma))
    for image in (RAMP, RAMP.convert("L")):
        assert off_by(load_image(png_with(image, gamma_chunk(gamma))).pixels, expected) < 2.5


def test_png_primaries_are_applied_with_its_gamma() -> None:
    wide = [value for point in (BT2020.white, BT2020.red, BT2020.green, BT2020.blue) for value in point]
    pixels = load_image(png_with(COLOURS, gamma_chunk(0.45455), primaries_chunk(*wide))).pixels
    by_profile = load_image(with_profile(COLOURS, made_profile(BT2020, (2.2,)))).pixels
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
        np.testing.assert_array_equal(load_image(png_with(COLOURS, *chunks)).pixels, np.asarray(COLOURS))


@pytest.mark.parametrize("coordinates", [[0.0] * 8, [0.3127, 0.329, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]])
def test_primaries_that_are_no_colours_are_ignored_with_a_warning(coordinates: list[float]) -> None:
    with pytest.warns(ImageWarning, match="gAMA and cHRM chunks are ignored"):
        loaded = load_image(png_with(COLOURS, gamma_chunk(1), primaries_chunk(*coordinates)))
    np.testing.assert_array_equal(loaded.pixels, np.asarray(COLOURS))


@pytest.mark.parametrize("gamma", [0, 0.00001, 0.05, 11, 40_000])
def test_a_gamma_of_no_display_is_ignored_with_a_warning(gamma: float) -> None:
    with pytest.warns(ImageWarning, match="gAMA and cHRM chunks are ignored"):
        loaded = load_image(png_with(COLOURS, gamma_chunk(gamma)))
    np.testing.assert_array_equal(loaded.pixels, np.asarray(COLOURS))


def behind_header(data: bytes, *chunks: bytes) -> bytes:
    return data[:33] + b"".join(chunks) + data[33:]


def test_of_all_that_says_what_the_colours_of_a_png_are_the_most_specific_is_believed() -> None:
    """PNG, third edition, 4.3: cICP, then iCCP, then sRGB, then gAMA and cHRM."""
    profile = made_profile(BT2020, (1.8,))
    gamma, srgb, code = gamma_chunk(1), chunk(b"sRGB", b"\0"), chunk(b"cICP", bytes([12, 13, 0, 1]))
    tagged = with_profile(COLOURS, profile)
    by_profile = load_image(tagged).pixels
    by_code = load_image(png_with(COLOURS, code)).pixels
    assert off_by(by_profile, by_code) > 20
    assert off_by(by_code, np.asarray(COLOURS)) > 20
    for chunks, expected in (
        ([gamma], by_profile),
        ([srgb, gamma], by_profile),
        ([code], by_code),
        ([code, srgb, gamma], by_code),
    ):
        np.testing.assert_array_equal(load_image(behind_header(tagged, *chunks)).pixels, expected)


def test_coded_colours_of_a_png_are_applied_and_go_first() -> None:
    code = chunk(b"cICP", bytes([12, 13, 0, 1]))
    expected = load_image(with_profile(COLOURS, made_profile(DISPLAY_P3, SRGB_CURVE))).pixels
    data = png_with(COLOURS, code, gamma_chunk(1))
    np.testing.assert_array_equal(load_image(data).pixels, expected)
    with Image.open(io.BytesIO(data)) as opened:
        np.testing.assert_array_equal(load_image(opened).pixels, expected)
    srgb = png_with(COLOURS, chunk(b"cICP", bytes([1, 13, 0, 1])), gamma_chunk(1))
    np.testing.assert_array_equal(load_image(srgb).pixels, np.asarray(COLOURS))


@pytest.mark.parametrize(("transfer", "message"), [(16, "PQ"), (18, "HLG"), (99, "not known")])
def test_coded_colours_that_cannot_be_applied_are_warned_of(transfer: int, message: str) -> None:
    with pytest.warns(ImageWarning, match=message):
        loaded = load_image(png_with(COLOURS, chunk(b"cICP", bytes([9, transfer, 0, 1]))))
    np.testing.assert_array_equal(loaded.pixels, np.asarray(COLOURS))


def test_a_kept_profile_describes_the_pixels_that_are_kept() -> None:
    profile = made_profile(DISPLAY_P3, SRGB_CURVE)
    kept = load_image(with_profile(COLOURS, profile), keep_metadata=True)
    assert kept.icc == profile
    np.testing.assert_array_equal(kept.pixels, np.asarray(COLOURS))
    turned = load_image(png_with(RAMP.convert("L"), gamma_chunk(1)), keep_metadata=True)
    assert turned.icc is None  # an RGB profile cannot describe gray, so it is applied
    assert turned.pixels.mean() > 150


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "RGBX", "P", "1"])
def test_a_profile_is_kept_whatever_the_mode_it_was_stored_in(mode: str) -> None:
    profile = gray_profile(1.8) if mode in ("L", "LA", "1") else made_profile(DISPLAY_P3, SRGB_CURVE)
    image = COLOURS.convert(mode)
    image.info["icc_profile"] = profile
    kept = load_image(image, keep_metadata=True)
    assert kept.icc == profile
    np.testing.assert_array_equal(kept.pixels, np.asarray(image.convert("RGB")))


STORED = {
    "gray": gray_profile(1.8),
    "RGB": made_profile(DISPLAY_P3, SRGB_CURVE),
    "Lab": ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
}


@pytest.mark.parametrize("space", STORED)
@pytest.mark.parametrize(("kind", "fitting"), [(Segment.GRAY, "gray"), (Segment.COLOUR, "RGB")])
def test_a_file_passes_on_a_profile_of_its_own_colour_space_only(
    kind: Segment, fitting: str, space: str
) -> None:
    header = Header("fast", b"\0\1\2\3", 50.0, 0.0, *COLOURS.size)
    file = Container(header, {Segment.ICC: zlib.compress(STORED[space]), kind: b""})
    fits = space == fitting
    with nullcontext() if fits else pytest.warns(ImageWarning, match="the ICC profile is left out"):
        found = unpack(np.asarray(COLOURS), file, Box(0, 0, *COLOURS.size))
    assert found.icc == (STORED[space] if fits else None)


@pytest.mark.parametrize("mode", ["LAB", "YCbCr", "HSV"])
def test_a_profile_of_colours_that_are_turned_into_rgb_is_applied_and_not_kept(mode: str) -> None:
    if mode == "LAB":
        source, target = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(COLOURS, source, target, outputMode="LAB")
        assert image is not None
        profile, expected = ImageCms.ImageCmsProfile(target).tobytes(), np.asarray(COLOURS)
    else:
        image, profile = COLOURS.convert(mode), made_profile(DISPLAY_P3, SRGB_CURVE)
        expected = load_image(with_profile(image.convert("RGB"), profile)).pixels
    image.info["icc_profile"] = profile
    for keep in (False, True):
        loaded = load_image(image, keep_metadata=keep)
        assert loaded.icc is None
        assert np.abs(loaded.pixels.astype(int) - expected).mean() < 2  # 8 bits of Lab are coarse


@pytest.mark.parametrize("place", ["lowest", "middle", "highest"])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.filterwarnings("ignore:16 bits")
def test_the_transparent_value_of_a_gray_png_becomes_alpha_at_every_depth(depth: int, place: str) -> None:
    values = np.random.default_rng(depth).integers(0, 1 << depth, (9, 7))
    values[0, :2] = 0, (1 << depth) - 1
    transparent = {"lowest": 0, "middle": int(values[4, 3]), "highest": (1 << depth) - 1}[place]
    loaded = load_image(gray_png(values, depth, transparent))
    assert loaded.gray
    np.testing.assert_array_equal(loaded.alpha, np.where(values == transparent, 0, 255))


def test_a_png_cut_within_its_colour_chunk_is_refused_and_not_misread() -> None:
    data = png_with(COLOURS, chunk(b"cICP", bytes([12, 13, 0, 1])))
    lying = data[:33] + struct.pack(">I", 1 << 31) + data[37:]
    with pytest.raises(ValueError, match=r"cannot be read|not an image"):
        load_image(lying)
