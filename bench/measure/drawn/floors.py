"""The floors that no image falls below at the highest quality.

The seven images are ones that networks trained on photographs alone code badly at any quality.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random
from typing import NamedTuple

import numpy as np
from PIL import Image
from rich.table import Table

from bench.measure.drawn import icons, interfaces, text
from rdpcodec import Codec
from rdpcodec.metrics.distortion import psnr

QUALITY, WHITE_QUALITY = 100, 50


class Floor(NamedTuple):
    """What one image costs at the highest quality, and how close the decoded image comes."""

    name: str
    bytes: int
    psnr: float
    """In dB; infinite if all pixels are equal."""
    least_psnr: float
    """The floor, in dB."""
    lossless_webp: int
    white: float
    """The share of white pixels, 0..1, that stay pure white at quality 50; 1 if the image has none."""


def _noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def _window() -> Image.Image:
    return interfaces.window(Random("window0"), interfaces.LIGHT)


# Each image with its floor in dB at quality 100.
IMAGES: dict[str, tuple[Callable[[], Image.Image], float]] = {
    "coloured text on white, 512×384": (lambda: text.page("latin", 0), np.inf),
    "interface, 768×512": (_window, np.inf),
    "pixel art, 6 saturated colours, 256×256": (lambda: icons.sprite(0, 32, 8), np.inf),
    "icon, 6×6": (lambda: icons.sprite(0, 6, 1), np.inf),
    "white noise, 64×64": (_noise, 32.0),
    "plain blue, 256×256": (lambda: Image.new("RGB", (256, 256), "blue"), np.inf),
    "text in greek on white, 512×384": (lambda: text.page("greek", 1), np.inf),
}


def floor(codec: Codec, name: str) -> Floor:
    """Measure one of `IMAGES`."""
    draw, least = IMAGES[name]
    image = draw()
    original, data = np.asarray(image), codec.compress(image, QUALITY)
    decoded = np.asarray(codec.decompress(data))
    plain = np.asarray(codec.decompress(codec.compress(image, WHITE_QUALITY)))
    white = (original == 255).all(2)
    stays = float((plain[white] == 255).all(1).mean()) if white.any() else 1.0
    error = np.inf if (decoded == original).all() else psnr(original, decoded)
    return Floor(name, len(data), error, least, lossless_webp_bytes(image), stays)


def lossless_webp_bytes(image: Image.Image) -> int:
    """The size of an image as lossless WebP, at libwebp's greatest effort."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, method=6, quality=100)
    return len(buffer.getvalue())


def floors_table(floors: list[Floor]) -> Table:
    """The floors as a table to print."""
    table = Table(title=f"at quality {QUALITY}, and white at quality {WHITE_QUALITY}")
    for head in ("image", "bytes", "PSNR, dB", "floor, dB", "lossless WebP, bytes", "white stays white, %"):
        table.add_column(head, justify="left" if head == "image" else "right")
    for row in floors:
        numbers = (f"{value:.1f}" if np.isfinite(value) else "exact" for value in (row.psnr, row.least_psnr))
        table.add_row(row.name, str(row.bytes), *numbers, str(row.lossless_webp), f"{100 * row.white:.1f}")
    return table
