"""A sheet of crops to look at: three realisms of one file, AVIF with as many bytes, and the original."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bench.codecs import BenchCodec, bench_codec
from rdpcodec import Codec
from rdpcodec.peers import largest_within

CROP = (256, 256)
REALISMS = (0.0, 0.5, 1.0)
_GAP, _HEAD = 6, 22


def sheet(images: list[Image.Image], quality: float) -> Image.Image:
    """Rows for RGB images, one below the other."""
    ours, avif = Codec(), bench_codec("avif")
    return stacked([sheet_row(image, quality, ours, avif) for image in images])


def sheet_row(image: Image.Image, quality: float, ours: Codec, avif: BenchCodec) -> Image.Image:
    """The busiest crop of an image at 1:1, from left to right, with captions above."""
    data = ours.compress(image, quality)
    other = largest_within(lambda setting: avif.encode(image, setting), len(data), {})
    bpp = len(data) * 8 / (image.width * image.height)
    captions = [f"realism {realism:g}" for realism in REALISMS]
    captions[0] += f", {len(data)} bytes, {bpp:.2f} bpp"
    captions += [f"AVIF, {len(other)} bytes", "original"]
    shown = [ours.decompress(data, realism=realism) for realism in REALISMS]
    shown += [avif.decode(other), image]
    box = busiest(image)
    width, height = box[2] - box[0], box[3] - box[1]
    page = Image.new("RGB", (len(shown) * (width + _GAP) - _GAP, height + _HEAD), "white")
    draw = ImageDraw.Draw(page)
    for column, (caption, decoded) in enumerate(zip(captions, shown, strict=True)):
        left = column * (width + _GAP)
        page.paste(decoded.crop(box), (left, _HEAD))
        draw.text((left + 2, 3), caption, "black", ImageFont.load_default(13))
    return page


def busiest(image: Image.Image) -> tuple[int, int, int, int]:
    """The crop with the most detail, where a codec has to invent most; on a grid of half the crop's size."""
    gray = np.asarray(image.convert("L"), float)
    energy = np.abs(np.diff(gray, axis=0))[:, :-1] + np.abs(np.diff(gray, axis=1))[:-1]
    width, height = min(CROP[0], image.width), min(CROP[1], image.height)
    boxes = [
        (left, top, left + width, top + height)
        for top in range(0, image.height - height + 1, max(1, height // 2))
        for left in range(0, image.width - width + 1, max(1, width // 2))
    ]
    return max(boxes, key=lambda box: energy[box[1] : box[3], box[0] : box[2]].mean())


def stacked(rows: list[Image.Image]) -> Image.Image:
    """Images, one below the other."""
    page = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        page.paste(row, (0, top))
        top += row.height
    return page
