from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from made_png import chunk
from PIL import Image, ImageCms

from rdpcodec.errors import FormatError, ImageError
from rdpcodec.format.side_data import alpha_from_png
from rdpcodec.image import ImageData, ImageWarning, load_image

RAMP = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3) * 3


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize(
    ("mode", "gray", "alpha", "returned"),
    [
        ("1", True, False, "L"),
        ("L", True, False, "L"),
        ("LA", True, True, "LA"),
        ("P", False, False, "RGB"),
        ("RGB", False, False, "RGB"),
        ("RGBA", False, True, "RGBA"),
        ("La", True, True, "LA"),
        ("PA", False, True, "RGBA"),
        ("RGBa", False, True, "RGBA"),
        ("RGBX", False, False, "RGB"),
        ("CMYK", False, False, "RGB"),
        ("YCbCr", False, False, "RGB"),
        ("HSV", False, False, "RGB"),
    ],
)
def test_every_mode_comes_back_as_the_nearest_8_bit_mode(
    mode: str, gray: bool, alpha: bool, returned: str
) -> None:
    between = {"La": "LA", "RGBa": "RGBA"}.get(mode, mode)  # Pillow has no direct conversion
    image = load_image(Image.fromarray(RAMP).convert(between).convert(mode))
    assert image.gray == gray
    assert (image.alpha is not None) == alpha
    assert image.to_pillow().mode == returned
    assert image.to_pillow().size == (4, 6)


def test_palette_and_colour_key_transparency_become_alpha() -> None:
    palette = Image.fromarray(RAMP).convert("P", palette=Image.Palette.ADAPTIVE)
    palette.info["transparency"] = 0
    alpha = load_image(saved(palette, transparency=0)).alpha
    assert alpha is not None
    assert alpha.min() == 0
    key = Image.new("L", (3, 3), 7)
    assert load_image(saved(key, transparency=7)).to_pillow().mode == "LA"


@pytest.mark.parametrize("value", [0, 257 * 100 + 128, 257 * 100 + 129, 65_535])
def test_16_bits_are_rounded_to_8_with_a_warning(value: int) -> None:
    values = np.full((2, 2), value, np.uint16)
    for source in (values, Image.fromarray(values), saved(Image.fromarray(values))):
        with pytest.warns(ImageWarning, match="16 bits"):
            image = load_image(source)
        assert image.gray
        assert (image.pixels == round(value / 257)).all()


def png_of_16_bit_colours(values: np.ndarray) -> bytes:
    """What Pillow does not write. values: `[H, W, 3]`, or `[H, W, 2]` for gray with alpha."""
    height, width, channels = values.shape
    kind = {2: 4, 3: 2}[channels]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


NARROW = "the values reach only {} of {}, so the image will be nearly {}: scale them first"


def messages(source: object) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_image(source)  # type: ignore[arg-type]
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("highest", [1, 255, 4095, 8191])
def test_deep_values_that_use_little_of_their_range_give_a_second_warning(highest: int) -> None:
    ramp = np.linspace(0, highest, 24).astype(np.uint16).reshape(4, 6)
    opaque = np.dstack([ramp, np.full_like(ramp, 65_535)])
    arrays = (ramp, opaque, np.dstack([ramp] * 3), np.dstack([ramp, ramp, opaque]))
    deep, integers = Image.fromarray(ramp), Image.fromarray(ramp.astype(np.int32))
    files = (saved(deep), saved(deep, "TIFF"), saved(integers, "TIFF"))
    for source in (*arrays, deep, integers, *files):
        coded, narrow = messages(source)
        assert coded == "16 bits a channel are coded as 8"
        assert narrow == NARROW.format(highest, 65_535, "black")


@pytest.mark.parametrize("highest", [0, 8192, 40_000, 65_535])
def test_deep_values_that_use_their_range_or_are_all_zero_give_one_warning(highest: int) -> None:
    ramp = np.linspace(0, highest, 24).astype(np.uint16).reshape(4, 6)
    for source in (
        ramp,
        Image.fromarray(ramp),
        saved(Image.fromarray(ramp)),
        png_of_16_bit_colours(np.dstack([ramp] * 3)),
    ):
        assert messages(source) == ["16 bits a channel are coded as 8"]


@pytest.mark.parametrize(
    ("bits", "highest", "photometric", "tone"),
    [(12, 511, 1, "black"), (16, 8191, 1, "black"), (16, 8191, 0, "white")],
)
def test_the_range_is_that_of_the_bits_that_a_tiff_declares(
    bits: int, highest: int, photometric: int, tone: str
) -> None:
    narrow = NARROW.format(highest, 2**bits - 1, tone)
    assert messages(gray_tiff(bits, photometric, [0, 1, 2, highest]))[1:] == [narrow]
    assert messages(gray_tiff(bits, photometric, [0, 1, 2, highest + 1]))[1:] == []


def test_of_deep_colours_the_upper_bytes_are_judged_which_pillow_gives() -> None:
    ramp = np.linspace(0, 4095, 24).astype(np.uint16).reshape(2, 4, 3)
    assert messages(png_of_16_bit_colours(ramp))[1:] == [NARROW.format(15, 255, "black")]


def test_the_first_frame_of_an_animation_is_taken_with_a_warning() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    buffer = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with pytest.warns(ImageWarning, match="first of several frames"):
        image = load_image(buffer)
    assert (image.pixels[0, 0] == [255, 0, 0]).all()


def test_an_animation_that_is_damaged_after_its_first_frame_is_read_like_a_whole_one() -> None:
    first, *others = [Image.effect_noise((24, 16), 40).convert("P") for _ in range(3)]
    whole = saved(first, "GIF").getvalue()
    data = saved(first, "GIF", save_all=True, append_images=others).getvalue()
    begun = data.index(b"\x21\xf9", len(whole) - 30)  # of the second frame
    expected = load_image(whole).pixels
    for end in range(begun + 4, len(data) - 1, 7):
        with pytest.warns(ImageWarning, match="first of several frames"):
            image = load_image(data[:end])
        np.testing.assert_array_equal(image.pixels, expected)


def test_exif_orientation_is_applied_and_exif_kept_only_on_request() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90°
    exif[0x010F] = "Maker"
    buffer = saved(Image.fromarray(RAMP), "PNG", exif=exif)
    assert load_image(buffer).size == (6, 4)
    assert load_image(buffer).exif is None
    kept = load_image(buffer, keep_metadata=True)
    assert kept.size == (6, 4)
    assert kept.exif is not None
    read = Image.Exif()
    read.load(kept.exif)
    assert read[0x010F] == "Maker"
    assert 0x0112 not in read


def display_p3_like() -> bytes:
    """An RGB matrix profile with wider primaries: littleCMS's sRGB with another name and another green."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = int.from_bytes(data[128:132], "big")
    for i in range(tags):
        entry = 132 + 12 * i
        if data[entry : entry + 4] == b"gXYZ":
            offset = int.from_bytes(data[entry + 4 : entry + 8], "big")
            data[offset + 8 : offset + 12] = (int(0.25 * 65536)).to_bytes(4, "big")
    return (
        bytes(data)
        .replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))
        .replace(b"sRGB built", b"wide built")
    )


def test_icc_profiles_are_applied_or_kept_but_not_both() -> None:
    profile = display_p3_like()
    colour = Image.new("RGB", (2, 2), (40, 200, 40))
    applied = load_image(saved(colour, icc_profile=profile))
    assert applied.icc is None
    assert (applied.pixels[0, 0] != [40, 200, 40]).any()
    kept = load_image(saved(colour, icc_profile=profile), keep_metadata=True)
    assert kept.icc == profile
    assert (kept.pixels[0, 0] == [40, 200, 40]).all()
    assert kept.to_pillow().info["icc_profile"] == profile


def test_a_broken_profile_is_ignored_with_a_warning() -> None:
    with pytest.warns(ImageWarning, match="ICC profile"):
        image = load_image(saved(Image.fromarray(RAMP), icc_profile=b"rubbish"))
    np.testing.assert_array_equal(image.pixels, RAMP)


def test_srgb_profiles_change_no_pixel() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(load_image(saved(Image.fromarray(RAMP), icc_profile=profile)).pixels, RAMP)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "kind", ["uint8 array", "float array", "uint8 tensor", "float tensor", "batched tensor"]
)
def test_arrays_and_tensors_hold_the_same_image(channels: int, kind: str) -> None:
    array = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    source = {
        "uint8 array": array,
        "float array": array / 255,
        "uint8 tensor": tensor,
        "float tensor": tensor.float() / 255,
        "batched tensor": tensor[None],
    }[kind]
    image = load_image(source)
    assert image.gray == (channels < 3)
    np.testing.assert_array_equal(image.pixels[:, :, 0], array[:, :, 0])
    assert (image.alpha is None) == (channels in (1, 3))
    if image.alpha is not None:
        np.testing.assert_array_equal(image.alpha, array[:, :, -1])


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float64"])
def test_floating_point_is_rounded_to_the_nearest_level(kind: str) -> None:
    values = torch.linspace(0, 1, 12_000).reshape(1, 100, 120).to(getattr(torch, kind))
    expected = np.rint(values[0].double().numpy() * 255)
    np.testing.assert_array_equal(load_image(values).pixels[..., 0], expected)
    if kind != "bfloat16":  # which NumPy lacks
        np.testing.assert_array_equal(load_image(values[0].numpy()).pixels[..., 0], expected)


def test_what_a_network_in_training_gives_is_an_image() -> None:
    values = torch.rand(3, 5, 7, requires_grad=True)
    network_output = values * 0.5
    for tensor in (values, network_output):
        expected = np.rint(tensor.detach().permute(1, 2, 0).numpy() * 255)
        np.testing.assert_array_equal(load_image(tensor).pixels, expected)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((4, 4, 3), np.int32), "int32"),
        (np.full((4, 4, 3), 1.5), r"array must lie in \[0, 1\], and this one has values from 1.5 to 1.5"),
        (np.linspace(0, 1 + 1e-9, 48).reshape(4, 4, 3), r"has values from 0.0 to 1.000000001: clip"),
        (np.linspace(-1, 255, 48).reshape(4, 4, 3), r"has values from -1.0 to 255.0: divide .* such as 255"),
        (np.full((4, 4, 3), np.nan, np.float32), r"array must lie in \[0, 1\], and this one has NaN in it"),
        (np.zeros((4, 4, 5), np.uint8), "is not an image"),
        (np.zeros((4,), np.uint8), "is not an image"),
        (np.zeros((0, 4, 3), np.uint8), "sides must be"),
        (torch.zeros(3, 4, 4) + 2, r"in \[0, 1\]"),
        (torch.full((3, 4, 4), float("nan")), r"in \[0, 1\], and this one has NaN in it"),
        (torch.full((3, 4, 4), 2, dtype=torch.bfloat16), r"has values from 2.0 to 2.0: clip"),
        (torch.zeros(2, 3, 4, 4), "compress_batch"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "int64"),
        (Image.new("F", (3, 3)), "floating-point"),
        (Path("missing.png"), "no such file"),
        (io.BytesIO(b"rubbish"), "not an image"),
        (12, "cannot read an image from int"),
    ],
)
def test_what_is_no_image_is_refused_by_name(source: object, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        load_image(source)  # type: ignore[arg-type]


def test_a_truncated_image_file_is_refused(photograph: Image.Image) -> None:
    data = saved(photograph).getvalue()
    with pytest.raises(ImageError, match="cannot be read"):
        load_image(io.BytesIO(data[: len(data) // 2]))


def test_an_image_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = saved(Image.new("1", (20_000, 20_000)))
    with pytest.raises(ImageError, match="pixels"):
        load_image(bomb)


def test_alpha_survives_and_a_foreign_alpha_is_refused() -> None:
    alpha = np.random.default_rng(0).integers(0, 256, (5, 9), dtype=np.uint8)
    png = saved(Image.fromarray(alpha)).getvalue()
    np.testing.assert_array_equal(alpha_from_png(png, (9, 5)), alpha)
    with pytest.raises(FormatError, match="of the image's size"):
        alpha_from_png(png, (5, 9))
    with pytest.raises(FormatError, match="not a PNG"):
        alpha_from_png(b"rubbish", (9, 5))


def png_of(header: bytes, *chunks: bytes) -> bytes:
    """A PNG of 9×5 pixels; header: the bytes of IHDR after the size."""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">II", 9, 5) + header) + b"".join(chunks)


GRAY, END = bytes([8, 0, 0, 0, 0]), chunk(b"IEND", b"")
HEAD = struct.pack(">II", 9, 5) + GRAY
PIXELS = zlib.compress(bytes(5 * (1 + 9)))
ROWS = chunk(b"IDAT", PIXELS)


@pytest.mark.parametrize(
    ("header", "chunks"),
    [
        (bytes([1, 0, 0, 0, 0]), (ROWS, END)),
        (bytes([4, 0, 0, 0, 0]), (ROWS, END)),
        (bytes([16, 0, 0, 0, 0]), (ROWS, END)),
        (bytes([8, 2, 0, 0, 0]), (ROWS, END)),
        (bytes([8, 3, 0, 0, 0]), (ROWS, END)),
        (bytes([8, 4, 0, 0, 0]), (ROWS, END)),
        (bytes([8, 0, 0, 0, 1]), (ROWS, END)),
        (GRAY, (chunk(b"tEXt", b"Title\0alpha"), ROWS, END)),
        (GRAY, (chunk(b"tRNS", b"\0\0"), ROWS, END)),
        (GRAY, (ROWS, chunk(b"tIME", bytes(7)), END)),
        (GRAY, (ROWS, END, chunk(b"tEXt", b"after\0the end"))),
        (GRAY, (ROWS, END, b"more")),
        (GRAY, (ROWS, END[:-1])),
        (GRAY, (ROWS, END[:-4])),
        (GRAY, (ROWS,)),
        (GRAY, (END,)),
        (GRAY, (chunk(b"IHDR", HEAD), ROWS, END)),
        (GRAY, (ROWS, END, END)),
        (GRAY + b"\0", (ROWS, END)),
        # Damage that Pillow passes over: checksums, rows beyond the image, data after the end.
        (GRAY, (ROWS[:-1] + bytes([ROWS[-1] ^ 1]), END)),
        (GRAY, (ROWS, END[:-1] + bytes([END[-1] ^ 1]))),
        (GRAY, (chunk(b"IDAT", PIXELS[:-4]), END)),
        (GRAY, (chunk(b"IDAT", PIXELS[:-1] + bytes([PIXELS[-1] ^ 1])), END)),
        (GRAY, (chunk(b"IDAT", zlib.compress(bytes(5 * (1 + 9) + 1))), END)),
        (GRAY, (chunk(b"IDAT", zlib.compress(bytes(5 * (1 + 9) - 1))), END)),
        (GRAY, (ROWS, ROWS, END)),
    ],
)
def test_alpha_is_a_whole_png_of_8_bit_gray_and_of_three_kinds_of_chunks(
    header: bytes, chunks: tuple[bytes, ...]
) -> None:
    in_two = (chunk(b"IDAT", PIXELS[:5]), chunk(b"IDAT", PIXELS[5:]))
    for rows in ((ROWS,), in_two):
        assert not alpha_from_png(png_of(GRAY, *rows, END), (9, 5)).any()
    with pytest.raises(FormatError):
        alpha_from_png(png_of(header, *chunks), (9, 5))


def test_gray_is_the_mean_of_the_decoded_channels() -> None:
    pixels = np.array([[[10, 11, 12], [10, 10, 11]]], np.uint8)
    np.testing.assert_array_equal(np.asarray(ImageData(pixels, gray=True).to_pillow()), [[11, 10]])


def gray_tiff(bits: int, photometric: int, values: list[int]) -> bytes:
    """A TIFF of one row of gray values; photometric: 0 if white is zero, 1 if black is."""
    digits = "".join(f"{value:0{bits}b}" for value in values)
    data = int(digits, 2).to_bytes(len(digits) // 8, "big")
    if bits == 16:
        data = np.frombuffer(data, ">u2").astype("<u2").tobytes()
    tags = {256: len(values), 257: 1, 258: bits, 259: 1, 262: photometric, 277: 1, 278: 1, 279: len(data)}
    place = 8 + 2 + 12 * (len(tags) + 1) + 4
    entries = sorted({**tags, 273: place}.items())
    body = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4) + data


@pytest.mark.parametrize(
    ("bits", "white_is_zero"), [(8, False), (8, True), (12, False), (16, False), (16, True)]
)
def test_gray_tiffs_are_scaled_and_inverted_at_every_depth(bits: int, white_is_zero: bool) -> None:
    top = 2**bits - 1
    values = [0, top // 4, top // 2, top]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageWarning)
        found = load_image(gray_tiff(bits, 1 - white_is_zero, values)).pixels[0, :, 0].astype(int)
    expected = np.array([0, 63, 127, 255])
    assert np.abs(found - (255 - expected if white_is_zero else expected)).max() <= 1


@pytest.mark.parametrize(("bits", "white_is_zero"), [(12, False), (16, False), (16, True)])
def test_every_value_of_deep_gray_becomes_the_nearest_of_8_bits(bits: int, white_is_zero: bool) -> None:
    top = 2**bits - 1
    values = np.arange(0, top + 1, 1 if bits == 12 else 8)
    with pytest.warns(ImageWarning, match="16 bits"):
        found = load_image(gray_tiff(bits, 1 - white_is_zero, values.tolist())).pixels[0, :, 0]
    np.testing.assert_array_equal(found, np.rint((top - values if white_is_zero else values) / top * 255))


@pytest.mark.parametrize("transparent", [0x0001, 0x0100, 0x1F00, 8000, 0x7F80, 0xFF00, 0xFFFF])
def test_the_transparent_colour_of_a_png_of_16_bits_is_transparent(transparent: int) -> None:
    key = chunk(b"tRNS", struct.pack(">3H", *[transparent] * 3))
    png = png_of_16_bit_colours(np.array([[[transparent] * 3, [0x5500] * 3, [40_000] * 3]]))
    end_of_header = 8 + 25
    with pytest.warns(ImageWarning, match="16 bits"):
        alpha = load_image(png[:end_of_header] + key + png[end_of_header:]).alpha
    assert alpha is not None
    assert alpha.tolist() == [[0, 255, 255]]


def test_a_png_of_16_bit_gray_with_alpha_comes_back_gray(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65_536, (5, 7, 2))
    (path := tmp_path / "a.png").write_bytes(png_of_16_bit_colours(values))
    with Image.open(path) as loaded:
        loaded.load()
    for source in (path, Image.open(path), loaded):
        with pytest.warns(ImageWarning, match="16 bits"):
            image = load_image(source)
        assert image.gray
        np.testing.assert_array_equal(image.to_array(), values >> 8)
    loaded.putpixel((0, 0), (255, 0, 0, 255))
    with pytest.warns(ImageWarning, match="16 bits"):
        assert load_image(loaded).to_pillow().getpixel((0, 0)) == (255, 0, 0, 255)


def test_an_animation_that_was_drawn_on_keeps_the_drawing() -> None:
    ramp = Image.linear_gradient("L")
    with Image.open(saved(ramp, "GIF", save_all=True, append_images=[ramp.rotate(180)])) as image:
        image.load()
        image.paste(200, (0, 0, *image.size))
        with pytest.warns(ImageWarning, match="first of several frames"):
            loaded = load_image(image)
        assert (loaded.pixels == 200).all()
        assert image.getextrema() == (200, 200)


@pytest.mark.filterwarnings("error::rdpcodec.ImageWarning")
def test_a_closed_gif_of_one_frame_is_not_called_an_animation(tmp_path: Path) -> None:
    Image.new("P", (4, 4)).save(tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as image:
        image.load()
    assert load_image(image).size == (4, 4)


def test_arrays_of_any_byte_order_and_class_are_arrays() -> None:
    values = np.full((2, 3, 3), 25_700, np.uint16)
    with pytest.warns(ImageWarning, match="16 bits"):
        assert (load_image(values.astype(values.dtype.newbyteorder("S"))).pixels == 100).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        matrix = np.matrix([[1, 2], [3, 4]], np.uint8)
    assert load_image(matrix).pixels[..., 0].tolist() == [[1, 2], [3, 4]]


def test_sixteen_bits_a_pixel_are_not_sixteen_a_channel() -> None:
    """A BMP of 5, 6 and 5 bits."""
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    header = struct.pack("<IiiHHIIiiII", 40, 16, -16, 1, 16, 3, 512, 0, 0, 0, 0) + masks
    file = b"BM" + struct.pack("<IHHI", 14 + len(header) + 512, 0, 0, 14 + len(header)) + header
    assert load_image(file + bytes([0x00, 0xF8]) * 256).pixels[0, 0].tolist() == [255, 0, 0]  # no warning
