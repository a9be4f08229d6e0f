"""The decoder's modules in Node: whatever needs no networks equals Python's, to the last bit."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from fuzz.coded import MAX_PIXELS, hollow_codec, hostile_file, seeds
from fuzz.damage import damaged_png, mutated
from made_vp8l import ODD, Bits, Code, RandomImage
from PIL import Image, ImageDraw
from web_site import Probe

from rdpcodec import Codec, RdpError
from rdpcodec.errors import FormatError
from rdpcodec.format import container
from rdpcodec.format.container import Container, Header, Segment
from rdpcodec.format.exact_layer import WebPEffort, encode
from rdpcodec.format.side_data import alpha_from_png
from rdpcodec.image import ImageData

GOLDEN = Path(__file__).parents[1] / "golden"


def test_symbols_of_golden_files_are_equal(probe: Probe, tmp_path: Path) -> None:
    records = json.loads((GOLDEN / "symbols.json").read_text())
    for name in records:
        (tmp_path / name).write_bytes((GOLDEN / f"{name}.rdpc").read_bytes())
    assert probe("symbols", tmp_path) == {name: record["symbols_sha256"] for name, record in records.items()}


@pytest.mark.parametrize("quality", [0, 7.14, 43.21, 71.43, 100])
def test_symbols_are_equal_between_knots_and_with_escapes(
    probe: Probe, codec: Codec, small: Image.Image, tmp_path: Path, quality: float
) -> None:
    """Noise at full contrast is so unlike a photograph that some residuals fall outside their tables."""
    noise = np.random.default_rng(0).integers(0, 2, (48, 80, 3), dtype=np.uint8) * 255
    expected = {}
    for name, pixels in (("photograph", np.asarray(small)), ("noise", noise)):
        ((symbols,),) = codec.analyse([ImageData(pixels)], quality)
        height, width, _ = pixels.shape
        header = Header(codec.weights.size, codec.weights.fingerprint, quality, 0, width, height)
        data = container.write(Container(header, {Segment.COLOUR: codec.tile_codec.encode(symbols, quality)}))
        (tmp_path / name).write_bytes(data)
        expected[name] = symbols_digest(codec, data)
    assert probe("symbols", tmp_path) == expected


def symbols_digest(codec: Codec, data: bytes) -> str:
    """The digest as in tests/golden/symbols.json."""
    digest = hashlib.sha256()
    for tile in codec.decode_symbols([container.read(data)])[0]:
        for array, kind in ((tile.hyper, "<i4"), (tile.tables, "u1"), (tile.residual, "<i4")):
            digest.update(array.astype(kind).tobytes())
    return digest.hexdigest()


@pytest.mark.filterwarnings("ignore::rdpcodec.ImageWarning")
def test_hostile_files_are_taken_or_refused_as_python_does(probe: Probe, tmp_path: Path) -> None:
    """Every segment damaged from within: both give the same pixels, or both raise `FormatError`."""
    codec, generator = hollow_codec(), random.Random(0)
    files, expected = seeds(codec), {}
    for number in range(250):
        data = hostile_file(files, generator)
        (tmp_path / f"{number:03}").write_bytes(data)
        expected[f"{number:03}"] = hollow_digest(codec, data)
    found = probe("pixels", tmp_path)
    assert found == expected
    assert 50 < sum(name.endswith("Error") for name in found.values()) < 200


def hollow_digest(codec: Codec, data: bytes) -> str:
    """The digest of a file's RGBA, with all that networks would draw left black, or the error's name."""
    try:
        image = codec.decompress(data, max_pixels=MAX_PIXELS)
    except RdpError as error:
        return type(error).__name__
    return hashlib.sha256(np.asarray(image.convert("RGBA")).tobytes()).hexdigest()


def test_files_that_say_an_image_otherwise_are_refused(
    probe: Probe, codec: Codec, small: Image.Image, tmp_path: Path
) -> None:
    """A segment given twice, one of an unknown kind, another version: each with a valid checksum."""
    data = codec.compress(small, 30)
    header, segments = data[:14], data[14:-4]
    bodies = {
        "whole": header + segments,
        "even": header + b"\x64\x01x" + segments,
        "odd": header + b"\x65\x01x" + segments,
        "twice": header + b"\x08\x00\x08\x00" + segments,
        "after": header + segments + b"\x08\x00",
        "none": header,
        "version": header[:3] + b"\x02" + header[4:] + segments,
        "later": header[:3] + b"\x03" + header[4:] + segments,
        "number": header[:12] + b"\xe5\x00" + header[13:] + segments,
    }
    for name, body in bodies.items():
        (tmp_path / name).write_bytes(body + zlib.crc32(body).to_bytes(4, "little"))
    found = probe("symbols", tmp_path)
    assert found.pop("whole") == found.pop("even") == symbols_digest(codec, data)
    assert set(found.values()) == {"FormatError"}


def drawings() -> list[tuple[np.ndarray, np.ndarray]]:
    """Pixels and masks that take WebP through all its transforms: few colours and many, noise, repeats."""
    generator = np.random.default_rng(0)
    found = []
    for number in range(48):
        height, width = generator.integers(1, 200, 2)
        palette = generator.integers(0, 256, ((2, 4, 16, 200, 4096, 1 << 16)[number % 6], 3), dtype=np.uint8)
        smooth = np.add.outer(np.arange(height) // 3, np.arange(width) // 2) * (number % 3)
        noise = generator.integers(0, len(palette), (height, width))
        pixels = palette[np.where(generator.random((height, width)) < 0.2, noise, smooth) % len(palette)]
        if number % 4 == 3:
            image = Image.fromarray(pixels)
            ImageDraw.Draw(image).text((3, 3), "Words, words, words", (255, 255, 255))
            pixels = np.asarray(image)
        mask = np.ones((height, width), bool) if number % 2 else generator.random((height, width)) < 0.6
        mask[0, 0] = True
        found.append((pixels, mask))
    return found


def test_lossless_webp_is_read_as_pillow_reads_it(probe: Probe, tmp_path: Path) -> None:
    expected = {}
    for number, (pixels, mask) in enumerate(drawings()):
        coded = encode(pixels, mask, WebPEffort(number % 7, 15 * (number % 7)))
        (tmp_path / f"{number:03}").write_bytes(coded)
        expected[f"{number:03}"] = hashlib.sha256(with_pillow(coded)).hexdigest()
    assert probe("webp", tmp_path) == expected


def with_pillow(coded: bytes) -> bytes:
    """RGBA of a VP8L chunk's data."""
    chunk = b"WEBPVP8L" + struct.pack("<I", len(coded)) + coded + bytes(len(coded) % 2)
    with Image.open(io.BytesIO(b"RIFF" + struct.pack("<I", len(chunk)) + chunk)) as image:
        return np.asarray(image.convert("RGBA")).tobytes()


def test_damaged_lossless_webp_is_refused_or_read_as_pillow_reads_it(probe: Probe, tmp_path: Path) -> None:
    generator, expected = random.Random(0), {}
    coded = [encode(pixels, mask, WebPEffort(4, 75)) for pixels, mask in drawings()]
    for number in range(400):
        data = mutated(generator.choice(coded), generator)
        if len(data) >= 5 and damaged_size(data) > MAX_PIXELS:
            continue
        (tmp_path / f"{number:03}").write_bytes(data)
        expected[f"{number:03}"] = with_pillow_or_refused(data)
    found = probe("webp", tmp_path)
    assert found == expected
    assert 100 < sum(digest == "FormatError" for digest in found.values()) < len(found)


def with_pillow_or_refused(coded: bytes) -> str:
    """The digest of RGBA of a VP8L chunk's data, or the name of our error."""
    try:
        return hashlib.sha256(with_pillow(coded)).hexdigest()
    except Exception:  # Pillow's manual advises catching everything
        return "FormatError"


def test_lossless_webp_that_no_encoder_writes_is_read_as_pillow_reads_it(
    probe: Probe, tmp_path: Path
) -> None:
    made = {f"{seed}": RandomImage(random.Random(seed)).bytes() for seed in range(100)} | ODD
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    found = probe("webp", tmp_path)
    assert found == {name: with_pillow_or_refused(data) for name, data in made.items()}
    assert 20 < sum(digest == "FormatError" for digest in found.values()) < 80


def test_a_prefix_code_is_kept_in_numbers_by_the_symbols_that_it_uses(probe: Probe, tmp_path: Path) -> None:
    """A small file may have 327680 codes, over up to 2328 symbols each."""
    codes = {
        "one": (Code({7: 1}), [1, 1]),
        "two": (Code({7: 1, 200: 1}), [2, 2]),
        "two far": (Code({7: 1, 2300: 1}), [2, 2]),
        "three": (Code({7: 1, 200: 2, 2300: 2}), [3, 4]),
        "deep": (Code({depth: min(depth, 9) for depth in range(1, 11)}), [10, 258]),
        "many": (Code(dict.fromkeys(range(2048), 11)), [2048, 256 + 2048]),
    }
    for name, (code, _) in codes.items():
        bits = Bits()
        code.write_itself(bits, 2328)
        (tmp_path / name).write_bytes(bits.bytes())
    assert probe("kept", tmp_path) == {name: kept for name, (_, kept) in codes.items()}


def damaged_size(coded: bytes) -> int:
    """The number of pixels that VP8L data claims."""
    bits = int.from_bytes(coded[1:5], "little")
    return ((bits & 0x3FFF) + 1) * ((bits >> 14 & 0x3FFF) + 1)


def test_alpha_channels_of_version_1_are_taken_or_refused_as_python_does(
    probe: Probe, tmp_path: Path
) -> None:
    """PNGs in 8-bit gray, with filters chosen by Pillow, and a few hundred damaged ones."""
    generator, expected = random.Random(0), {}
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8)
    ramps = np.add.outer(np.arange(40) * 3, np.arange(60) * 2).astype(np.uint8)
    wholes = [png_of(array) for array in (pixels, ramps, pixels // 64 * 64, ramps[:1], ramps[:, :1])]
    damaged = [damaged_png(generator.choice(wholes), generator) for _ in range(300)]
    torn = [mutated(generator.choice(wholes), generator) for _ in range(100)]  # with wrong checksums
    for number, data in enumerate(wholes + damaged + torn):
        if len(data) < 24 or (size := struct.unpack_from(">II", data, 16))[0] * size[1] > MAX_PIXELS:
            continue
        (tmp_path / f"{number:03}").write_bytes(data)
        try:
            expected[f"{number:03}"] = hashlib.sha256(alpha_from_png(data, size).tobytes()).hexdigest()
        except FormatError:
            expected[f"{number:03}"] = "FormatError"
    found = probe("png", tmp_path)
    assert found == expected
    assert "FormatError" not in [found[f"{number:03}"] for number in range(len(wholes))]
    assert 20 < sum(digest != "FormatError" for digest in found.values()) < len(found) / 2


def png_of(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def test_the_png_that_is_shown_and_saved_holds_the_pixels(probe: Probe, tmp_path: Path) -> None:
    arrays = {}
    for height, width in ((1, 1), (3, 700), (900, 500)):
        name = f"{height}x{width}"
        array = np.random.default_rng(height).integers(0, 256, (height, width, 4), dtype=np.uint8)
        arrays[name] = array
        (tmp_path / name).write_bytes(struct.pack("<II", width, height) + array.tobytes())
    for name, written in probe("written", tmp_path).items():
        with Image.open(io.BytesIO(base64.b64decode(written))) as image:
            assert image.mode == "RGBA"
            np.testing.assert_array_equal(np.asarray(image), arrays[name])


def test_a_tile_list_that_does_not_add_up_is_refused(
    probe: Probe, codec: Codec, photograph: Image.Image, tmp_path: Path
) -> None:
    file = container.read(codec.compress(photograph.resize((1100, 40)), 30))
    for name, payload in (("long", file.coded_image + b"\0"), ("short", file.coded_image[:-4])):
        changed = Container(file.header, {**file.segments, Segment.COLOUR: payload})
        (tmp_path / name).write_bytes(container.write(changed))
    assert set(probe("symbols", tmp_path).values()) == {"FormatError"}
