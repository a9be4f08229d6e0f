"""An image in the memory of `rdpcodec serve`, and what was last made of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from PIL import Image

from rdpcodec.codec import Codec
from rdpcodec.encoder.transparency import simplified
from rdpcodec.format import container
from rdpcodec.image import ImageData
from rdpcodec.operating_point import OperatingPoint
from rdpcodec.peers import closest_to, find_peer


class Settings(NamedTuple):
    """The settings of a page: quality 0..100, realism 0..1."""

    quality: float
    realism: float


class Files:
    """Files that may be asked for again: those used last, together of at most `size` bytes, or a larger one
    alone.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()  # the one used last at the end

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """The file kept under a key; made and kept if there is none."""
        file = self._kept.pop(key, None) or make()
        self._kept[key] = file
        while self.size > self._size and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return file

    @property
    def size(self) -> int:
        """The bytes of all files that are kept."""
        return sum(map(len, self._kept.values()))


class LoadedImage:
    """One image, and what was last made of it. Not to be used by two threads at once."""

    def __init__(self, codec: Codec, image: ImageData) -> None:
        self.image = image
        # Errors, like targets, are measured against this: nobody sees colours under full transparency.
        self.seen = simplified(image).pixels
        # Ours by quality, those of other formats by format and setting: of each, as many bytes as the pixels
        # take. One file of noise takes half of that.
        self.files, self.peer_files = Files(image.pixels.nbytes), Files(image.pixels.nbytes)
        files, encode = self.files, codec.encoder(image)

        # Not methods: caches that knew this object would keep it in memory after its last use.
        def file(quality: float) -> bytes:
            return files.get(quality, lambda: encode(OperatingPoint(quality)))

        @lru_cache(maxsize=1)
        def decoded(settings: Settings) -> Image.Image:
            return codec.decompress(file(settings.quality), realism=settings.realism)

        self.file, self.decoded = file, decoded

    def peer_file(self, name: str, size: int) -> bytes:
        """Another format's file whose size is nearest to `size` bytes. Raises `Unavailable`, and `UsageError`
        where the format cannot hold the image.

        A search tries up to eight settings, and one for a size nearby tries much the same. So files are kept.
        """
        peer, pillow = find_peer(name), self.image.to_pillow()
        if name == "jpeg" and pillow.mode not in ("L", "RGB"):
            pillow = pillow.convert("RGB")

        def encode(setting: int) -> bytes:
            return self.peer_files.get((name, setting), lambda: peer.encode(pillow, setting))

        return closest_to(encode, size, {})

    def file_with(self, settings: Settings) -> bytes:
        """The file of a quality, with a realism as its default: that is a byte of the header."""
        parsed = container.read(self.file(settings.quality))
        return container.write(replace(parsed, header=replace(parsed.header, realism=settings.realism)))
