"""Hostile .rdpc files: every segment is damaged from within, but the file's own checksum is right."""

from __future__ import annotations

import io
import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

import rdpcodec.pillow_plugin  # noqa: F401  # teaches Pillow the format
from rdpcodec import Codec, RdpError, limits
from rdpcodec.engine.interface import Engine
from rdpcodec.errors import FormatError
from rdpcodec.format import container
from rdpcodec.format.container import Container, Segment, join_tiles, split_tiles
from rdpcodec.format.symbols import Symbols
from rdpcodec.format.tiles import Box, tiles_of

from .damage import damaged_png, several
from .seeds import SEEN, exif_seed, xmp_seed

# A header may claim any size; sizes over this limit are refused, so that cases stay quick.
MAX_PIXELS = 1 << 18
_ZLIB = (Segment.ICC, Segment.EXIF, Segment.XMP)
_VP8L_HEAD = 5  # bytes: a signature, both sides, whether alpha is used


class HollowEngine:
    """The integer path of an engine, which decides what a file means, without the networks that draw it."""

    def __init__(self, engine: Engine) -> None:
        self.latents, self.hyper_latents = engine.latents, engine.hyper_latents
        self.analysis_margin, self.synthesis_margin = engine.analysis_margin, engine.synthesis_margin
        self.tables, self.features = engine.tables, engine.features
        self.analyse, self.to_symbols = engine.analyse, engine.to_symbols

    def prepare(self, realism: float) -> None:
        """There is nothing to load."""

    def from_symbols(self, symbols: Sequence[Symbols], quality: float) -> np.ndarray:
        return np.zeros((len(symbols), *symbols[0].residual.shape), np.float32)

    def synthesise(self, latents: np.ndarray, quality: float, realism: float) -> np.ndarray:
        batch, _, height, width = latents.shape
        return np.zeros((batch, 16 * height, 16 * width, 3), np.uint8)


def hollow_codec() -> Codec:
    """A codec that decodes symbols and draws black."""
    codec = Codec()
    codec.engine = codec.tile_codec.engine = HollowEngine(codec.engine)
    return codec


def seeds(codec: Codec) -> list[Container]:
    """Files with every kind of segment, with sides of one to 4000 pixels."""
    image = Image.fromarray(SEEN)
    tagged = image.copy()
    tagged.putalpha(image.convert("L"))
    tagged.info |= {"exif": exif_seed(), "xmp": xmp_seed(), "icc_profile": image.info.get("icc_profile")}
    drawn = Image.new("RGB", (70, 50), "white")
    drawn.paste((200, 0, 0), (8, 8, 40, 30))
    wide = drawn.resize((1030, 9), Image.Resampling.NEAREST)  # of two tiles
    wide.putalpha(Image.fromarray(np.arange(9 * 1030, dtype=np.uint16).reshape(9, 1030).astype(np.uint8)))
    page = Image.new("RGB", (140, 90), "white")  # not all of it is in the exact layer
    page.paste(drawn, (0, 0))
    page.paste(image.resize((64, 48)), (76, 42))
    coded = [
        codec.compress(image, 30),
        codec.compress(image.convert("L"), 60),
        codec.compress(tagged, 10, keep_metadata=True),
        codec.compress(image.crop((0, 0, 1, 1)), 0),
        codec.compress(image.crop((0, 0, 17, 3)), 100),
        codec.compress(drawn, 90),
        codec.compress(wide, 90, exact_alpha=True),
        codec.compress(page, 50),
    ]
    return [container.read(data) for data in coded]


def hostile_file(files: Sequence[Container], generator: random.Random) -> bytes:
    """A file with one or two parts damaged, and a checksum that fits."""
    file = generator.choice(files)
    for _ in range(generator.randint(1, 2)):
        file = generator.choice(_WAYS)(file, generator)
    body = container.write(file)[:-4]
    if generator.random() < 0.1:
        body = several(body, generator)
    return body + zlib.crc32(body).to_bytes(4, "little")


def _other_header(file: Container, generator: random.Random) -> Container:
    changes = (
        {"quality": generator.randint(0, 10_000) / 100},
        {"realism": generator.randint(0, 255) / 255},
        {"width": generator.choice((1, 16, 17, 64, 300, 1025, 65_535))},
        {"height": generator.choice((1, 16, 17, 64, 300, 1025, 4000))},
        {"size": "base"},
    )
    header = replace(file.header, **generator.choice(changes))
    fits = header.width * header.height <= limits.MAX_PIXELS
    return replace(file, header=header) if fits else file


def _damaged_segment(file: Container, generator: random.Random) -> Container:
    kind = generator.choice(list(file.segments))
    payload = file.segments[kind]
    if kind == Segment.ALPHA:
        payload = damaged_png(payload, generator)
    elif kind in _ZLIB and generator.random() < 0.8:
        payload = zlib.compress(several(zlib.decompress(_whole(payload)), generator))
    else:
        payload = several(payload, generator)
        if generator.random() < 0.7:  # the entropy coder reads whole words
            payload = payload[: len(payload) & ~3]
    return replace(file, segments={**file.segments, kind: payload})


def damaged_layer(file: Container, generator: random.Random) -> Container:
    """Damage a tile of the alpha channel or of the exact layer from within, with all lengths right. A file
    with neither is returned as it is.
    """
    kinds = [kind for kind in (Segment.OPACITY, Segment.EXACT) if kind in file.segments]
    if not kinds:
        return file
    kind, tiles = generator.choice(kinds), tiles_of((file.header.width, file.header.height))
    try:
        parts = split_tiles(file.segments[kind], len(tiles))
    except FormatError:  # an earlier mutation has broken it
        return file
    number = generator.randrange(len(parts))
    parts[number] = _other_webp(parts[number], tiles[number], generator)
    return replace(file, segments={**file.segments, kind: join_tiles(parts)})


def _other_webp(coded: bytes, tile: Box, generator: random.Random) -> bytes:
    """VP8L data whose head fits the tile, or says something else; see `rdpcodec.format.exact_layer`."""
    way, head = generator.randrange(8), coded[:_VP8L_HEAD]
    if way == 0:
        return b""
    if way == 1 and tile.width * tile.height < 1 << 16:
        return _half_transparent(tile, generator)
    if way == 2 and len(head) == _VP8L_HEAD:
        return head[:-1] + bytes([head[-1] ^ 0x10]) + coded[_VP8L_HEAD:]  # whether alpha is used
    if way == 3:
        return several(coded, generator)
    return head + several(coded[_VP8L_HEAD:], generator)


def _half_transparent(tile: Box, generator: random.Random) -> bytes:
    buffer = io.BytesIO()
    image = Image.new("RGBA", (tile.width, tile.height), (1, 2, 3, generator.randrange(256)))
    image.save(buffer, "WEBP", lossless=True, exact=True)
    return buffer.getvalue()[20:]  # after RIFF's names and lengths


def _whole(payload: bytes) -> bytes:
    """The payload as a zlib stream; compressed anew if an earlier mutation has broken it."""
    try:
        zlib.decompress(payload)
    except zlib.error:
        return zlib.compress(payload)
    return payload


def _foreign_segment(file: Container, generator: random.Random) -> Container:
    kind = generator.choice((Segment.ICC, Segment.EXIF, Segment.XMP, Segment.ALPHA, Segment.EXACT))
    data = generator.randbytes(generator.randint(0, 60))
    segments = {**file.segments, kind: zlib.compress(data) if kind in _ZLIB else data}
    return replace(file, segments=segments)


_WAYS: tuple[Callable[[Container, random.Random], Container], ...] = (
    _other_header,
    _damaged_segment,
    _damaged_segment,
    _damaged_segment,
    damaged_layer,
    damaged_layer,
    _foreign_segment,
)


def decode(data: bytes, codec: Codec) -> bool:
    """Decode a file; returns whether it was taken. Raises any error that is not our own."""
    try:
        container.layout(io.BytesIO(data))
        image = codec.decompress(data, max_pixels=MAX_PIXELS)
    except RdpError:
        return False
    header, _ = container.read_header(data)
    assert image.size == (header.width, header.height)
    return True


def open_with_pillow(data: bytes) -> bool:
    """Open a file as Pillow does; returns whether it was taken. Raises any error that is not an `OSError`."""
    try:
        with Image.open(io.BytesIO(data), formats=["RDPC"]) as image:
            image.getexif()
    except OSError:
        return False
    return True
