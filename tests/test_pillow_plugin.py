from __future__ import annotations

import copy
import gc
import io
import pickle
import random
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz.damage import mutated
from image.made_png import chunk, png_with
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

import rdpcodec
from rdpcodec import Codec, ImageWarning, Target, UsageError, compress, decompress
from rdpcodec.format import container
from rdpcodec.format.container import Container, Segment
from rdpcodec.pillow_plugin import RdpImageFile

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta><rdf:Description dc:title="Tea"/></x:xmpmeta>'
ORIENTATION, MAKE = 0x0112, 0x010F


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "RDPC", **options)
    return buffer.getvalue()


def opened(data: bytes) -> RdpImageFile:
    image = Image.open(io.BytesIO(data))
    assert isinstance(image, RdpImageFile)
    return image


def exif_of(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[MAKE], exif[ORIENTATION] = "Maker", orientation
    return exif


@pytest.mark.parametrize(
    ("mode", "returned"),
    [("L", "L"), ("LA", "LA"), ("RGB", "RGB"), ("RGBA", "RGBA"), ("1", "L"), ("P", "RGB"), ("CMYK", "RGB")],
)
def test_every_mode_opens_as_what_it_decodes_to(small: Image.Image, mode: str, returned: str) -> None:
    image = opened(saved(small.convert(mode), exact_alpha=True))
    assert (image.mode, image.size) == (returned, small.size)
    image.load()
    assert (image.mode, image.size) == (returned, small.size)


def test_pixels_are_those_of_the_codec(codec: Codec, small: Image.Image, tmp_path: Path) -> None:
    small.save(tmp_path / "a.rdpc", quality=37.5)
    data = (tmp_path / "a.rdpc").read_bytes()
    assert data == codec.compress(small, 37.5)
    with Image.open(tmp_path / "a.rdpc") as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(codec.decompress(data)))
        assert Image.MIME[image.format or ""] == "image/x-rdpc"


def test_info_carries_the_operating_point(small: Image.Image) -> None:
    info = opened(saved(small, quality=12.34)).info
    assert info == {"quality": 12.34, "realism": 0.0, "model": "fast"}


def test_a_decoded_image_is_like_any_other(small: Image.Image) -> None:
    data = saved(small)
    thumbnail = opened(data)
    thumbnail.thumbnail((40, 40))
    assert thumbnail.size == (40, 27)
    changed = opened(data)
    changed.putpixel((0, 0), (1, 2, 3))
    assert changed.getpixel((0, 0)) == (1, 2, 3)
    pixels = (written := opened(data)).load()
    pixels[0, 0] = (1, 2, 3)
    assert written.getpixel((0, 0)) == (1, 2, 3)
    assert opened(saved(opened(data), quality=10)).info["quality"] == 10
    assert opened(data).rotate(90, expand=True).size == (67, 101)


def test_opening_and_verifying_import_neither_torch_nor_numpy(small: Image.Image, tmp_path: Path) -> None:
    small.save(tmp_path / "a.rdpc")
    script = (
        "import sys, rdpcodec.pillow_plugin\n"
        "from PIL import Image\n"
        "image = Image.open(sys.argv[1])\n"
        "print(image.size, image.mode, image.info['quality'])\n"
        "image.verify()\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    words = [sys.executable, "-c", script, str(tmp_path / "a.rdpc")]
    result = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == "(101, 67) RGB 50.0\n"


def test_opening_leaves_the_coded_image_unread(photograph: Image.Image) -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    file = Counting(saved(photograph, quality=90))
    image = Image.open(file, formats=["RDPC"])  # other plugins might be asked first, and read more
    assert image.size == photograph.size
    assert file.taken < 100 < len(file.getvalue())


def test_a_profile_is_kept_and_exif_only_when_given(small: Image.Image) -> None:
    tagged = small.copy()
    tagged.info |= {"icc_profile": PROFILE, "exif": exif_of().tobytes()}
    image = opened(saved(tagged))
    assert image.info["icc_profile"] == PROFILE
    assert "exif" not in image.info
    image = opened(saved(tagged, exif=tagged.getexif(), icc_profile=None))
    assert image.getexif()[MAKE] == "Maker"
    assert "icc_profile" not in image.info
    assert opened(saved(small, exif=exif_of().tobytes())).getexif()[MAKE] == "Maker"


def test_xmp_and_resolution_are_kept_when_given(small: Image.Image) -> None:
    data = saved(small, xmp=XMP, dpi=(300, 150))
    assert opened(data).info["xmp"] == XMP
    assert opened(data).info["dpi"] == rdpcodec.decompress(data).info["dpi"] == (300, 150)
    tagged = small.copy()
    tagged.info |= {"xmp": XMP, "dpi": (300, 150)}
    assert opened(saved(tagged)).info == opened(saved(small)).info


@pytest.mark.parametrize(("kind", "own"), [("JPEG", {}), ("TIFF", {}), ("TIFF", {"dpi": (72, 72)})])
def test_a_resolution_that_is_given_goes_before_all_others(
    small: Image.Image, kind: str, own: dict[str, Any]
) -> None:
    small.save(buffer := io.BytesIO(), kind, **own)
    exif = exif_of()
    exif[0x011A] = exif[0x011B] = 72.0
    with Image.open(buffer) as image:
        for options in ({}, {"exif": exif}):
            found = opened(saved(image, dpi=(300, 150), **options))
            assert found.info["dpi"] == (300, 150)
        assert found.getexif()[MAKE] == "Maker"
        assert "dpi" not in opened(saved(image)).info


def test_xmp_may_be_text_as_pillow_takes_it(small: Image.Image) -> None:
    assert saved(small, xmp=XMP.decode(), exif=exif_of()) == saved(small, xmp=XMP, exif=exif_of())


def test_exact_transparency_is_kept_when_asked_for(small: Image.Image) -> None:
    image = small.copy()
    image.putalpha(Image.linear_gradient("L").resize(small.size))
    files = [rdpcodec.compress(image, exact_alpha=exact) for exact in (False, True)]
    assert [saved(image, **options) for options in ({}, {"exact_alpha": True})] == files
    assert files[0] != files[1]


def test_a_setting_of_zero_is_a_setting(small: Image.Image) -> None:
    assert opened(saved(small, quality=0)).info["quality"] == 0
    info = opened(saved(small, preset="photo-real", realism=0)).info
    assert (info["quality"], info["realism"]) == (rdpcodec.PRESETS["photo-real"].quality, 0)


def test_readers_see_the_realism_that_was_asked_for(small: Image.Image) -> None:
    for realism in (0, 0.1, 0.5, 0.65, 1):
        assert opened(saved(small, realism=realism)).info["realism"] == realism


def test_a_file_is_closed_by_whoever_opened_it(small: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "a.rdpc"
    small.save(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        Image.open(path).load()
        gc.collect()
    assert not [warning for warning in caught if str(path) in str(warning.message)]
    with path.open("rb") as file:
        Image.open(file).load()
        assert not file.closed


@pytest.mark.parametrize("given", [True, False])
def test_orientation_is_applied_and_removed(small: Image.Image, given: bool) -> None:
    exif = exif_of(orientation=6)
    if given:
        image = opened(saved(small, exif=exif))
        assert image.getexif()[MAKE] == "Maker"
    else:
        tagged = small.copy()
        tagged.info["exif"] = exif.tobytes()
        image = opened(saved(tagged))
    assert image.size == (67, 101)
    assert ORIENTATION not in image.getexif()


def test_saving_leaves_the_image_as_it_was(small: Image.Image) -> None:
    tagged = small.copy()
    tagged.info["exif"] = exif_of(orientation=6).tobytes()
    before = dict(tagged.info)
    saved(tagged)
    assert (tagged.info, tagged.size) == (before, small.size)


def test_the_current_frame_of_an_animation_is_saved(small: Image.Image, tmp_path: Path) -> None:
    white = Image.new("RGB", small.size, "white")
    white.save(tmp_path / "a.gif", save_all=True, append_images=[Image.new("RGB", small.size, "black")])
    animation = Image.open(tmp_path / "a.gif")
    animation.seek(1)
    assert np.asarray(opened(saved(animation)).convert("L")).max() < 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": 101}, "quality 101 is outside"),
        ({"realism": 0.5}, "no realism setting"),
        ({"effort": 10}, "effort 10 is outside"),
    ],
)
@pytest.mark.usefixtures("no_realism")
def test_a_setting_that_cannot_be_had_leaves_no_file(
    small: Image.Image, tmp_path: Path, options: dict[str, float], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        small.save(tmp_path / "a.rdpc", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_realism")
def test_realism_is_refused_where_the_weights_lack_it(small: Image.Image) -> None:
    image = opened(saved(small))
    assert image.realism == 0
    with pytest.raises(UsageError, match="no realism setting"):
        image.realism = 0.5
    with pytest.raises(UsageError, match="outside"):
        image.realism = 1.5
    image.realism = 0
    image.load()
    with pytest.raises(UsageError, match="already been decoded"):
        image.realism = 0


def test_a_realism_that_was_set_reaches_the_decoder(
    small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def decompress(data: bytes, *, realism: float | None) -> Image.Image:
        asked.append(realism)
        return small

    monkeypatch.setattr("rdpcodec.functions.decompress", decompress)
    image, other = opened(saved(small)), opened(saved(small))
    image.realism = 0.5
    assert image.realism == 0.5
    image.load()
    other.load()
    assert asked == [0.5, None]


def test_verify_finds_a_flipped_bit_and_closes_the_file(small: Image.Image, tmp_path: Path) -> None:
    data = saved(small)
    path = tmp_path / "a.rdpc"
    path.write_bytes(data)
    image = Image.open(path)
    image.verify()
    with pytest.raises(OSError, match="open it again"):
        image.load()
    path.write_bytes(data[:-10] + bytes([data[-10] ^ 1]) + data[-9:])
    for check in (Image.Image.verify, Image.Image.load):
        image = Image.open(path)
        with pytest.raises(OSError, match=r"a\.rdpc: the checksum does not match"):
            getattr(image, check.__name__)()


def test_a_truncated_file_is_damaged_and_a_foreign_one_unidentified(small: Image.Image) -> None:
    data = saved(small)
    with pytest.raises(OSError, match="segment 1 claims") as caught:
        opened(data[:-20])
    assert not isinstance(caught.value, UnidentifiedImageError)
    for foreign in (b"RDP", b"RDP session, notes of", data[:3] + b"\3" + data[4:], data[:10]):
        with pytest.raises(UnidentifiedImageError):
            opened(foreign)


def test_a_file_for_other_weights_opens_and_does_not_load(small: Image.Image) -> None:
    data = saved(small)
    body = data[:5] + b"\0\0\0\0" + data[9:-4]
    image = opened(body + zlib.crc32(body).to_bytes(4, "little"))
    assert image.size == small.size
    with pytest.raises(OSError, match="needs weights fast-00000000"):
        image.load()


def test_an_alpha_channel_that_is_a_bomb_is_left_out(small: Image.Image) -> None:
    file = container.read(saved(small))
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    data = container.write(Container(file.header, file.segments | {Segment.ALPHA: bomb.getvalue()}))
    image = opened(data)
    assert image.mode == "RGBA"
    with pytest.warns(ImageWarning, match="alpha channel is left out"):
        image.load()
    assert (image.mode, image.size) == ("RGB", small.size)
    assert image.getpixel((0, 0)) == opened(saved(small)).getpixel((0, 0))


def test_pillows_own_limit_of_pixels_applies(small: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(small)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", small.width * small.height // 3)
    with pytest.raises(Image.DecompressionBombError):
        opened(data)


@pytest.mark.filterwarnings("ignore::rdpcodec.ImageWarning")
@pytest.mark.parametrize("repaired", [False, True])
def test_hostile_files_raise_oserrors_only(codec: Codec, small: Image.Image, repaired: bool) -> None:
    tagged = small.convert("RGBA").crop((0, 0, 50, 40))
    tagged.info["icc_profile"] = PROFILE
    seeds = [saved(tagged, exif=exif_of()), saved(small.convert("LA")), saved(small, quality=0)]
    generator = random.Random(0)
    refused = 0
    for _ in range(200 if repaired else 3000):
        data = mutated(generator.choice(seeds), generator)
        if repaired:
            data = data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")
        try:
            opened(data).verify()
            opened(data).load()
        except OSError:  # UnidentifiedImageError is one
            refused += 1
    assert refused > 100


def test_a_profile_of_another_colour_space_is_left_out(small: Image.Image) -> None:
    tagged = small.copy()
    tagged.info["icc_profile"] = PROFILE
    file = container.read(saved(tagged))
    gray = Container(file.header, {Segment.ICC: file.segments[Segment.ICC], Segment.GRAY: file.coded_image})
    with pytest.warns(ImageWarning, match="the ICC profile is left out"):
        assert "icc_profile" not in opened(container.write(gray)).info


def test_save_takes_a_model_a_target_and_a_preset(small: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "a.rdpc"
    small.save(path, model="fast")
    assert Image.open(path).info["model"] == "fast"
    with pytest.raises(rdpcodec.WeightsError, match="no model 'slow'"):
        small.save(path, model="slow")
    small.save(path, target=rdpcodec.Target.size(900))
    assert path.stat().st_size <= 900
    small.save(path, target=rdpcodec.Target.size("1MB"), quality=30)
    assert path.read_bytes() == rdpcodec.compress(small, 30)
    small.save(path, preset="thumbnail", effort=0)
    assert path.read_bytes() == rdpcodec.compress(small, rdpcodec.PRESETS["thumbnail"].quality)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "wob"}, "preset 'wob': must be one of archive, web"),
        ({"target": 900}, "target 900: give a rdpcodec.Target"),
        ({"target": rdpcodec.Target.psnr(30), "quality": 30}, "quality 30 and target 30 dB PSNR: give one"),
        ({"model": "slow"}, "there is no model 'slow'"),
    ],
)
def test_options_of_save_that_cannot_be_had_are_refused(
    small: Image.Image, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(rdpcodec.RdpError, match=message):
        small.save(tmp_path / "a.rdpc", **options)


def test_an_orientation_that_exif_and_xmp_both_give_is_applied_once(small: Image.Image) -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    small.save(buffer := io.BytesIO(), "JPEG", exif=exif_of(6), xmp=xmp)
    with Image.open(buffer) as photo:
        for options in ({}, {"xmp": xmp}, {"xmp": xmp, "exif": photo.info["exif"]}):
            assert opened(saved(photo, **options)).size == small.size[::-1]
    assert opened(saved(small, xmp=xmp)).size == small.size[::-1]  # nothing else says it


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda image: pickle.loads(pickle.dumps(image))]
)
def test_images_can_be_copied_and_pickled(small: Image.Image, copied: Callable[[Any], Any]) -> None:
    data = saved(small, quality=30, realism=0.5)
    image = copied(opened(data))
    np.testing.assert_array_equal(np.asarray(image), np.asarray(opened(data)))
    assert image.info == opened(data).info
    if isinstance(image, RdpImageFile):
        assert image.realism == opened(data).realism


def test_a_pickle_tells_the_realism_it_was_decoded_at_and_needs_no_info(small: Image.Image) -> None:
    image = opened(saved(small, quality=30, realism=0.5))
    image.realism = 1
    image.info.clear()
    for copied in (pickle.loads(pickle.dumps(image)), copy.deepcopy(image)):
        assert (copied.realism, copied.info) == (1, {})
        np.testing.assert_array_equal(np.asarray(copied), np.asarray(image))


@pytest.mark.filterwarnings("error::rdpcodec.ImageWarning")
def test_a_text_of_a_png_named_xmp_is_not_searched_for_an_orientation(small: Image.Image) -> None:
    chunks = PngInfo()
    chunks.add_text("xmp", "tiff:Orientation='6'")
    small.save(buffer := io.BytesIO(), "PNG", pnginfo=chunks)
    with Image.open(buffer) as image:
        copied = image.convert("RGB")  # whose `info` has the text, too
    assert copied.info["xmp"]
    assert opened(saved(copied)).size == small.size
    assert copied.info["xmp"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exif": "Exif"}, "exif is of type str: give bytes or Exif"),
        ({"xmp": 5}, "xmp is of type int: give bytes or str"),
        ({"icc_profile": ImageCms.createProfile("sRGB")}, "give bytes"),
        ({"dpi": 72}, "dpi 72: give two numbers"),
        ({"dpi": "72"}, "dpi '72': give two numbers"),
        ({"quality": Target.psnr(30), "target": Target.size(500)}, "give one of them"),
    ],
)
def test_options_of_save_of_other_kinds_are_refused(
    small: Image.Image, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        saved(small, **options)


def test_only_an_encoder_chooses_realism(small: Image.Image) -> None:
    with pytest.raises(UsageError, match="only an encoder can choose"):
        opened(saved(small)).realism = "auto"


def a_png_of_gamma_one(image: Image.Image) -> bytes:
    chunks = PngInfo()
    chunks.add(b"gAMA", (100_000).to_bytes(4, "big"))
    image.save(buffer := io.BytesIO(), "PNG", pnginfo=chunks)
    return buffer.getvalue()


def a_tiff_where_zero_is_white(image: Image.Image) -> bytes:
    values = np.asarray(image.convert("L")).astype(np.uint16) * 257
    Image.fromarray(values).save(buffer := io.BytesIO(), "TIFF", tiffinfo={262: 0})
    return buffer.getvalue()


def a_png_of_16_bits_with_a_transparent_colour(image: Image.Image) -> bytes:
    """All of it has that colour; Pillow writes no such file, so its chunks are made here."""
    width, height = image.size
    rows = (b"\0" + bytes([1, 2, 3, 4, 5, 6]) * width) * height

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = (
        (b"IHDR", header),
        (b"tRNS", bytes([1, 2, 3, 4, 5, 6])),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize(
    "made",
    [a_png_of_gamma_one, a_tiff_where_zero_is_white, a_png_of_16_bits_with_a_transparent_colour],
)
@pytest.mark.filterwarnings("ignore::rdpcodec.ImageWarning")
def test_saving_understands_pixels_as_compressing_their_file_does(
    small: Image.Image, made: Callable[[Image.Image], bytes]
) -> None:
    data = made(small)
    Image.open(io.BytesIO(data)).save(saved := io.BytesIO(), "RDPC", quality=50)
    found, expected = (
        decompress(file) for file in (saved.getvalue(), compress(data, 50, keep_metadata=True))
    )
    assert found.mode == expected.mode
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def warnings_of(call: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ImageWarning)
        call()
    return [str(warning.message) for warning in caught]


def coded_colours(primaries: int, transfer: int) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, 0, 1]))


def test_saving_understands_the_coded_colours_of_a_png(small: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_with(small, coded_colours(12, 13)))
    expected = compress(path, keep_metadata=True)
    profile = opened(expected).info["icc_profile"]
    assert saved(Image.open(path)) == expected
    assert saved(Image.open(path), icc_profile=None) == expected
    assert opened(saved(Image.open(path), icc_profile=PROFILE)).info["icc_profile"] == PROFILE != profile
    (image := Image.open(path)).thumbnail((50, 50))
    assert opened(saved(image)).info["icc_profile"] == profile
    path.write_bytes(b"RDP")
    assert "icc_profile" not in opened(saved(image)).info


def file_with_frames(path: Path, image: Image.Image) -> None:
    image.save(path, save_all=True, append_images=[image.rotate(180)])


def deep_png(path: Path, image: Image.Image) -> None:
    path.write_bytes(a_png_of_16_bits_with_a_transparent_colour(image))


def hdr_png(path: Path, image: Image.Image) -> None:
    path.write_bytes(png_with(image, coded_colours(9, 16)))


def deep_tiff(path: Path, image: Image.Image) -> None:
    """Pillow writes no 16-bit colours: a row of 8-bit ones becomes one of half as many pixels."""
    image.resize((100, 1)).save(path)
    data = path.read_bytes()
    for layout, before, after in (("<HHII", (256, 4, 1, 100), (256, 4, 1, 50)), ("<3H", [8] * 3, [16] * 3)):
        assert struct.pack(layout, *before) in data
        data = data.replace(struct.pack(layout, *before), struct.pack(layout, *after), 1)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "made", "message"),
    [
        ("a.gif", file_with_frames, "only the first of several frames is coded"),
        ("a.png", file_with_frames, "only the first of several frames is coded"),
        ("a.tif", file_with_frames, "only the first of several frames is coded"),
        ("a.webp", file_with_frames, "only the first of several frames is coded"),
        ("a.tif", deep_tiff, "16 bits a channel are coded as 8"),
        ("a.png", deep_png, "16 bits a channel are coded as 8"),
        ("a.png", hdr_png, "the image is HDR (PQ): its colours are taken as they stand"),
    ],
)
def test_saving_warns_as_compressing_the_file_does(
    small: Image.Image, tmp_path: Path, name: str, made: Callable[[Path, Image.Image], object], message: str
) -> None:
    made(path := tmp_path / name, small)
    expected = [text.removeprefix(f"{path}: ") for text in warnings_of(lambda: compress(path))]
    assert message in expected
    with Image.open(path) as image:
        assert warnings_of(lambda: saved(image)) == expected
        assert warnings_of(lambda: compress(image)) == expected


def test_a_later_frame_is_saved_without_a_warning(small: Image.Image, tmp_path: Path) -> None:
    file_with_frames(tmp_path / "a.gif", small)
    with Image.open(tmp_path / "a.gif") as image:
        image.seek(1)
        assert warnings_of(lambda: saved(image)) == []
