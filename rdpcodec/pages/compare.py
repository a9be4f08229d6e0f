"""What `rdpcodec compare` shows: images, what our codec makes of them, and other formats at equal bytes.

The page holds everything: our decoded images as lossless WebP, and the other formats' own files as they are.
If the decoder for browsers is given, the page holds it too, with our files.
"""

from __future__ import annotations

import base64
import gzip
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rdpcodec.codec import Codec
from rdpcodec.image import ImageData
from rdpcodec.metrics.full_reference import Metrics
from rdpcodec.operating_point import OperatingPoint, Quality
from rdpcodec.pages import FOLDER, assembled
from rdpcodec.peers import Peer, closest_to, usable_peers

# Formats that browsers show.
PEER_NAMES = ("jpeg", "webp", "avif")
# A screen of 1920×1080. At ten megapixels, the page of one image would be 50 MB and take minutes to make.
MAX_PIXELS = 1920 * 1080
MAX_SIDE = 16_383  # of WebP
# Not needed of the decoder: the page to try it, and the build with WebGPU, which would add 5 MB.
_LEFT_OUT = ("demo.", "index.", "onnxruntime-web/ort.jspi", "onnxruntime-web/ort-wasm-simd-threaded.jspi")


def compare_page(
    codec: Codec,
    images: dict[str, ImageData],
    qualities: Iterable[float],
    effort: int,
    step: Callable[[], None],
    decoder: Mapping[str, bytes],
) -> str:
    """The page, HTML.

    images: by the names that readers see. Those over `MAX_PIXELS` are cut to their middle; alpha channels are
    left out. step: called after each quality of each image. decoder: the files of the decoder for browsers by
    name, or none; with them the page can change realism.
    """
    peers, notes = usable_peers(PEER_NAMES)
    metrics = Metrics()
    embedded = _embedded(decoder) if codec.weights.has_realism else {}
    comparison = _Comparison(codec, peers, metrics, bool(embedded), step)
    points = [OperatingPoint(quality, effort=effort) for quality in sorted(set(qualities))]
    shown = [comparison.record(name, image, points) for name, image in images.items()]
    versions = [version for record in shown for version in record["versions"] if "file" not in version]
    data = {
        "metrics": metrics.labels,
        "realism": codec.weights.has_realism,
        "qualities": [point.quality for point in points],
        "model": f"{codec.weights}, effort {effort}",
        "peers": [f"{peer.label}: {peer.description}" for peer in peers.values()],
        "notes": notes + metrics.missing + metrics.undefined(versions),
        "image_bytes": sum(len(v["image"]) for v in versions) + sum(len(r["original"]) for r in shown),
        "decoder_bytes": sum(map(len, embedded.values())),
        "images": shown,
        "decoder": embedded,
    }
    return assembled(FOLDER / "compare", data, "base", "viewer", "embedded")


@dataclass(frozen=True)
class _Comparison:
    """What the comparisons of all images share.

    turned: whether to add our files, for the page to decode at any realism. step: called after each quality
    of each image.
    """

    codec: Codec
    peers: dict[str, Peer]
    metrics: Metrics
    turned: bool
    step: Callable[[], None]

    @property
    def realisms(self) -> tuple[float, ...]:
        """The realisms at which our files are shown."""
        return (0.0, 1.0) if self.codec.weights.has_realism else (0.0,)

    def record(self, name: str, source: ImageData, points: list[OperatingPoint]) -> dict[str, Any]:
        """One image and its versions: for each quality, ours at each realism, then the peers at equal
        bytes.
        """
        image, notes = middle(source)
        pillow = image.to_pillow()
        encode = self.codec.encoder(image)
        files: dict[str, dict[int, bytes]] = {peer: {} for peer in self.peers}
        versions: list[dict[str, Any]] = []
        for point in points:
            data, quality = encode(point), point.quality
            versions += self._ours(image, data, quality)
            for key, peer in self.peers.items():
                file = closest_to(partial(peer.encode, pillow), len(data), files[key])
                figures = self._figures(image, peer.decode(file), len(file), _data_url(file, key))
                versions.append({"label": peer.label, "quality": quality, "ours": False, **figures})
            self.step()
        about = {"name": name, "width": pillow.width, "height": pillow.height, "notes": notes}
        return {**about, "original": _lossless(pillow), "versions": versions}

    def _ours(self, image: ImageData, data: bytes, quality: Quality) -> list[dict[str, Any]]:
        """The versions that one file of ours gives."""
        versions = []
        for realism in self.realisms:
            decoded = self.codec.decompress(data, realism=realism)
            label = f"rdpcodec, realism {realism:g}" if len(self.realisms) > 1 else "rdpcodec"
            figures = self._figures(image, decoded, len(data), _lossless(decoded))
            versions.append({"label": label, "quality": quality, "ours": True, **figures})
        if self.turned:
            versions.append(_turned(versions[-1], data, self.metrics))
        return versions

    def _figures(self, image: ImageData, decoded: Image.Image, size: int, url: str) -> dict[str, Any]:
        """The measures of a version of `size` bytes."""
        width, height = image.size
        figures = self.metrics(image.pixels, np.asarray(decoded.convert("RGB")))
        return {"bytes": size, "bpp": round(size * 8 / (width * height), 5), "image": url, **figures}


def middle(source: ImageData) -> tuple[ImageData, list[str]]:
    """The part of an image to compare, at most `MAX_PIXELS` of its middle, and notes on what is left out."""
    notes = []
    width, height = source.size
    image = replace(source, alpha=None, icc=None, exif=None)
    if source.alpha is not None:
        notes.append("The alpha channel is left out.")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        share = min(1, (MAX_PIXELS / (width * height)) ** 0.5)
        # A side of one pixel stays; the other is then shorter than the share says.
        cut_width = min(max(1, int(width * share)), MAX_SIDE, MAX_PIXELS)
        cut_height = min(max(1, int(height * share)), MAX_SIDE, MAX_PIXELS // cut_width)
        left, top = (width - cut_width) // 2, (height - cut_height) // 2
        image = replace(image, pixels=image.pixels[top : top + cut_height, left : left + cut_width])
        notes.append(
            f"The image is {width}×{height}; its middle, {cut_width}×{cut_height}, was cut out, and that "
            "alone is coded, measured and shown."
        )
    return image, notes


def _turned(version: dict[str, Any], data: bytes, metrics: Metrics) -> dict[str, Any]:
    """One of our versions, as one that the page decodes at any realism. data: the file."""
    unmeasured = dict.fromkeys(("image", *metrics.labels))
    label = "rdpcodec, realism as set"
    return {**version, **unmeasured, "label": label, "file": base64.b64encode(data).decode()}


def _embedded(decoder: Mapping[str, bytes]) -> dict[str, str]:
    """The files that the decoder needs in a page, each compressed by gzip, in base64."""
    return {
        name: base64.b64encode(gzip.compress(data, mtime=0)).decode()
        for name, data in decoder.items()
        if not name.startswith(_LEFT_OUT)
    }


def _lossless(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "WEBP", lossless=True, quality=40, method=3)
    return _data_url(buffer.getvalue(), "webp")


def _data_url(file: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"


def names_of(paths: Iterable[Path]) -> list[str]:
    """Names that tell images apart: file names, with their folders where the names are equal."""
    paths = list(paths)
    names = [path.name for path in paths]
    return [str(path) if names.count(name) > 1 else name for path, name in zip(paths, names, strict=True)]
