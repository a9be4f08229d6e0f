"""Damaged files: 20 000 mutations and truncations, all refused with our error, fast and in little memory."""

from __future__ import annotations

import random
import resource
import zlib

import pytest
from PIL import Image

import rdpcodec
from rdpcodec import Codec, FormatError, RdpError
from rdpcodec.engine.onnx import OnnxEngine
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


def mutated(data: bytes, generator: random.Random) -> bytes:
    """One of: bits flipped, bytes replaced, a stretch cut, doubled, zeroed or moved, the file cut short."""
    damaged = bytearray(data)
    position, length = generator.randrange(len(data)), generator.randint(1, 16)
    kind = generator.randrange(7)
    if kind == 0:
        damaged[position] ^= 1 << generator.randrange(8)
    elif kind == 1:
        damaged[position : position + length] = generator.randbytes(length)
    elif kind == 2:
        del damaged[position : position + length]
    elif kind == 3:
        damaged[position:position] = damaged[position : position + length]
    elif kind == 4:
        damaged[position : position + length] = bytes(length)
    elif kind == 5:
        stretch = damaged[position : position + length]
        del damaged[position : position + length]
        target = generator.randrange(len(damaged) + 1)
        damaged[target:target] = stretch
    else:
        del damaged[position:]
    return bytes(damaged)


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
