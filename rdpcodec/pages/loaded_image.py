"""An image in the memory of `rdpcodec serve`, and what was last made of it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import lru_cache, partial
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


class EncodeRequest(NamedTuple):
    """The dials of a page: quality 0..100, realism 0..1."""

    quality: float
    realism: float


class LoadedImage:
    """One image, and what was last made of it. Not to be used by two threads at once."""

    def __init__(self, codec: Codec, image: ImageData) -> None:
        self.image = image
        # Errors, like targets, are measured against this: nobody sees colours under full transparency.
        self.seen = simplified(image).pixels
        self.peer_files: dict[str, dict[int, bytes]] = defaultdict(dict)
        encode = codec.encoder(image)

        @lru_cache(maxsize=_FILES)
        def file(quality: float) -> bytes:
            return encode(OperatingPoint(quality))

        @lru_cache(maxsize=1)
        def decoded(asked: EncodeRequest) -> Image.Image:
            return codec.decompress(file(asked.quality), realism=asked.realism)

        self.file = file
        self.decoded = decoded

    def peer_file(self, name: str, size: int) -> bytes:
        """Another format's file whose size is nearest to `size` bytes. Raises `Unavailable`."""
        peer = find_peer(name)
        pillow = self.image.to_pillow()
        if name == "jpeg" and pillow.mode not in ("L", "RGB"):
            pillow = pillow.convert("RGB")
        return closest_to(partial(peer.encode, pillow), size, self.peer_files[name])

    def file_with(self, asked: EncodeRequest) -> bytes:
        """The file of a quality, with a realism as its default: that is a byte of the header."""
        parsed = container.read(self.file(asked.quality))
        return container.write(replace(parsed, header=replace(parsed.header, realism=asked.realism)))
