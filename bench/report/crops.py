"""The images of the report's browser: crops of decoded images, beside AVIF files with as many bytes.

Whole images are coded, as by a user, and a part of each is shown. Bytes and metrics are those of the whole.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from rich.progress import track

from bench.analysis.measured import Measured
from bench.codecs import BenchCodec, bench_codec, weights_identity
from bench.folder import open_rgb
from bench.metrics.image_metrics import image_tensor
from rdpcodec import Codec, RdpError
from rdpcodec.errors import UsageError
from rdpcodec.metrics import distortion
from rdpcodec.metrics.lpips import load_lpips
from rdpcodec.peers import Unavailable, largest_within

SIZE = (384, 256)
# Decoded crops are stored as WebP at this quality: lossless ones would make the page three times as large.
_WEBP_QUALITY = 90


@dataclass(frozen=True)
class Crop:
    """A part of one image in the data folder, by its upper left corner; without a corner, the middle part."""

    name: str
    corner: tuple[int, int] | None = None

    @classmethod
    def parse(cls, text: str) -> Crop:
        """`photo.png`, or `photo.png@120,80`. Raises `click.BadParameter`."""
        name, _, corner = text.partition("@")
        if not corner:
            return cls(name)
        try:
            x, y = (int(word) for word in corner.split(","))
        except ValueError:
            raise click.BadParameter(f"{text!r}: write NAME or NAME@X,Y") from None
        return cls(name, (x, y))

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, upper, right and lower edge within an image of this size."""
        extent = [min(have, want) for have, want in zip(size, SIZE, strict=True)]
        corner = self.corner or [(have - want) // 2 for have, want in zip(size, extent, strict=True)]
        left, upper = (
            max(0, min(at, have - want)) for at, have, want in zip(corner, size, extent, strict=True)
        )
        return left, upper, left + extent[0], upper + extent[1]


def default_crops(measured: Measured, count: int) -> tuple[Crop, ...]:
    """The middles of some images, spread evenly over the folder."""
    places = np.linspace(0, len(measured.images) - 1, min(count, len(measured.images)))
    return tuple(Crop(measured.images[round(place)]) for place in places)


def coded_crops(
    measured: Measured, data: Path, crops: tuple[Crop, ...], lpips: Path | None
) -> Iterator[dict[str, Any]]:
    """Code images at all points of the grid, and as AVIF with as many bytes; one record per image.

    Raises `UsageError` if the installed weights are not the measured ones, or an image is missing.
    """
    codec = Codec()
    if not measured.description.startswith(weights_identity(codec)):
        raise UsageError(
            f"measured with {measured.description}, but {weights_identity(codec)} is installed: install "
            "those weights, trace the surface again, or leave out --data for a report without images"
        )
    try:
        avif: BenchCodec | None = bench_codec("avif")
    except Unavailable as error:
        click.echo(f"left out of the images: {error}")
        avif = None
    compare = _comparison(lpips)
    for crop in track(crops, "images", transient=True):
        if crop.name not in measured.images or not (data / crop.name).is_file():
            raise UsageError(f"{data / crop.name}: not among the images that were measured")
        yield _coded(crop, open_rgb(data / crop.name), codec, avif, measured, compare)


Comparison = Callable[[np.ndarray, np.ndarray], dict[str, float]]


def _comparison(lpips: Path | None) -> Comparison:
    """PSNR and MS-SSIM of two images, and LPIPS where its weights are found."""
    try:
        network = load_lpips("alex", lpips).eval()
    except RdpError as error:
        if lpips:
            raise
        click.echo(f"left out under the images: LPIPS: {error}")
        network = None

    @torch.inference_mode()
    def measure(original: np.ndarray, decoded: np.ndarray) -> dict[str, float]:
        figures = {
            "psnr": distortion.psnr(original, decoded),
            "ms_ssim": distortion.ms_ssim(original, decoded),
        }
        if network is not None:
            pair = [image_tensor(pixels)[None] for pixels in (original, decoded)]
            figures["lpips_alex"] = float(network(*pair))
        return figures

    return measure


def _coded(
    crop: Crop,
    image: Image.Image,
    ours: Codec,
    avif: BenchCodec | None,
    measured: Measured,
    compare: Comparison,
) -> dict[str, Any]:
    original = np.asarray(image)
    box = crop.box(image.size)

    def shown(decoded: Image.Image, size: int) -> dict[str, Any]:
        return {
            "image": _data_url(decoded.crop(box)),
            "bytes": size,
            "bpp": size * 8 / (image.width * image.height),
            **compare(original, np.asarray(decoded)),
        }

    record: dict[str, Any] = {
        "name": crop.name,
        "size": image.size,
        "crop": box,
        "original": _data_url(image.crop(box)),
        "ours": [],
        "avif": [],
    }
    files: dict[int, bytes] = {}
    for quality in measured.qualities:
        data = ours.compress(image, float(quality))
        decoded = [ours.decompress(data, realism=float(realism)) for realism in measured.realisms]
        record["ours"].append([shown(result, len(data)) for result in decoded])
        if avif:
            peer = largest_within(lambda setting: avif.encode(image, setting), len(data), files)
            record["avif"].append(shown(avif.decode(peer), len(peer)))
    return record


def _data_url(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_WEBP_QUALITY, method=5)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
