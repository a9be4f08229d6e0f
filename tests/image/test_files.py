"""Files as sources: frames, limits, and whatever decoders raise."""

from __future__ import annotations

import io
import itertools
import os
import struct
import subprocess
import sys
import threading
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageSequence, WmfImagePlugin
from PIL.PngImagePlugin import PngImageFile

from rdpcodec.errors import ImageError, UsageError
from rdpcodec.image import ImageWarning, load_image, readable_extensions
from rdpcodec.image import files as image_files

FRAME_COLOURS = ("red", "blue", "lime")


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def animation(kind: str) -> bytes:
    """Three frames, each of one colour."""
    first, *others = (Image.new("RGB", (8, 6), colour) for colour in FRAME_COLOURS)
    options = {"lossless": True} if kind == "WEBP" else {}
    return saved(first, kind, save_all=True, append_images=others, **options)


def colour_of(source: object) -> str:
    pixel = load_image(source).pixels[3, 4].astype(int)
    distance = [
        np.abs(pixel - Image.new("RGB", (1, 1), name).getpixel((0, 0))).sum() for name in FRAME_COLOURS
    ]
    return FRAME_COLOURS[int(np.argmin(distance))]


@pytest.mark.filterwarnings("ignore:only the first:rdpcodec.ImageWarning")
@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG"])
def test_the_frame_is_coded_that_the_caller_is_at(kind: str) -> None:
    image = Image.open(io.BytesIO(animation(kind)))
    for frame in (2, 1):
        image.seek(frame)
        assert colour_of(image) == FRAME_COLOURS[frame]
        assert image.tell() == frame
    frames = ImageSequence.Iterator(Image.open(io.BytesIO(animation(kind))))
    assert [colour_of(frame) for frame in frames] == list(FRAME_COLOURS)
    assert colour_of(animation(kind)) == "red"


def test_a_frame_that_was_chosen_is_not_warned_of() -> None:
    image = Image.open(io.BytesIO(animation("GIF")))
    with pytest.warns(ImageWarning, match="first of several frames"):
        load_image(image)
    image.seek(1)
    load_image(image)  # a warning is an error here


class Failing(ImageFile.ImageFile):
    """A decoder that raises what it is told to, on opening or on loading."""

    format = "FAILING"
    error: BaseException
    at_once = False

    def _open(self) -> None:
        if self.at_once:
            raise self.error
        self._mode, self._size = "RGB", (4, 4)

    def load(self) -> None:
        raise self.error


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> type[Failing]:
    Image.init()
    image_files.register_plugins()  # registers once per process, so before the list is replaced
    monkeypatch.setattr(Image, "ID", ["FAILING"])
    monkeypatch.setitem(Image.OPEN, "FAILING", (Failing, None))
    return Failing


@pytest.mark.parametrize(
    "error",
    [
        struct.error("bad\nfield"),
        TypeError("Missing dimensions"),
        AssertionError(),
        SyntaxError("not a TIFF file"),
        IndexError("0"),
        RuntimeError("AVIF"),
        NotImplementedError("DDS"),
        KeyError(5),
        RecursionError("deep"),
        UnicodeDecodeError("ascii", b"\xff", 0, 1, "ordinal"),
        ZeroDivisionError("x"),
        EOFError(),
        OSError("cannot identify"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("at_once", [False, True])
def test_whatever_a_decoder_raises_is_one_line_that_names_the_file(
    failing: type[Failing], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, at_once: bool
) -> None:
    monkeypatch.setattr(failing, "error", error, raising=False)
    monkeypatch.setattr(failing, "at_once", at_once)
    path = tmp_path / "odd.bin"
    path.write_bytes(b"odd")
    with pytest.raises(ImageError) as caught:
        load_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


def test_a_lazy_pillow_image_fails_like_a_file() -> None:
    data = saved(Image.effect_noise((64, 64), 50))
    with pytest.raises(ImageError, match="the given image: cannot be read"):
        load_image(Image.open(io.BytesIO(data[:-2000])))


def test_a_lack_of_memory_stays_one(failing: type[Failing], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failing, "error", MemoryError(), raising=False)
    with pytest.raises(MemoryError):
        load_image(b"odd")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "GIF", "JPEG", "BMP"])
def test_pillows_limit_of_pixels_is_not_ours(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    data = saved(Image.new("RGB", (70, 50), "red"), kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow refuses images of more than twice this
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_image(data).size == (70, 50)
    assert Image.MAX_IMAGE_PIXELS == 1000
    with pytest.raises(ImageError, match=r"70×50 pixels is over the limit of 34\d\d pixels"):
        load_image(data, max_pixels=3400)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_pillows_limit_is_as_before_after_two_threads_have_passed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both threads find the limit too low before either raises it; the first thread leaves first."""
    data = saved(Image.new("RGB", (70, 50), "red"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    first, over_limit = threading.get_ident(), image_files._over_pillows_limit
    second_has_asked, first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(4))

    def asked(image: Image.Image) -> bool:
        over = over_limit(image)
        if threading.get_ident() != first:
            second_has_asked.set()
            first_is_in.wait(30)
        return over

    def second() -> None:
        with image_files.opened(data):
            second_is_in.set()
            first_is_out.wait(30)

    monkeypatch.setattr(image_files, "_over_pillows_limit", asked)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(second)
        second_has_asked.wait(30)
        with image_files.opened(data):
            first_is_in.set()
            second_is_in.wait(0.2)  # times out: the second enters once the first has left
        first_is_out.set()
        running.result()
    assert Image.MAX_IMAGE_PIXELS == 3000


def test_a_limit_that_another_thread_has_raised_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else this image would be decoded under the low limit, once that thread has restored it."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    with image_files.opened(saved(Image.new("RGB", (70, 50), "red"))):
        assert image_files._over_pillows_limit(Image.new("L", (70, 50)))
        assert not image_files._over_pillows_limit(Image.new("L", (50, 50)))


@pytest.mark.parametrize("source", ["array", "image", "tensor"])
def test_max_pixels_holds_for_every_source(source: str) -> None:
    import torch

    array = np.zeros((50, 70, 3), np.uint8)
    given = {"array": array, "image": Image.fromarray(array), "tensor": torch.zeros(3, 50, 70)}[source]
    assert load_image(given, max_pixels=3500).size == (70, 50)
    with pytest.raises(ImageError, match="over the limit"):
        load_image(given, max_pixels=3499)


def test_reading_in_threads_leaves_the_filters_of_warnings_alone() -> None:
    data = saved(Image.new("RGB", (8, 8)))
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(load_image, itertools.repeat(data, 200)))
    assert warnings.filters == before


def test_a_file_is_read_by_its_content_in_the_formats_allowed() -> None:
    data = saved(Image.new("RGB", (8, 8)), "GIF")
    assert load_image(data, formats=["PNG", "GIF"]).size == (8, 8)
    with pytest.raises(ImageError, match="not an image in one of the formats PNG, JPEG"):
        load_image(data, formats=["PNG", "JPEG"])
    with pytest.raises(UsageError, match=r"formats 'GIF': give a list, such as \['GIF'\]"):
        load_image(data, formats="GIF")


@pytest.mark.parametrize(
    ("kind", "name"),
    [("JPEG", "JPEG"), ("JPEG", "jpeg"), ("MPO", "JPEG"), ("WEBP", "WEBP"), ("HEIF", "HEIF")],
)
def test_a_fresh_process_reads_the_formats_allowed(kind: str, name: str, tmp_path: Path) -> None:
    """In this one, other tests have imported all plugins."""
    image, path = Image.new("RGB", (8, 6)), tmp_path / "image"
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    image.save(path, kind, **({"save_all": True, "append_images": [image]} if kind == "MPO" else {}))
    script = (
        "import sys, rdpcodec.image\n"
        "print(rdpcodec.image.load_image(sys.argv[1], formats=[sys.argv[2]]).size)"
    )
    words = [sys.executable, "-W", "ignore", "-c", script, str(path), name]
    run = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert run.stdout == "(8, 6)\n", run.stderr


def polyglot() -> bytes:
    """A TIFF of 8×8 pixels that is also an IM file of 2000×2000 pixels."""
    text = b"Image type: 0 1 image\r\nImage size (x*y): 2000*2000\r\n"
    head = (b"II*\0" + struct.pack("<I", 512) + b"\r\n" + text).ljust(511, b"\0") + b"\x1a"
    entries = ((256, 3, 8), (257, 3, 8), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 600), (279, 4, 64))
    packed = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return (head + struct.pack("<H", len(entries)) + packed + bytes(4)).ljust(500_512, b"\0")


def test_a_polyglot_is_what_the_allowed_formats_say() -> None:
    for formats in (["TIFF"], ["PNG", "TIFF"], ["TIFF", "PNG"]):
        assert load_image(polyglot(), formats=formats).size == (8, 8)


def scans_repeated(count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    data = saved(Image.effect_noise((64, 64), 50), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded() -> None:
    assert load_image(scans_repeated(50)).size == (64, 64)
    with pytest.raises(ImageError, match="more than 100 scans"):
        load_image(scans_repeated(5000))


def test_a_first_image_of_several_in_a_jpeg_is_held_to_the_same_number_of_scans() -> None:
    noise = Image.effect_noise((64, 64), 50)
    data = saved(noise, "MPO", save_all=True, append_images=[noise], progressive=True)
    end = data.index(b"\xff\xd9")
    last = data.rindex(b"\xff\xda", 0, end)
    heavy = data[:last] + data[last:end] * 200 + data[end:]
    with Image.open(io.BytesIO(heavy)) as image:
        assert image.format == "MPO"
    with pytest.raises(ImageError, match="more than 100 scans"):
        load_image(heavy)


def in_iptc(data: bytes) -> bytes:
    """An IPTC file of 16×16 pixels, by what it says, that holds a JPEG."""

    def field(record: int, number: int, value: bytes) -> bytes:
        return struct.pack(">BBBH", 0x1C, record, number, len(value)) + value

    sides = (struct.pack(">I", 16) for _ in range(2))
    fields = ((60, b"\x01\x00"), *zip((20, 30), sides, strict=True), (120, b"\x05"))
    return b"".join(field(3, *pair) for pair in fields) + field(8, 10, data)


def test_files_that_hold_other_files_or_run_programs_are_read_only_on_request() -> None:
    gray = saved(Image.new("L", (16, 16), 99), "JPEG")
    with pytest.raises(ImageError, match="not an image in a format"):
        load_image(in_iptc(gray))
    assert load_image(in_iptc(gray), formats=["IPTC"]).size == (16, 16)
    postscript = saved(Image.new("L", (16, 16)), "EPS")
    with pytest.raises(ImageError, match=r"EPS files are read only by load_image\(…, formats=\['EPS'\]\)"):
        load_image(postscript)
    textures = saved(Image.new("P", (16, 16)), "BLP")
    with pytest.raises(ImageError, match="BLP files are read only by"):
        load_image(textures)
    assert load_image(textures, formats=["BLP"]).size == (16, 16)
    assert not readable_extensions() & {".eps", ".ps", ".blp", ".iim"}


def test_a_file_in_a_file_is_held_to_the_limit_of_pixels() -> None:
    large = in_iptc(saved(Image.new("L", (80, 80), 99), "JPEG"))
    with pytest.raises(ImageError, match="80×80 pixels is over the limit of 1000 pixels"):
        load_image(large, formats=["IPTC"], max_pixels=1000)


def test_scans_are_counted_outside_of_metadata() -> None:
    plain = saved(Image.effect_noise((64, 64), 50), "JPEG", progressive=True)
    comment = b"\xff\xda\0\x08" * 1000
    noisy = plain[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + plain[2:]
    assert image_files.scans_of(noisy) == image_files.scans_of(plain) == plain.count(b"\xff\xda")


def test_what_follows_the_end_of_a_jpeg_is_no_scan() -> None:
    plain = saved(Image.effect_noise((64, 64), 50), "JPEG")
    followed = plain + bytes(2) + b"\xff\xda\0\x02" * 200
    assert image_files.scans_of(followed) == image_files.scans_of(plain)
    assert load_image(followed).size == (64, 64)


def test_pipes_and_members_of_archives_are_read(tmp_path: Path) -> None:
    data = saved(Image.new("RGB", (8, 6), "red"))

    class Pipe(io.RawIOBase):
        """Can be read once."""

        def __init__(self) -> None:
            self.rest = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object) -> int:
            return self.rest.readinto(buffer)  # type: ignore[arg-type]

    assert load_image(io.BufferedReader(Pipe())).size == (8, 6)
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("a.png", data)
    with zipfile.ZipFile(archive) as reader, reader.open("a.png") as member:
        assert load_image(member).size == (8, 6)


def test_an_unbuffered_pipe_is_read() -> None:
    data = saved(Image.new("RGB", (8, 6), "red"))
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", 0) as pipe:
        with os.fdopen(writing, "wb") as end:
            end.write(data)
        assert load_image(pipe).size == (8, 6)


def test_an_rdpc_file_is_read_only_if_it_is_asked_for(tmp_path: Path) -> None:
    """Importing the plugin for Pillow changes nothing."""
    import rdpcodec.pillow_plugin

    path = tmp_path / "a.rdpc"
    path.write_bytes(rdpcodec.compress(Image.new("RGB", (8, 6), "red")))
    with pytest.raises(ImageError, match="compressed already"):
        load_image(path)
    assert load_image(path, formats=["RDPC"]).size == (8, 6)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (io.TextIOWrapper(io.BytesIO(b"\x89PNG")), "open as text"),
        (io.StringIO("text"), "open as text"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC needs a plugin|cannot be read|not an image"),
        (b"\xff\x0a" + bytes(30), "JPEG XL needs a plugin|cannot be read|not an image"),
        (b"rubbish", "not an image in a format that Pillow reads"),
        (b"%PDF-1.7\n", "PDF has no pixels of its own: render it first"),
        (b"\n<?xml version='1.0'?><svg/>", "SVG has no pixels of its own: render it first"),
    ],
)
def test_why_a_file_is_no_image_is_said(data: object, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        load_image(data)


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\xff\x0a" + bytes(30), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    ],
)
def test_a_plugin_is_asked_for_only_where_it_is_missing(
    data: bytes, name: str, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.init()
    image_files.register_plugins()
    # As if no installed plugin took the file.
    monkeypatch.setattr(Image, "ID", [])
    monkeypatch.setattr(Image, "OPEN", {"PNG": Image.OPEN["PNG"]})
    monkeypatch.setattr(image_files, "register_plugins", lambda: frozenset({name} if installed else ()))
    in_pillow = {"HEIC": "HEIF", "JPEG XL": "JXL"}[name]
    for formats, asked in (
        (None, True),
        (["PNG", in_pillow], True),
        ([in_pillow.lower()], True),
        (["PNG"], False),
    ):
        with pytest.raises(ImageError) as caught:
            load_image(data, formats=formats)
        assert (f"{name} needs a plugin" in str(caught.value)) == (asked and not installed)


@pytest.mark.parametrize(
    ("module", "kind", "suffix"), [("pillow_heif", "HEIF", ".heic"), ("pillow_jxl", "JXL", ".jxl")]
)
def test_formats_of_installed_plugins_are_read_and_written(module: str, kind: str, suffix: str) -> None:
    pytest.importorskip(module)
    from rdpcodec.image import encode_image, writable_format

    assert suffix in readable_extensions()
    assert writable_format(suffix) == kind
    image = Image.linear_gradient("L").convert("RGB")
    read = load_image(encode_image(image, kind, "x")).pixels
    assert np.abs(read.astype(int) - np.asarray(image)).max() < 8


def test_metafiles_are_readable_where_pillow_can_draw_them() -> None:
    drawn = WmfImagePlugin.WmfStubImageFile._handler is not None  # on Windows
    assert (readable_extensions() >= {".wmf", ".emf"}) == drawn
    assert drawn or not readable_extensions() & {".wmf", ".emf"}


@pytest.mark.filterwarnings("ignore:IM image format:DeprecationWarning")
def test_every_extension_that_pillow_writes_and_can_read_again_counts_as_readable() -> None:
    image = Image.linear_gradient("L").resize((16, 16)).convert("RGB")
    for suffix, kind in tuple(Image.registered_extensions().items()):
        try:
            load_image(saved(image, kind))  # not what is read on request alone
        except (OSError, KeyError, ValueError):  # cannot be written, or not from RGB, or not be read
            continue
        assert suffix in readable_extensions() | {".rdpc"}  # which other tests register


def test_a_run_of_filling_bytes_is_passed_in_one_go() -> None:
    """Scanning anew from each byte of the run would take hours, so markers are matched by a single FF."""
    plain = saved(Image.effect_noise((64, 64), 50), "JPEG", progressive=True)
    filled = plain[:2] + b"\xff" * 2_000_000 + plain[2:] + b"\xff" * 2_000_000 + b"\0"
    assert image_files.scans_of(filled) == image_files.scans_of(plain)


def test_an_error_of_a_decoder_is_that_of_the_file_however_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = saved(Image.new("RGB", (8, 6), "red"))

    def fail(self: Image.Image) -> None:
        raise AttributeError("odd")

    monkeypatch.setattr(PngImageFile, "load", fail)
    for source in (data, io.BytesIO(data)):
        with pytest.raises(ImageError, match="cannot be read: odd"):
            load_image(source)
