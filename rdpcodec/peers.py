"""JPEG, WebP and other formats as Pillow writes them, to compare our files with at equal bytes.

Their settings are kept in one place, so that the bench and the comparison page mean the same by a name.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from PIL import Image

from rdpcodec.errors import RdpError, UsageError, reason
from rdpcodec.image.files import register_plugins


class Unavailable(RdpError):
    """A codec whose plugin or weights are not installed."""


@dataclass(frozen=True)
class Peer:
    """A format that Pillow writes. Settings span about 0.1 to 2 bits per pixel on photographs."""

    kind: str  # Pillow's name of the format
    label: str  # the name that readers know
    description: str
    settings: tuple[int, ...]
    options: dict[str, Any]
    plugin: str | None = None

    def encode(self, image: Image.Image, quality: float) -> bytes:
        """A file of the image; quality 0..100. Raises `UsageError` where the format cannot hold it."""
        buffer = io.BytesIO()
        try:
            image.save(buffer, self.kind, quality=int(quality), **self.options)
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.label} cannot hold this image: {reason(error)}") from error
        return buffer.getvalue()

    def decode(self, data: bytes) -> Image.Image:
        """The image of a file, RGB."""
        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGB")


PEERS = {
    "jpeg": Peer(
        "JPEG",
        "JPEG",
        "Pillow JPEG, optimize, progressive",
        (5, 10, 20, 35, 50, 75, 90),
        {"optimize": True, "progressive": True},
    ),
    "webp": Peer("WEBP", "WebP", "Pillow WebP, method 6", (1, 5, 15, 35, 60, 80, 95), {"method": 6}),
    "avif": Peer(
        "AVIF",
        "AVIF",
        "Pillow AVIF, speed 4, 4:4:4",
        (8, 15, 25, 40, 55, 70, 85),
        {"speed": 4, "subsampling": "4:4:4"},
    ),
    "avif-grain": Peer(
        "AVIF",
        "AVIF with film grain",
        "Pillow AVIF, speed 4, 4:4:4, aom's film-grain synthesis (denoise-noise-level 25)",
        (8, 15, 25, 40, 55, 70, 85),
        # The encoder removes grain and describes it; the decoder adds new grain of the same kind.
        {
            "speed": 4,
            "subsampling": "4:4:4",
            "codec": "aom",
            "advanced": {"denoise-noise-level": "25"},
        },
    ),
    "jxl": Peer(
        "JXL", "JPEG XL", "pillow-jxl-plugin, default effort", (5, 10, 20, 40, 60, 80, 92), {}, "pillow_jxl"
    ),
    "heic": Peer(
        "HEIF", "HEIC", "pillow-heif, 4:4:4", (5, 15, 25, 35, 50, 65, 80), {"chroma": 444}, "pillow_heif"
    ),
}


def find_peer(name: str) -> Peer:
    """A peer by name. Raises `Unavailable` if it cannot be used here, `KeyError` if it is unknown."""
    peer = PEERS[name]
    if peer.plugin and find_spec(peer.plugin) is None:
        raise Unavailable(f"{name}: {peer.plugin} is not installed")
    register_plugins()
    Image.init()
    if peer.kind not in Image.SAVE:
        raise Unavailable(f"{name}: this Pillow cannot write {peer.kind}")
    return peer


def usable_peers(names: Iterable[str]) -> tuple[dict[str, Peer], list[str]]:
    """The peers among `names` that can be used here, by name, and notes on those that cannot."""
    peers, notes = {}, []
    for name in names:
        try:
            peers[name] = find_peer(name)
        except Unavailable as error:
            notes.append(str(error))
    return peers, notes


def largest_within(encode: Callable[[int], bytes], size: int, files: dict[int, bytes]) -> bytes:
    """The file of the highest setting 0..100 whose length is at most `size`, or the file of setting 0.

    encode: makes the file of a setting, larger for higher settings; files: those made so far, added to.
    """
    low, high = 0, 101
    while high - low > 1:
        middle = (low + high) // 2
        if middle not in files:
            files[middle] = encode(middle)
        low, high = (middle, high) if len(files[middle]) <= size else (low, middle)
    if low not in files:
        files[low] = encode(low)
    return files[low]


def closest_to(encode: Callable[[int], bytes], size: int, files: dict[int, bytes]) -> bytes:
    """The file of a setting 0..100 whose length is nearest to `size` as a ratio. See `largest_within`.

    For images to be looked at: where settings are coarse, the largest file within may be a third smaller.
    """
    largest_within(encode, size, files)  # makes both neighbours
    return min(files.values(), key=lambda file: abs(math.log(len(file) / size)))
