"""The .rdpc file: header, segments, checksum.

```text
"RDP" version │ size │ fingerprint │ quality │ realism │ width height │ segments … │ CRC-32
```

A plain photograph has 21 bytes of this around its coded data, and 2 or 3 for the data's length.
docs/format.md is the specification. This module knows bytes only; it imports neither torch nor NumPy, so that
`rdpcodec info` answers at once.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import IO

from rdpcodec.errors import FormatError, UsageError
from rdpcodec.file_type import SIGNATURE
from rdpcodec.limits import MAX_PIXELS, METADATA_LIMIT, check_size

# The newest version that is read and written. A file states the lowest version that has all its segments.
VERSION = 2
QUALITY_STEPS = 100  # per unit of quality: a stored 10000 is 100.00
REALISM_STEPS = 255
# Sizes of the networks are numbered here once and for all; a number is never reused for another architecture.
# "own" is any size without a number: the fingerprint alone then says which weights a file needs.
SIZE_NUMBERS = {"own": 0, "fast": 1, "base": 2, "large": 3}
_SIZE_NAMES = {number: name for name, number in SIZE_NUMBERS.items()}
_FIXED = struct.Struct("<3sBB4sHB")
_CRC = struct.Struct("<I")
_VARINT_BYTES = 5
MAX_HEADER = _FIXED.size + 2 * _VARINT_BYTES


class Segment(IntEnum):
    """Kinds of segment. An even kind may be skipped by a reader that does not know it, an odd one may not."""

    COLOUR = 1
    """The coded image; exactly one of COLOUR and GRAY, and it comes last."""
    GRAY = 3
    """The same, to be returned as one channel."""
    ALPHA = 5
    """The alpha channel as a PNG; no longer written."""
    OPACITY = 9
    """The alpha channel, tile by tile; see `opacity`. Version 2."""
    EXACT = 7
    """Pixels that replace those of the coded image, tile by tile; see `exact_layer`. Version 2."""
    ICC = 2
    """An ICC profile that describes the decoded pixels, zlib."""
    EXIF = 4
    """An EXIF block as in JPEG's APP1, without the signature before it, zlib."""
    XMP = 6
    """An XMP packet, zlib."""
    NEUTRAL = 8
    """Empty: all pixels are gray, and are returned as gray in three channels."""


IMAGE_SEGMENTS = (Segment.COLOUR, Segment.GRAY)
ALPHA_SEGMENTS = (Segment.ALPHA, Segment.OPACITY)


@dataclass(frozen=True)
class Header:
    """What a file says about itself before its segments."""

    size: str
    """Size of the networks, a name in `SIZE_NUMBERS`."""
    fingerprint: bytes
    """Fingerprint of the weights that define the bitstream, 4 bytes."""
    quality: float
    """0..100, in steps of 0.01."""
    realism: float
    """0..1, the default for decoding, in steps of 1/255."""
    width: int
    height: int

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the image, in pixels."""
        return self.width, self.height

    @property
    def weights(self) -> str:
        """The weights that the file needs, as messages name them."""
        return f"{self.size}-{self.fingerprint.hex()}"


@dataclass(frozen=True)
class Container:
    """A parsed file: header, and the payload of each segment by kind."""

    header: Header
    segments: dict[Segment, bytes] = field(default_factory=dict)

    @property
    def coded_image(self) -> bytes:
        """The payload of the coded image."""
        return next(self.segments[kind] for kind in IMAGE_SEGMENTS if kind in self.segments)

    @property
    def version(self) -> int:
        """The lowest version of the format that has all of the file's segments."""
        return 2 if {Segment.EXACT, Segment.OPACITY} & self.segments.keys() else 1

    @property
    def alpha(self) -> bool:
        """Whether the image has an alpha channel."""
        return any(kind in self.segments for kind in ALPHA_SEGMENTS)

    @property
    def gray(self) -> bool:
        """Whether the image is to be returned as one channel."""
        return Segment.GRAY in self.segments


def decimal_realism(realism: float) -> float:
    """A file's realism for readers: the shortest decimal that is stored alike, 0.5 for 128/255."""
    step = round(realism * REALISM_STEPS)
    tried = (round(realism, decimals) for decimals in (1, 2, 3))
    return next(shown for shown in tried if round(shown * REALISM_STEPS) == step)


def stored_quality(quality: float) -> int:
    """Quality 0..100 → hundredths, as stored. Raises `UsageError` outside the range."""
    if not 0 <= quality <= 100:
        raise UsageError(f"quality {quality} is outside 0..100")
    return round(float(quality) * QUALITY_STEPS)


def rounded_quality(quality: float) -> float:
    """A quality 0..100 exactly as a file states it. Raises `UsageError` outside the range."""
    return stored_quality(quality) / QUALITY_STEPS


def bits_per_pixel(data: bytes) -> float:
    """The rate of a file: all of its bits over its pixels. Raises `FormatError`."""
    header, _ = read_header(data)
    return len(data) * 8 / (header.width * header.height)


def write(container: Container) -> bytes:
    """A container as the bytes of a file."""
    header = container.header
    check_size(header.width, header.height, UsageError)
    parts = [
        _FIXED.pack(
            SIGNATURE,
            container.version,
            SIZE_NUMBERS[header.size],
            header.fingerprint,
            stored_quality(header.quality),
            round(header.realism * REALISM_STEPS),
        ),
        varint(header.width),
        varint(header.height),
    ]
    for kind, payload in sorted(container.segments.items(), key=lambda item: item[0] in IMAGE_SEGMENTS):
        parts += [bytes([kind]), varint(len(payload)), payload]
    body = b"".join(parts)
    return body + _CRC.pack(zlib.crc32(body))


def read(data: bytes, max_pixels: int = MAX_PIXELS) -> Container:
    """Parse and check a whole file. Raises `FormatError` unless it is intact, of a known version, and has at
    most `max_pixels` pixels.
    """
    header, position = read_header(data)
    check_size(header.width, header.height, FormatError, max_pixels)
    end = len(data) - _CRC.size
    if end < position or zlib.crc32(data[:end]) != _CRC.unpack(data[end:])[0]:
        raise FormatError("the checksum does not match: the file is truncated or damaged")
    places = _places(io.BytesIO(data), position, end)
    file = Container(header, {kind: data[place.start : place.stop] for kind, place in places.items()})
    if data[len(SIGNATURE)] != file.version:
        raise FormatError(f"a file with these segments has version {file.version} of the format")
    return file


def layout(file: IO[bytes]) -> tuple[Header, dict[Segment, range]]:
    """The header, and which bytes each segment's payload takes. Ignores the checksum, reads no payloads.

    file: seekable; the .rdpc file begins at 0. Raises `FormatError`.
    """
    file.seek(0)
    header, position = read_header(file.read(MAX_HEADER))
    return header, _places(file, position, file.seek(0, os.SEEK_END) - _CRC.size)


def _places(file: IO[bytes], position: int, end: int) -> dict[Segment, range]:
    """Where the payloads of the segments between `position` and `end` lie."""
    places: dict[Segment, range] = {}
    while position < end:
        file.seek(position)
        head = file.read(min(1 + _VARINT_BYTES, end - position))
        kind, (length, taken) = head[0], read_varint(head, 1)
        position += taken
        if length > end - position:
            raise FormatError(f"segment {kind} claims {length} bytes, {end - position} are left")
        place, position = range(position, position + length), position + length
        try:
            segment = Segment(kind)
        except ValueError:
            if kind % 2:
                raise FormatError(
                    f"the file has a segment of kind {kind}, which needs a newer rdpcodec"
                ) from None
            continue
        if segment in places:
            raise FormatError(f"the file has two segments of kind {segment.name}")
        places[segment] = place
        if segment in IMAGE_SEGMENTS and position != end:
            raise FormatError("the coded image is not the last segment")
    if sum(kind in places for kind in IMAGE_SEGMENTS) != 1:
        raise FormatError("the file has no coded image")
    return places


def inflate(payload: bytes) -> bytes:
    """Inflate a metadata segment, within a limit of 16 MiB. Raises `FormatError`."""
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(payload, METADATA_LIMIT)
    except zlib.error as error:
        raise FormatError(f"a metadata segment is damaged: {error}") from error
    if not inflater.eof:
        raise FormatError("a metadata segment is truncated or over 16 MiB")
    if inflater.unused_data:
        raise FormatError("a metadata segment goes on after its end")
    return inflated


def read_header(data: bytes) -> tuple[Header, int]:
    """Parse the header alone, ignoring the checksum.

    Returns the header and the position after it. Raises `FormatError`.
    """
    if not data:
        raise FormatError("the file is empty")
    if data[: len(SIGNATURE)] != SIGNATURE:
        raise FormatError("not an .rdpc file: it does not begin with 'RDP'")
    if len(data) < _FIXED.size:
        raise FormatError("the file ends within its header")
    _, version, number, fingerprint, quality, realism = _FIXED.unpack_from(data)
    if not 1 <= version <= VERSION:
        raise FormatError(
            f"the file has format version {version}, this rdpcodec reads versions up to {VERSION}: update it"
        )
    if number not in _SIZE_NAMES:
        raise FormatError(
            f"the file was made with networks of size {number}, which this rdpcodec does not know: update it"
        )
    if quality > 100 * QUALITY_STEPS:
        raise FormatError(f"the stored quality {quality / QUALITY_STEPS} is outside 0..100")
    width, position = read_varint(data, _FIXED.size)
    height, position = read_varint(data, position)
    check_size(width, height, FormatError)
    size = _SIZE_NAMES[number]
    header = Header(size, fingerprint, quality / QUALITY_STEPS, realism / REALISM_STEPS, width, height)
    return header, position


def varint(value: int) -> bytes:
    """Unsigned LEB128: seven bits a byte, low ones first, the top bit set on all bytes but the last."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The value of a varint, and the position after it.

    At most five bytes, no superfluous zero byte: every number has one spelling.
    """
    value = 0
    for count in range(_VARINT_BYTES):
        if position + count >= len(data):
            raise FormatError("the file ends within a number")
        byte = data[position + count]
        value |= (byte & 127) << (7 * count)
        if byte < 128:
            if count and byte == 0:
                break
            return value, position + count + 1
    raise FormatError("the file holds a malformed number")


def join_tiles(parts: Sequence[bytes]) -> bytes:
    """The coded tiles as one payload: a single tile as it is, several after a list of their lengths."""
    if len(parts) == 1:
        return parts[0]
    return b"".join([*(varint(len(part)) for part in parts), *parts])


def split_tiles(payload: bytes, count: int) -> list[bytes]:
    """The inverse of `join_tiles`. Raises `FormatError` when the lengths do not add up."""
    if count == 1:
        return [payload]
    lengths, position = [], 0
    for _ in range(count):
        length, position = read_varint(payload, position)
        lengths.append(length)
    if position + sum(lengths) != len(payload):
        raise FormatError("the lengths of the tiles do not add up to the coded image")
    parts = []
    for length in lengths:
        parts.append(payload[position : position + length])
        position += length
    return parts
