"""Damaged files: 20 000 mutations and truncations, all refused with our error, fast and in little memory.
Files made to waste memory: claims of pixels, and of bytes in tags.
"""

from __future__ import annotations

import io
import random
import resource
import struct
import tomllib
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fuzz.coded import hollow_codec
from fuzz.damage import mutated
from PIL import Image, features
from PIL.PngImagePlugin import PngInfo

import rdpcodec
from rdpcodec import Codec, FormatError, RdpError
from rdpcodec.engine.onnx import OnnxEngine
from rdpcodec.format import container
from rdpcodec.format.container import Container, Header, Segment, join_tiles
from rdpcodec.format.tiles import Box
from rdpcodec.image import ImageData, load_image
from rdpcodec.mosaic import CodedTiles

MUTATIONS = 20_000


@pytest.fixture(scope="module")
def seeds(codec: Codec, photograph: Image.Image) -> list[bytes]:
    """The seed corpus: plain, gray, with alpha, with metadata, tiny, large."""
    piece = photograph.crop((0, 0, 120, 70))
    tagged = piece.copy()
    tagged.getexif()[0x010F] = "Maker"
    transparent = piece.copy()
    transparent.putalpha(piece.convert("L"))
    return [
        codec.compress(piece, 30),
        codec.compress(piece.convert("L"), 60),
        codec.compress(transparent, 10),
        codec.compress(tagged, 50, keep_metadata=True),
        codec.compress(piece.crop((0, 0, 1, 1)), 0),
        codec.compress(photograph, 90),
    ]


def test_every_mutation_is_refused_before_a_network_runs(
    seeds: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = random.Random(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    monkeypatch.setattr(OnnxEngine, "from_symbols", lambda *_: pytest.fail("a network ran for damaged data"))
    tried = 0
    while tried < MUTATIONS:
        seed = generator.choice(seeds)
        data = mutated(seed, generator)
        if data == seed:
            continue
        tried += 1
        with pytest.raises(FormatError):
            rdpcodec.decompress(data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB


@pytest.mark.filterwarnings("ignore::rdpcodec.ImageWarning")
def test_mutations_with_a_repaired_checksum_decode_or_are_refused(seeds: list[bytes]) -> None:
    """What a hostile author can do causes no crash, no hang and no error but ours."""
    generator = random.Random(1)
    refused = 0
    for _ in range(400):
        body = mutated(generator.choice(seeds[:5]), generator)[:-4]
        data = body + zlib.crc32(body).to_bytes(4, "little")
        try:
            # A header may now claim a larger image, up to a few megapixels here.
            rdpcodec.decompress(data)
        except RdpError:
            refused += 1
    assert refused > 200


@pytest.mark.parametrize("size", [b"\xff\xff\xff\xff\x07\x01", b"\x80\x80\x04\x80\x80\x04"])
def test_a_header_that_claims_two_gigapixels_is_refused_at_once(
    seeds: list[bytes], size: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CodedTiles, "__init__", lambda *_: pytest.fail("its tiles were looked at"))
    body = seeds[0][:12] + size + seeds[0][14:-4]
    with pytest.raises(FormatError, match="pixels"):
        rdpcodec.decompress(body + zlib.crc32(body).to_bytes(4, "little"))


def test_a_small_file_that_claims_a_large_image_takes_a_bounded_share_of_memory() -> None:
    """The file has 64 kB and claims 16 megapixels. Memory holds Pillow's image, at 3 bytes a pixel, the
    latents of two rows of tiles, and the work on one tile.
    """
    codec = hollow_codec()
    header = Header(codec.weights.size, codec.weights.fingerprint, 50.0, 0.0, 4096, 4096)
    tile = Box(0, 0, 1024, 1024)
    zeros = codec.tile_codec.encode(codec.tile_codec.blank(tile, 50.0), 50.0)
    data = container.write(Container(header, {Segment.COLOUR: join_tiles([zeros] * 16)}))
    assert len(data) < 65_000
    latents = 4 * codec.engine.latents * 64 * 64  # float32, for one tile
    assert traced(lambda: codec.decompress(data)) < 3 * 4096**2 + (2 * 4 + 3) * latents + 8 * latents


def test_returning_gray_takes_a_byte_a_pixel() -> None:
    image = ImageData(np.zeros((3000, 2000, 3), np.uint8), gray=True)
    assert traced(image.to_pillow) < 1.2 * 3000 * 2000 + (16 << 20)


HEADER = b"II*\0" + struct.pack("<I", 8)  # of an EXIF block or a TIFF; its folder follows


def with_claims(before: bytes, own: bytes = b"") -> bytes:
    """What lies before a folder, and the folder: tags of its own, and 600 that all claim the same 50 kB."""
    tags, size = 600, 50_000
    place = len(before) + 2 + len(own) + 12 * tags + 4
    entries = own + b"".join(struct.pack("<HHII", 53_000 + i, 7, size, place) for i in range(tags))
    return before + struct.pack("<H", len(entries) // 12) + entries + bytes(4 + size)


def wasteful_jpeg(kind: int, data: bytes) -> bytes:
    """A JPEG with a segment in place of JFIF. Pillow then reads EXIF as it opens the file."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG")
    return b"\xff\xd8" + struct.pack(">BBH", 0xFF, kind, len(data) + 2) + data + buffer.getvalue()[20:]


def wasteful_tiff() -> bytes:
    """A TIFF with another folder behind it: with its tags, and those of `with_claims`."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "TIFF")
    tiff = buffer.getvalue()
    place = struct.unpack_from("<I", tiff, 4)[0]
    own = tiff[place + 2 : place + 2 + 12 * struct.unpack_from("<H", tiff, place)[0]]
    return with_claims(tiff[:4] + struct.pack("<I", len(tiff)) + tiff[8:], own)


def wasteful(kind: str) -> bytes:
    """An image of 16×16 pixels and less than 60 kB, whose tags claim 30 MB."""
    block = with_claims(HEADER)
    if kind == "JPEG":
        return wasteful_jpeg(0xE1, b"Exif\0\0" + block)
    if kind == "MPO":
        return wasteful_jpeg(0xE2, b"MPF\0" + block)
    if kind == "TIFF":
        return wasteful_tiff()
    options: dict[str, object] = {"exif": block}
    if kind == "PNG":  # as ImageMagick writes it; a chunk eXIf is in tests/image/test_metadata.py
        options = {"pnginfo": (texts := PngInfo())}
        texts.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=True)
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "AVIF", "WEBP", "TIFF"])
def test_tags_that_claim_the_same_bytes_again_and_again_take_no_memory(kind: str) -> None:
    if kind in ("AVIF", "WEBP") and not features.check(kind.lower()):
        pytest.skip(f"this Pillow was built without {kind}")
    data = wasteful(kind)
    assert len(data) < 60_000
    assert load_image(data).size == (16, 16)
    assert traced(lambda: load_image(data)) < 2 << 20
    assert traced(lambda: load_image(data, keep_metadata=True)) < 2 << 20


@pytest.mark.filterwarnings("ignore")
def test_the_tags_of_a_tiff_are_not_unpacked_unless_they_are_kept() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "TIFF", tiffinfo={60_000: (1000,) * 500_000})
    assert traced(lambda: load_image(buffer)) < 8 * len(buffer.getvalue())


def test_pillow_is_one_that_bounds_what_tags_claim() -> None:
    """No older one passes the test of tags above, and the tests run with the newest."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    assert "pillow>=13" in project["dependencies"]


def traced(work: Callable[[], object]) -> int:
    """The most bytes that Python and NumPy held at once during some work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
