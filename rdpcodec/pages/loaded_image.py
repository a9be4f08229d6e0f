"""An image in the memory of `rdpcodec serve`, and what was last made of it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from PIL import Image

from rdpcodec import container
from rdpcodec.codec import Codec
from rdpcodec.encoder.transparency import simplified
from rdpcodec.image import ImageData
from rdpcodec.operating_point import OperatingPoint
from rdpcodec.peers import closest_to, find_peer

# Files kept for each image: those of the latest qualities. Files are small.
_FILES = 32


class Settings(NamedTuple):
    """The settings of a page: quality 0..100, realism 0..1."""

    quality: float
    realism: float


class LoadedImage:
    """One image, and what was last made of it. Not to be used by two threads at once."""

    def __init__(self, codec: Codec, image: ImageData) -> None:
        self.image = image
        # Errors, like targets, are measured against this: nobody sees colours under full transparency.
        self.seen = simplified(image).pixels
        # Files of other formats by format and setting, the one used last at the end.
        self.peer_files: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        encode = codec.encoder(image)

        @lru_cache(maxsize=_FILES)
        def file(quality: float) -> bytes:
            return encode(OperatingPoint(quality))

        @lru_cache(maxsize=1)
        def decoded(settings: Settings) -> Image.Image:
            return codec.decompress(file(settings.quality), realism=settings.realism)

        self.file = file
        self.decoded = decoded

    def peer_file(self, name: str, size: int) -> bytes:
        """Another format's file whose size is nearest to `size` bytes. Raises `Unavailable`, and `UsageError`
        where the format cannot hold the image.

        A search tries up to eight settings, and one for a size nearby tries much the same. So files are kept:
        of all formats together, as many bytes as the pixels take.
        """
        peer, kept = find_peer(name), self.peer_files
        pillow = self.image.to_pillow()
        if name == "jpeg" and pillow.mode not in ("L", "RGB"):
            pillow = pillow.convert("RGB")

        def encode(setting: int) -> bytes:
            file = kept.pop((name, setting), None) or peer.encode(pillow, setting)
            kept[name, setting] = file
            while sum(map(len, kept.values())) > self.image.pixels.nbytes:
                kept.popitem(last=False)
            return file

        return closest_to(encode, size, {})

    def file_with(self, settings: Settings) -> bytes:
        """The file of a quality, with a realism as its default: that is a byte of the header."""
        parsed = container.read(self.file(settings.quality))
        return container.write(replace(parsed, header=replace(parsed.header, realism=settings.realism)))
