"""Damaged files: 20 000 mutations and truncations, all refused with our error, fast and in little memory."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from fuzz.damage import mutated
from PIL import Image

import rdpcodec
from rdpcodec import Codec, FormatError, RdpError
from rdpcodec.engine.onnx import OnnxEngine
from rdpcodec.mosaic import CodedTiles

ROOT = Path(__file__).parents[1]
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
    monkeypatch.setattr(OnnxEngine, "dequantise", lambda *_: pytest.fail("a network ran for damaged data"))
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


@pytest.mark.filterwarnings("ignore::rdpcodec.image.PictureWarning")
def test_mutations_with_a_repaired_checksum_decode_or_are_refused(seeds: list[bytes]) -> None:
    """What a hostile author can do: no crash, no hang, no error but ours."""
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
    """38 bytes and 16 megapixels, gray, in a process of its own: what grows is some 9 bytes a pixel."""
    script = (
        "import resource\n"
        "from fuzz.coded import hollow_codec\n"
        "from rdpcodec.container import Container, Header, Segment, write\n"
        "from rdpcodec.tiles import join_tiles\n"
        "codec = hollow_codec()\n"
        "def file(side, tiles):\n"
        "    header = Header(codec.size, codec.fingerprint, 50.0, 0.0, side, side)\n"
        "    return write(Container(header, {Segment.GRAY: join_tiles([b''] * tiles)}))\n"
        "def peak(side, tiles):\n"
        "    assert codec.decompress(file(side, tiles)).size == (side, side)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(-peak(1024, 1) + peak(4096, 16))"
    )
    search = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    words = [sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": search}
    result = subprocess.run(words, capture_output=True, text=True, check=True, env=environment, timeout=300)
    assert int(result.stdout) * 1024 < 12 * 4096**2
