"""Ways to damage bytes, and to make the checksums of a PNG right again."""

from __future__ import annotations

import random
import struct
import zlib

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
EDGES = (0, 1, 0x7F, 0x80, 0xFF)


def mutated(data: bytes, generator: random.Random) -> bytes:
    """One of: a bit flipped, bytes replaced, a stretch cut, doubled, zeroed or moved, the data cut short."""
    if not data:
        return generator.randbytes(4)
    damaged = bytearray(data)
    position, length = generator.randrange(len(data)), generator.randint(1, 16)
    kind = generator.randrange(8)
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
    elif kind == 6:
        damaged[position] = generator.choice(EDGES)
    else:
        del damaged[position:]
    return bytes(damaged)


def several(data: bytes, generator: random.Random) -> bytes:
    """One to four mutations, one after the other."""
    for _ in range(generator.randint(1, 4)):
        data = mutated(data, generator)
    return data


def damaged_png(data: bytes, generator: random.Random) -> bytes:
    """A PNG with one chunk damaged, doubled, moved, dropped or made up, and all checksums right."""
    chunks = _chunks(data)
    if not chunks:
        return several(data, generator)
    number = generator.randrange(len(chunks))
    kind, body = chunks[number]
    way = generator.randrange(6)
    if way < 2:
        chunks[number] = (kind, several(body, generator))
    elif way == 2:
        chunks.insert(generator.randrange(len(chunks) + 1), chunks[number])
    elif way == 3:
        del chunks[number]
    elif way == 4:
        chunks[number] = (_NAMES[generator.randrange(len(_NAMES))], body)
    else:
        made = (generator.choice(_NAMES), generator.randbytes(generator.randint(0, 40)))
        chunks.insert(generator.randint(1, len(chunks)), made)
    return PNG_SIGNATURE + b"".join(_chunk(kind, body) for kind, body in chunks)


_NAMES = (
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP"),
    *(
        b"tEXt",
        b"zTXt",
        b"iTXt",
        b"bKGD",
        b"hIST",
        b"pHYs",
        b"sPLT",
        b"eXIf",
        b"tIME",
        b"acTL",
        b"fcTL",
        b"fdAT",
    ),
)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, position = [], len(PNG_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        chunks.append((kind, data[position + 8 : position + 8 + length]))
        position += 12 + length
    return chunks


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
