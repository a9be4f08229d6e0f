"""The codecs that the bench compares: settings, an encoder and a decoder for each, on real bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, features

from bench.own_codec import OwnCodec
from rdpcodec.errors import UsageError
from rdpcodec.peers import PEERS, find_peer

if TYPE_CHECKING:
    from rdpcodec import Codec
    from rdpcodec.weights.release import ReleasedModel


@dataclass(frozen=True)
class BenchCodec:
    """One codec. Settings run from the smallest to the largest files."""

    name: str
    description: str
    settings: tuple[float, ...]
    encode: Callable[[Image.Image, float], bytes]
    decode: Callable[[bytes], Image.Image]
    # For codecs with a realism setting: bytes and realism → image.
    decode_at: Callable[[bytes, float], Image.Image] | None = None


OURS = "rdpcodec"
DEFAULT_CODECS = (OURS, *PEERS)
OWN_SUFFIX = ".json"
# The libraries of formats that Pillow itself writes, by the names that `features.version` takes.
_PILLOWS_NAMES = {"JPEG": "jpg", "WEBP": "webp", "AVIF": "avif"}
_OUR_QUALITIES = tuple(range(0, 101, 5))


def bench_codec(name: str, device: str = "cpu") -> BenchCodec:
    """A codec by name: `rdpcodec`, `rdpcodec:MODEL`, a peer's, or the file of a user's own, `codec.json`.

    Raises `Unavailable`, or `UsageError` for an unknown name or a file that describes no codec.
    """
    if name.endswith(OWN_SUFFIX):
        return _own(Path(name))
    family, _, model = name.partition(":")
    if family == OURS:
        return _ours(name, model, device)
    if name not in PEERS:
        raise UsageError(f"unknown codec {name!r}; known: {', '.join(DEFAULT_CODECS)}")
    peer = find_peer(name)
    return BenchCodec(name, peer.description, peer.settings, peer.encode, peer.decode)


def _own(path: Path) -> BenchCodec:
    own = OwnCodec.load(path)
    if own.name in DEFAULT_CODECS:
        raise UsageError(f"{path}: the name {own.name!r} is taken; give the codec another")
    # The command lines are part of what was measured.
    description = f"{own.description}: {' '.join(own.encode_words)}; {' '.join(own.decode_words)}"
    return BenchCodec(own.name, description, own.settings, own.encode, own.decode)


def library_versions(name: str) -> str:
    """The versions of what writes and reads the files of a codec by name, as text; empty if not a peer's.

    A peer's name and settings stay when its library is updated, and its files may not.
    """
    if name not in PEERS:
        return ""
    peer = PEERS[name]
    packages = ["pillow"]
    if peer.plugin:
        packages += metadata.packages_distributions().get(peer.plugin, ())
    versions = [f"{package} {metadata.version(package)}" for package in packages]
    library = _PILLOWS_NAMES.get(peer.kind)
    return ", ".join([*versions, *([f"{library} {features.version(library)}"] if library else [])])


def weights_identity(model: Codec | ReleasedModel) -> str:
    """Text that tells one set of our weights from another."""
    return f"rdpcodec {model.weights} {model.decoder_fingerprint}"


def _ours(name: str, model: str, device: str) -> BenchCodec:
    from rdpcodec import Codec
    from rdpcodec.weights.manifest import DEFAULT_MODEL

    codec = Codec(model or DEFAULT_MODEL, device)
    description = f"{weights_identity(codec)}, realism 0, {device}"

    def decode_at(data: bytes, realism: float) -> Image.Image:
        return codec.decompress(data, realism=realism)

    return BenchCodec(name, description, _OUR_QUALITIES, codec.compress, codec.decompress, decode_at)
