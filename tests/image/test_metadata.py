"""Metadata: what is kept from a source and passed on from a file, and that none of it costs the image."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from rdpcodec import Codec
from rdpcodec.exif_claims import check_claims
from rdpcodec.format import container
from rdpcodec.format.container import Segment
from rdpcodec.image import ImageData, ImageWarning, encode_image, load_image
from rdpcodec.image.colour import to_srgb
from rdpcodec.image.profiles import CODED_PRIMARIES, SRGB_CURVE, made_profile
from rdpcodec.limits import METADATA_LIMIT
from rdpcodec.metadata import cleaned_exif, without_geometry

MAKE, ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, SOFTWARE = 271, 274, 282, 283, 296, 305
INCH, CENTIMETRE = 2, 3
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6" dc:title="Tea"/></x:xmpmeta>'
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
ENTRY = struct.Struct(">HHI4s")


def saved(kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, **options)
    return buffer.getvalue()


def read(block: bytes | None) -> Image.Exif:
    exif = Image.Exif()
    exif.load(block or b"")
    return exif


def is_ours(warning: warnings.WarningMessage) -> bool:
    return issubclass(warning.category, ImageWarning)


def exif_block(*entries: tuple[int, int, int, bytes]) -> bytes:
    """An EXIF block of one directory; entries: tag, type, count and value, however odd."""
    body = struct.pack(">H", len(entries)) + b"".join(ENTRY.pack(*entry) for entry in entries) + bytes(4)
    return b"Exif\0\0MM\0*\0\0\0\x08" + body + struct.pack(">ii", -300, 1)


def offset_behind(count: int) -> bytes:
    """The offset of a value that follows a directory of `count` entries."""
    return struct.pack(">I", 8 + 2 + 12 * count + 4)


TEXT, BYTE, SHORT, LONG, RATIONAL, SIGNED_BYTE, SIGNED_RATIONAL, LONG8 = 2, 1, 3, 4, 5, 6, 10, 16
MAKER = (MAKE, TEXT, 4, b"Box\0")
ODD = {
    "orientation as text": exif_block(MAKER, (ORIENTATION, TEXT, 2, b"6\0\0\0")),
    "negative resolution": exif_block(MAKER, (X_RESOLUTION, SIGNED_RATIONAL, 1, offset_behind(2))),
    "resolution as text": exif_block(MAKER, (X_RESOLUTION, TEXT, 3, b"ab\0\0")),
    "unknown type": exif_block(MAKER, (SOFTWARE, 99, 1, b"abcd")),
    "a folder that is the one it lies in": exif_block(
        MAKER, (ExifTags.IFD.Exif, LONG, 1, struct.pack(">I", 8))
    ),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_odd_tag_costs_at_most_itself(name: str, kind: str) -> None:
    data = saved(kind, exif=ODD[name])
    plain = load_image(data)
    assert plain.size == (20, 12)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ImageWarning)
        kept = load_image(data, keep_metadata=True)
    assert all("is left out" in str(warning.message) for warning in caught if is_ours(warning))
    exif = Image.Exif()
    exif.load(kept.exif or b"")
    assert exif[MAKE] == "Box"
    assert ORIENTATION not in exif
    np.testing.assert_array_equal(kept.pixels, plain.pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_even_beside_tags_that_cannot_be_written(orientation: int) -> None:
    value = struct.pack(">H2x", orientation)
    bad = (X_RESOLUTION, SIGNED_RATIONAL, 1, offset_behind(2))
    turned = load_image(saved("PNG", exif=exif_block((ORIENTATION, SHORT, 1, value), bad))).pixels
    plain = exif_block((ORIENTATION, SHORT, 1, value))
    np.testing.assert_array_equal(turned, load_image(saved("PNG", exif=plain)).pixels)
    assert turned.shape[:2] == ((12, 20) if orientation < 5 else (20, 12))
    assert (orientation == 1) == np.array_equal(turned, PIXELS)


# EXIF 2.32, 4.6.4: the sides of the displayed image where the first stored row and column lie.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", SIDES)
def test_turned_photographs_come_back_upright(orientation: int, kind: str) -> None:
    row, column = SIDES[orientation]
    stored = PIXELS if row in ("top", "bottom") else PIXELS.swapaxes(0, 1)
    stored = stored[::-1] if row in ("bottom", "right") else stored
    stored = stored[:, ::-1] if column in ("bottom", "right") else stored
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    buffer = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(np.ascontiguousarray(stored)).save(buffer, kind, exif=exif, **options)
    np.testing.assert_array_equal(load_image(buffer).pixels, PIXELS)


@pytest.mark.parametrize(
    "orientation", [b' tiff:Orientation="6"/>', b"><tiff:Orientation>6</tiff:Orientation></rdf:Description>"]
)
def test_an_orientation_in_either_notation_of_xmp_is_applied_once(codec: Codec, orientation: bytes) -> None:
    packet = b"<x:xmpmeta><rdf:Description" + orientation + b"<!-- Tea --></x:xmpmeta>"
    decoded = codec.decompress(codec.compress(saved("JPEG", xmp=packet), keep_metadata=True))
    assert decoded.size == (12, 20)
    with Image.open(io.BytesIO(encode_image(decoded, "JPEG", "x"))) as image:
        assert b"Tea" in image.info["xmp"]
        assert ImageOps.exif_transpose(image).size == (12, 20)


def test_the_size_in_exif_which_turning_and_scaling_change_is_not_passed_on(codec: Codec) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    folder = exif.get_ifd(ExifTags.IFD.Exif)
    folder[ExifTags.Base.ExifImageWidth], folder[ExifTags.Base.ExifImageHeight] = 20, 12
    folder[ExifTags.Base.ISOSpeedRatings] = 100
    decoded = codec.decompress(codec.compress(saved("JPEG", exif=exif), keep_metadata=True))
    assert decoded.size == (12, 20)
    assert decoded.getexif().get_ifd(ExifTags.IFD.Exif) == {ExifTags.Base.ISOSpeedRatings: 100}


BLANK = st.text(" \t\r\n", max_size=3)


GEOMETRY = (
    *("tiff:Orientation", "tiff:ImageWidth", "tiff:ImageLength"),
    *("exif:PixelXDimension", "exif:PixelYDimension"),
)


@st.composite
def geometry_in_xmp(draw: st.DrawFn) -> str:
    """The end of a start tag that holds orientation or size, or is followed by the element, anyhow spaced."""
    value, name = draw(st.integers(1, 8)), draw(st.sampled_from(GEOMETRY))
    before, after = draw(BLANK), draw(BLANK)
    if draw(st.booleans()):
        quote = draw(st.sampled_from("\"'"))
        return f" {name}{before}={after}{quote}{value}{quote}{draw(BLANK)}>"
    attribute = draw(st.sampled_from(["", " xml:lang='x'"]))
    return f"><{name}{attribute}{draw(BLANK)}>{before}{value}{after}</{name}{draw(BLANK)}>"


@given(geometry_in_xmp())
def test_orientation_and_size_in_xmp_are_removed_however_they_are_written(geometry: str) -> None:
    head, tail = "<x:xmpmeta><rdf:Description dc:title='Tea'", "<!-- Orientation --></rdf:Description>"
    left = without_geometry((head + geometry + tail).encode()).decode()
    assert left.startswith(head)
    assert left.endswith(tail)
    assert left.removeprefix(head).removesuffix(tail).strip() == ">"


@pytest.mark.parametrize(
    "orientation", [" tiff:Orientation='6'/>", "><tiff:Orientation> 6 </tiff:Orientation></rdf:Description>"]
)
def test_a_turned_photograph_does_not_say_in_xmp_that_it_is_to_be_turned(orientation: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    packet = f"<x:xmpmeta><rdf:Description{orientation}</x:xmpmeta>".encode()
    image = load_image(saved("JPEG", exif=exif, xmp=packet), keep_metadata=True)
    assert image.size == (12, 20)
    assert image.xmp is not None
    assert b"Orientation" not in image.xmp


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
def test_the_structure_of_a_tiff_is_no_metadata(compression: str | None) -> None:
    tags = ImageFileDirectory_v2()
    tags[MAKE], tags[SOFTWARE] = "Box", "Made by hand"
    tags[37724] = bytes(1000)  # Photoshop's layers
    tags.tagtype[37724] = 7
    data = saved("TIFF", tiffinfo=tags, compression=compression, dpi=(240, 120))
    kept = load_image(data, keep_metadata=True)
    exif = Image.Exif()
    assert kept.exif is not None
    exif.load(kept.exif)
    assert dict(exif) == {MAKE: "Box", SOFTWARE: "Made by hand", 282: 240, 283: 120, 296: 2}


# Tags that say where pixels or a thumbnail lie and how they are coded (TIFF 6.0, sections 8, 15, 21 and 22;
# DNG 1.7).
STRUCTURE = {
    "RowsPerStrip": (278, 12),
    "TileWidth": (322, 64),
    "JPEGProc": (512, 1),
    "JPEGInterchangeFormat": (513, 4096),
    "JPEGInterchangeFormatLength": (514, 500),
    "YCbCrSubSampling": (530, (2, 2)),
    "ReferenceBlackWhite": (532, (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)),
    "DNGVersion": (50706, b"\1\4\0\0"),
    "WhiteLevel": (50717, 16_383),
    "ActiveArea": (50829, (0, 0, 12, 20)),
    "ProfileGainTableMap2": (52544, b"map"),
}


@pytest.mark.parametrize("name", STRUCTURE)
def test_what_says_how_another_files_pixels_are_coded_is_neither_kept_nor_handed_on(name: str) -> None:
    tag, value = STRUCTURE[name]
    exif = Image.Exif()
    exif[MAKE], exif[tag] = "Box", value
    assert tag in read(exif.tobytes())
    assert dict(read(load_image(saved("PNG", exif=exif), keep_metadata=True).exif)) == {MAKE: "Box"}
    assert dict(read(cleaned_exif(exif.tobytes()))) == {MAKE: "Box"}


def test_layers_of_photoshop_do_not_make_a_file_unreadable(codec: Codec) -> None:
    tags = ImageFileDirectory_v2()
    tags[37724], tags[MAKE] = bytes(17 << 20), "Box"
    tags.tagtype[37724] = 7
    data = codec.compress(saved("TIFF", tiffinfo=tags), keep_metadata=True)
    assert len(data) < 10_000
    assert codec.decompress(data).getexif()[MAKE] == "Box"


@pytest.mark.parametrize(
    "name", ["gamma", "chromaticity", "srgb", "transparency", "icc_profile", "xmp", "dpi"]
)
@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_a_text_of_a_png_is_not_taken_for_an_entry_of_pillows(name: str, mode: str) -> None:
    image = Image.linear_gradient("L").convert(mode)
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    loaded = []
    for text in (None, "96"):
        chunks = PngInfo()
        if text:
            chunks.add_text(name, text)
        image.save(buffer := io.BytesIO(), "PNG", pnginfo=chunks, exif=exif)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loaded.append(load_image(buffer, keep_metadata=True))
        said = [f"the text of '{name}' is left out: only EXIF and XMP are kept"] if text else []
        assert [str(warning.message) for warning in caught] == said
        with Image.open(buffer) as given:
            load_image(given)
            assert given.info.get(name) == text
    plain, found = loaded
    np.testing.assert_array_equal(found.pixels, plain.pixels)
    assert vars(found) | {"pixels": None} == vars(plain) | {"pixels": None}


def test_a_text_named_as_the_colours_of_srgb_does_not_hide_a_gamma() -> None:
    image = Image.linear_gradient("L")
    chunks = PngInfo()
    chunks.add(b"gAMA", (100_000).to_bytes(4, "big"))
    image.save(buffer := io.BytesIO(), "PNG", pnginfo=chunks)
    expected = load_image(buffer).pixels
    chunks.add_text("srgb", "no")
    image.save(buffer := io.BytesIO(), "PNG", pnginfo=chunks)
    np.testing.assert_array_equal(load_image(buffer).pixels, expected)


def test_comments_and_texts_that_are_not_kept_are_said() -> None:
    texts, three = PngInfo(), PngInfo()
    for name in ("Title", "Author", "Software"):
        three.add_text(name, "x")
    for name in ("Title", "Author", "Software", "Comment"):
        texts.add_text(name, "x")
    texts.add_itxt("XML:com.adobe.xmp", "<x/>")
    image = Image.fromarray(PIXELS)
    for save, said in (
        ({"format": "JPEG", "comment": b"by hand"}, "the text of 'comment' is left out"),
        ({"format": "PNG", "pnginfo": three}, "the text of 'Title', 'Author', 'Software' is left"),
        ({"format": "PNG", "pnginfo": texts}, "the text of 'Title', 'Author', 'Software' and 1 more is left"),
    ):
        image.save(buffer := io.BytesIO(), **save)
        load_image(buffer)  # without keep_metadata there is no warning
        with pytest.warns(ImageWarning, match=said):
            load_image(buffer, keep_metadata=True)


@pytest.mark.parametrize("what", ["icc_profile", "xmp", "exif"])
def test_metadata_over_the_limit_are_left_out_with_a_warning(codec: Codec, what: str) -> None:
    from rdpcodec.image.profiles import SRGB, SRGB_CURVE, made_profile

    image = Image.fromarray(PIXELS)
    exif = Image.Exif()
    exif[SOFTWARE] = "x" * (17 << 20)
    image.info[what] = {
        "icc_profile": made_profile(SRGB, SRGB_CURVE) + bytes(17 << 20),
        "xmp": bytes(100) + b"x" * (17 << 20),
        "exif": exif.tobytes(),
    }[what]
    with pytest.warns(ImageWarning, match="17 MiB, and the format holds 16 MiB"):
        data = codec.compress(image, keep_metadata=True)
    assert codec.decompress(data).size == (20, 12)


@pytest.mark.parametrize(("more", "kept"), [(0, True), (1, False)])
def test_a_packet_that_fills_what_the_format_holds_is_kept(codec: Codec, more: int, kept: bool) -> None:
    image = Image.fromarray(PIXELS)
    image.info["xmp"] = packet = b"x" * (METADATA_LIMIT + more)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ImageWarning)
        found = codec.decompress(codec.compress(image, keep_metadata=True)).info.get("xmp")
    assert (found == packet) == kept
    assert any(map(is_ours, caught)) != kept


def test_a_packet_of_spaces_is_no_xmp() -> None:
    image = Image.fromarray(PIXELS)
    for blank in (b"", b"   ", b"\0\0", " "):
        image.info["xmp"] = blank
        assert load_image(image, keep_metadata=True).xmp is None
    image.info["xmp"] = b" \0<x/>"
    assert load_image(image, keep_metadata=True).xmp == b" \0<x/>"


@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("target", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_xmp_and_resolution_go_from_every_format_to_every_format(
    codec: Codec, source: str, target: str
) -> None:
    options: dict[str, object] = {"dpi": (300, 150)}
    if source == "PNG":
        from PIL.PngImagePlugin import PngInfo

        options["pnginfo"] = info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    elif source == "TIFF":
        options["tiffinfo"] = {700: XMP}
    else:
        options["xmp"] = XMP
    if source == "WEBP":  # whose only place for a resolution is EXIF
        exif = Image.Exif()
        exif[282], exif[283], exif[296] = 300, 150, 2
        options["exif"] = exif
    decoded = codec.decompress(codec.compress(saved(source, **options), keep_metadata=True))
    assert decoded.size == (12, 20)  # XMP's orientation is applied
    assert decoded.info["dpi"] == pytest.approx((300, 150), rel=1e-3)
    with Image.open(io.BytesIO(encode_image(decoded, target, "x"))) as image:
        image.load()
        assert b'dc:title="Tea"' in image.info["xmp"]
        assert b"Orientation" not in image.info["xmp"]
        assert image.size == (12, 20)
        assert image.getexif()[282] == pytest.approx(300, rel=1e-3)
        assert image.getexif()[283] == pytest.approx(150, rel=1e-3)


def exif_of_resolution(across: float | None, down: float | None, unit: int | None) -> Image.Exif:
    exif = Image.Exif()
    for tag, value in ((X_RESOLUTION, across), (Y_RESOLUTION, down), (RESOLUTION_UNIT, unit)):
        if value is not None:
            exif[tag] = value
    return exif


@pytest.mark.parametrize(
    ("exif", "expected"),
    [
        (exif_of_resolution(300, 150, INCH), (300, 150)),
        (exif_of_resolution(300, 150, None), (300, 150)),  # EXIF 2.32, 4.6.4: inches unless it says otherwise
        (exif_of_resolution(100, 50, CENTIMETRE), (254, 127)),
        (exif_of_resolution(3, 2, 1), None),  # TIFF 6.0, section 8: no unit, only an aspect ratio
    ],
)
def test_a_resolution_is_given_back_in_pixels_per_inch(
    codec: Codec, exif: Image.Exif, expected: tuple[float, float] | None
) -> None:
    image = codec.decompress(codec.compress(saved("PNG", exif=exif), keep_metadata=True))
    assert image.info.get("dpi") == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("exif", "expected"),
    [
        (exif_of_resolution(None, None, None), (72, 72)),
        (exif_of_resolution(300, 150, INCH), (300, 150)),
        (exif_of_resolution(100, 50, CENTIMETRE), (254, 127)),
        (exif_of_resolution(300, None, INCH), (72, 72)),
        (exif_of_resolution(None, None, CENTIMETRE), (72, 72)),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_resolution_in_exif_goes_before_that_of_the_header_and_is_not_mixed_with_it(
    kind: str, exif: Image.Exif, expected: tuple[float, float]
) -> None:
    exif[MAKE] = "Box"
    image = load_image(saved(kind, exif=exif, dpi=(72, 72)), keep_metadata=True)
    assert image.to_pillow().info["dpi"] == pytest.approx(expected, abs=0.02)  # PNG counts per metre


def test_nothing_is_kept_unless_asked_for(codec: Codec) -> None:
    data = codec.compress(saved("JPEG", dpi=(300, 300), xmp=XMP, exif=exif_block(MAKER)))
    assert not codec.decompress(data).info


def test_a_resolution_that_pillow_makes_up_is_not_kept() -> None:
    assert load_image(saved("TIFF"), keep_metadata=True).exif is None
    image = load_image(saved("JPEG", exif=exif_block(MAKER)), keep_metadata=True)
    exif = Image.Exif()
    exif.load(image.exif or b"")
    assert dict(exif) == {MAKE: "Box"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize("field", ["exif", "xmp"])
def test_metadata_that_a_format_cannot_hold_never_cost_the_image(kind: str, field: str) -> None:
    damaged = {"exif": b"Exif\0\0rubbish", "xmp": b"\xff\xfe not text " + bytes(70_000)}[field]
    image = Image.fromarray(PIXELS)
    image.info |= {field: damaged}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ImageWarning)
        data = encode_image(image, kind, "x")
    assert all(f"{kind} cannot hold it" in str(warning.message) for warning in caught if is_ours(warning))
    with Image.open(io.BytesIO(data)) as written:
        assert written.size == (20, 12)


def test_profiles_and_exif_that_are_left_out_leave_the_others(codec: Codec) -> None:
    image = Image.fromarray(PIXELS)
    image.info |= {"exif": exif_block(MAKER), "xmp": b"x" * 70_000}  # JPEG holds 65 533 bytes of XMP
    with pytest.warns(ImageWarning, match="the XMP packet is left out: JPEG cannot hold it"):
        data = encode_image(image, "JPEG", "x")
    with Image.open(io.BytesIO(data)) as written:
        assert written.getexif()[MAKE] == "Box"


@given(st.binary(max_size=200))
def test_a_cleaned_block_is_clean(noise: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        once = cleaned_exif(exif_block(MAKER)[:14] + noise)
        if once is not None:
            assert cleaned_exif(once) == once
            ImageData(PIXELS, exif=once).to_pillow()


def test_gps_and_camera_settings_are_kept() -> None:
    exif = Image.Exif()
    exif[MAKE] = "Box"
    exif[ExifTags.IFD.GPSInfo] = {1: "N", 2: (48.0, 8.0, 30.0)}
    exif[ExifTags.IFD.Exif] = {
        33434: 0.25,
        37500: b"maker's own note",
        ExifTags.IFD.Interop: {1: "R98"},
    }
    kept = load_image(saved("JPEG", exif=exif), keep_metadata=True)
    found = read(kept.exif)
    assert found.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
    assert found.get_ifd(ExifTags.IFD.Exif)[33434] == 0.25
    assert found.get_ifd(ExifTags.IFD.Exif)[37500] == b"maker's own note"
    assert found.get_ifd(ExifTags.IFD.Interop)[1] == "R98"


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_stays_in_its_byte_order_which_a_makers_note_may_be_in_too(order: str) -> None:
    exif = Image.Exif()
    exif.endian = order
    exif[MAKE] = "Box"
    exif[ExifTags.IFD.Exif] = {37500: struct.pack(f"{order}H", 1000)}
    for block in (
        load_image(saved("PNG", exif=exif), keep_metadata=True).exif,
        cleaned_exif(exif.tobytes()),
    ):
        assert block is not None
        assert read(block).get_ifd(ExifTags.IFD.Exif)[37500] == struct.pack(f"{order}H", 1000)
        assert block.removeprefix(b"Exif\0\0")[:2] == {"<": b"II", ">": b"MM"}[order]


def test_formats_that_lose_in_silence_are_refused() -> None:
    from rdpcodec import UsageError

    see_through = Image.new("RGBA", (96, 64), (200, 100, 50, 128))
    for kind in ("BMP", "PPM"):
        with pytest.raises(UsageError, match="alpha"):
            encode_image(see_through, kind, "x")
    with pytest.raises(UsageError, match="96×64 pixels"):
        encode_image(see_through, "ICO", "x")
    assert encode_image(Image.new("RGBA", (96, 64), (200, 100, 50, 255)), "BMP", "x")
    assert encode_image(see_through, "TGA", "x")


def folders_over_one_block(count: int, order: str) -> bytes:
    """An EXIF block whose four folders all claim the same `count` rationals."""
    entry, base = struct.Struct(f"{order}HHII"), 8
    folders = [(0x9999, 0x8769, 0x8825), (0x9998, 0xA005), (2,), (0x9997,)]
    places = [base + sum(6 + 12 * len(tags) for tags in folders[:i]) for i in range(5)]
    below = {0x8769: places[1], 0x8825: places[2], 0xA005: places[3]}
    body = b""
    for tags in folders:
        body += struct.pack(f"{order}H", len(tags))
        for tag in sorted(tags):
            body += (
                entry.pack(tag, 4, 1, below[tag]) if tag in below else entry.pack(tag, 5, count, places[4])
            )
        body += bytes(4)
    return header_of_exif(order, base) + body + bytes(8 * count)


def header_of_exif(order: str, place: int) -> bytes:
    return {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, place)


def many_tags_over_one_block(tags: int, size: int, order: str) -> bytes:
    """An EXIF block whose tags all claim the same bytes."""
    place = 8 + 2 + 12 * tags + 4
    entries = b"".join(struct.pack(f"{order}HHII", 0x9000 + i, 7, size, place) for i in range(tags))
    return header_of_exif(order, 8) + struct.pack(f"{order}H", tags) + entries + bytes(4) + bytes(size)


def many_numbers(count: int, order: str, place: int = 8, kind: int = SHORT) -> bytes:
    """A folder of one tag with `count` numbers, all of them present, to lie at `place` in an EXIF block."""
    entry = struct.pack(f"{order}HHII", 0x9000, kind, count, place + 2 + 12 + 4)
    size = {SHORT: 2, SIGNED_BYTE: 1}[kind]
    return struct.pack(f"{order}H", 1) + entry + bytes(4) + bytes(size * count)


def folder_placed_by(kind: int, count: int, order: str) -> bytes:
    """An EXIF block of many numbers in a folder whose place is an integer of a type other than LONG."""
    place = 8 + 2 + 12 + 4
    if kind == LONG8:
        field, elsewhere = struct.pack(f"{order}I", place), struct.pack(f"{order}Q", place + 8)
    else:
        field, elsewhere = struct.pack(order + {SHORT: "H", SIGNED_BYTE: "b"}[kind], place), b""
    entry = struct.pack(f"{order}HHI", ExifTags.IFD.Exif, kind, 1) + field.ljust(4, b"\0")
    folder = many_numbers(count, order, place + len(elsewhere))
    return header_of_exif(order, 8) + struct.pack(f"{order}H", 1) + entry + bytes(4) + elsewhere + folder


def raw_profile(block: bytes) -> PngInfo:
    """An EXIF block as ImageMagick writes it into a PNG."""
    texts = PngInfo()
    texts.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=True)
    return texts


@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize(
    "claim",
    [
        "the same numbers",
        "the same bytes",
        "too many numbers",
        "too many signed bytes",
        "numbers behind two prefixes",
        "a place in two bytes",
        "a place in one byte",
        "a place in eight bytes",
    ],
)
def test_a_block_that_claims_more_than_it_holds_is_not_unpacked(
    claim: str, order: str, codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = header_of_exif(order, 8)
    block = {
        "the same numbers": lambda: folders_over_one_block(50_000, order),
        "the same bytes": lambda: many_tags_over_one_block(100, 50_000, order),
        "too many numbers": lambda: head + many_numbers(100_000, order),
        "too many signed bytes": lambda: head + many_numbers(100_000, order, kind=SIGNED_BYTE),
        "numbers behind two prefixes": lambda: b"Exif\0\0" * 2 + head + many_numbers(100_000, order),
        "a place in two bytes": lambda: folder_placed_by(SHORT, 100_000, order),
        "a place in one byte": lambda: folder_placed_by(SIGNED_BYTE, 100_000, order),
        "a place in eight bytes": lambda: folder_placed_by(LONG8, 100_000, order),
    }[claim]()
    image = Image.fromarray(PIXELS)
    sources = saved("PNG", exif=block), saved("PNG", pnginfo=raw_profile(block))
    file = container.read(codec.compress(image))
    segments = {Segment.EXIF: zlib.compress(block), **file.segments}
    data = container.write(replace(file, segments=segments))

    def unpacked(*_: object) -> None:
        raise AssertionError("unpacked")

    monkeypatch.setattr(Image.Exif, "load", unpacked)
    for source in sources:
        with pytest.warns(ImageWarning, match="EXIF block is left out.*it claims more"):
            assert load_image(source, keep_metadata=True).exif is None
    with pytest.warns(ImageWarning, match="EXIF block is left out.*it claims more"):
        assert "exif" not in codec.decompress(data).info


def test_exif_in_the_text_of_a_png_is_read() -> None:
    exif = Image.Exif()
    exif[MAKE], exif[ORIENTATION] = "Box", 6
    kept = load_image(saved("PNG", pnginfo=raw_profile(exif.tobytes())), keep_metadata=True)
    assert kept.size == (12, 20)
    assert dict(read(kept.exif)) == {MAKE: "Box"}
    texts = PngInfo()
    texts.add_text("Raw profile type exif", "\nexif\n  3\nno digits")
    with pytest.warns(ImageWarning, match="EXIF block is left out: it cannot be read"):
        assert load_image(saved("PNG", pnginfo=texts)).size == (20, 12)


def test_thousands_of_numbers_in_a_tiff_are_left_out_and_cost_neither_image_nor_orientation() -> None:
    tags = ImageFileDirectory_v2()
    tags[ORIENTATION], tags[60_000] = 6, (1,) * 20_000
    data = saved("TIFF", tiffinfo=tags)
    assert load_image(data).size == (12, 20)
    with pytest.warns(ImageWarning, match="EXIF block is left out.*it holds more than 10000 numbers"):
        kept = load_image(data, keep_metadata=True)
    assert (kept.size, kept.exif) == ((12, 20), None)


def test_a_long_makers_note_and_some_hundred_numbers_are_no_false_claims() -> None:
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {37500: bytes(range(256)) * 200, 41730: bytes(5000)}
    exif[ExifTags.IFD.GPSInfo] = {2: (48.0, 8.0, 30.0)}
    for tag in range(60_000, 60_300):
        exif[tag] = (1, 2, 3, 4)
    kept = read(load_image(saved("PNG", exif=exif), keep_metadata=True).exif)
    assert kept.get_ifd(ExifTags.IFD.Exif)[37500] == bytes(range(256)) * 200
    assert all(kept[tag] == (1, 2, 3, 4) for tag in range(60_000, 60_300))


@given(st.binary(max_size=300))
def test_claims_of_noise_are_counted_without_harm(noise: bytes) -> None:
    for start in (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b""):
        with suppress(ValueError):
            check_claims(start + noise)


def test_a_tiff_has_exif_and_xmp_and_resolution(codec: Codec) -> None:
    exif = Image.Exif()
    exif[MAKE] = "Box"
    exif[ExifTags.IFD.Exif] = {36867: "2020:01:01 00:00:00"}
    source = saved("JPEG", exif=exif, xmp=XMP, dpi=(300, 300))
    image = codec.decompress(codec.compress(source, keep_metadata=True))
    with Image.open(io.BytesIO(encode_image(image, "TIFF", "x"))) as written:
        assert written.getexif()[MAKE] == "Box"
        assert written.getexif().get_ifd(ExifTags.IFD.Exif)[36867] == "2020:01:01 00:00:00"
        assert b"Tea" in written.info["xmp"]
        assert written.info["dpi"] == (300, 300)


@pytest.mark.parametrize("kind", ["BMP", "GIF", "PPM", "TGA"])
def test_what_a_format_drops_in_silence_is_said_and_its_colours_are_srgb(kind: str) -> None:
    profile = made_profile(CODED_PRIMARIES[12], SRGB_CURVE)
    image = Image.new("RGB", (8, 6), (200, 100, 50))
    image.info |= {"icc_profile": profile, "exif": exif_block(MAKER), "xmp": XMP}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ImageWarning)
        data = encode_image(image, kind, "x")
    said = " ".join(str(warning.message) for warning in caught if is_ours(warning))
    for what in ("the ICC profile", "the EXIF block", "the XMP packet"):
        assert f"{what} is left out: {kind} cannot hold it" in said
    with Image.open(io.BytesIO(data)) as written:
        found = written.convert("RGB").getpixel((3, 3))
    assert found == to_srgb(image, profile).getpixel((3, 3)) != (200, 100, 50)


@pytest.mark.parametrize("kind", ["GIF", "PCX", "TIFF", "BMP", "PPM", "TGA", "JPEG2000", "SGI"])
def test_formats_that_lose_colours_without_a_word_get_one(kind: str, small: Image.Image) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = encode_image(small, kind, "x")
    exact = Image.open(io.BytesIO(data)).convert("RGB").tobytes() == small.tobytes()
    said = [f"x: {kind} cannot hold all colours of this image; .png and .webp can"]
    assert [str(w.message) for w in caught] == ([] if exact else said)
    assert exact is (kind != "GIF")
