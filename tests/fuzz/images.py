"""Hostile sources, and hostile metadata on their way to every format."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

from PIL import Image

from rdpcodec import ImageError, RdpError
from rdpcodec.format import side_data
from rdpcodec.format.container import Container, Header, Segment
from rdpcodec.format.tiles import Box
from rdpcodec.image import ImageData, encode_image, load_image

from .damage import EDGES, PNG_SIGNATURE, damaged_png, several
from .seeds import SEEN, exif_seed, profiles, xmp_seed

MAX_PIXELS = 1 << 20
TARGETS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "JPEG2000", "GIF", "BMP", "TGA", "MPO", "PDF", "ICNS")
_TYPES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 18, 129)
_TAGS = (256, 257, 258, 259, 262, 270, 271, 273, 274, 277, 279, 282, 283, 296, 305, 315, 320, 330, 513, 514)
_FOLDER_TAGS = (700, 33432, 34377, 34665, 34675, 34853, 37500, 37510, 40091, 40965, 50706, 65535)


def hostile_source(files: Sequence[bytes], generator: random.Random) -> bytes:
    """A damaged image file; if it is a PNG, often with its checksums right."""
    data = generator.choice(files)
    if data.startswith(PNG_SIGNATURE) and generator.random() < 0.8:
        return damaged_png(data, generator)
    return several(data, generator)


def load(data: bytes, keep_metadata: bool) -> bool:
    """Read a source, pack and unpack its side data; returns whether it was taken. Raises foreign errors."""
    try:
        image = load_image(data, keep_metadata=keep_metadata, max_pixels=MAX_PIXELS)
    except ImageError as error:
        return refused(error)
    width, height = image.size
    segments = {**side_data.pack(image), Segment.GRAY if image.gray else Segment.COLOUR: b""}
    file = Container(Header("fast", b"\0\1\2\3", 50.0, 0.0, width, height), segments)
    returned = side_data.unpack(image.pixels, file, Box(0, 0, width, height))
    assert (returned.icc, returned.exif, returned.xmp) == (image.icc, image.exif, image.xmp)
    return True


def refused(error: RdpError) -> bool:
    """Returns False, for not taken, and checks that the error has one line."""
    assert "\n" not in str(error)
    return False


def hostile_metadata(generator: random.Random) -> ImageData:
    """An image with EXIF, XMP and profile as a hostile file gives them, before anything cleans them."""
    exif = hostile_exif(generator) if generator.random() < 0.8 else several(exif_seed(), generator)
    xmp = generator.choice((None, several(xmp_seed(), generator), bytes(generator.randint(0, 70_000))))
    icc = generator.choice((None, several(generator.choice(profiles()), generator)))
    return ImageData(SEEN, generator.random() < 0.3, icc=icc, exif=exif, xmp=xmp)


def hostile_exif(generator: random.Random) -> bytes:
    """An EXIF block whose directory is well formed and whose tags, types, counts and values are not."""
    order = generator.choice("<>")
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    count = generator.randint(0, 8)
    entries = b"".join(_entry(order, generator) for _ in range(count))
    following = generator.choice((0, 8, generator.randrange(300)))
    body = struct.pack(order + "H", count) + entries + struct.pack(order + "I", following)
    return generator.choice((b"", b"Exif\0\0")) + head + body + generator.randbytes(generator.randint(0, 80))


def _entry(order: str, generator: random.Random) -> bytes:
    tag = generator.choice((*_TAGS, *_FOLDER_TAGS, generator.randrange(65_536)))
    count = generator.choice((0, 1, 1, 1, 2, 3, 4, 8, 300, 2**31, 2**32 - 1))
    value = generator.choice(
        (struct.pack(order + "I", generator.randrange(120)), bytes(generator.choice(EDGES) for _ in range(4)))
    )
    return struct.pack(order + "HHI", tag, generator.choice(_TYPES), count) + value


def save(image: ImageData, kind: str) -> bool:
    """Save as a decoded image is saved; returns whether it was taken. Raises any error that is not ours."""
    try:
        encode_image(image.to_pillow(), kind, "image")
    except RdpError as error:
        return refused(error)
    return True


def save_with_pillow_info(image: ImageData, kind: str) -> bool:
    """The same for an image that somebody else has opened: nothing has cleaned its `info`."""
    pillow = Image.fromarray(image.pixels)
    pillow.info |= {"exif": image.exif or b"", "xmp": image.xmp or b""}
    if image.icc is not None:
        pillow.info["icc_profile"] = image.icc
    try:
        encode_image(pillow, kind, "image")
    except RdpError as error:
        return refused(error)
    return True
