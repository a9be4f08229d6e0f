"""Twelve crops to look at: the original, our file, and AVIF at equal bytes."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw

from bench.measure.drawn.fonts import font
from rdpcodec import Codec
from rdpcodec.peers import closest_to, find_peer

QUALITY = 40
CROP = (176, 112)
# Two images of each class, and the corners of their crops.
CROPS = {
    ("interfaces", "window-light-0"): (16, 50),
    ("interfaces", "map-light-0"): (300, 200),
    ("text", "latin"): (10, 10),
    ("text", "chinese"): (10, 150),
    ("charts", "curves"): (60, 300),
    ("charts", "points"): (250, 180),
    ("line art", "rings-sharp"): (200, 200),
    ("line art", "star-smooth"): (170, 200),
    ("pixel art and icons", "scene-0"): (60, 70),
    ("pixel art and icons", "icon-256"): (40, 60),
    ("mixed pages", "article-coffee"): (330, 300),
    ("mixed pages", "slide-chelsea"): (20, 420),
}
_GAP, _HEAD = 6, 18


def sheet(codec: Codec, images: dict[str, dict[str, Image.Image]]) -> Image.Image:
    """The crops in rows of two images, three crops each, with their bytes above."""
    width, height = CROP[0] + _GAP, CROP[1] + _HEAD
    canvas = Image.new("RGB", (6 * width + _GAP, len(CROPS) // 2 * height + _GAP), "white")
    draw = ImageDraw.Draw(canvas)
    for number, ((kind, title), corner) in enumerate(CROPS.items()):
        for column, (caption, image) in enumerate(versions(codec, images[kind][title]).items()):
            left, top = (3 * (number % 2) + column) * width + _GAP, number // 2 * height
            draw.text((left, top + 3), caption, "black", font("sans", 10))
            box = (*corner, corner[0] + CROP[0], corner[1] + CROP[1])
            canvas.paste(image.crop(box), (left, top + _HEAD))
    return canvas


def versions(codec: Codec, image: Image.Image) -> dict[str, Image.Image]:
    """An image, and the images decoded from two files of about the same length, by caption."""
    ours = codec.compress(image, QUALITY)
    avif = find_peer("avif")
    theirs = closest_to(lambda setting: avif.encode(image, setting), len(ours), {})
    return {
        "original": image,
        f"rdpcodec, {len(ours)} bytes": codec.decompress(ours),
        f"AVIF, {len(theirs)} bytes": Image.open(io.BytesIO(theirs)).convert("RGB"),
    }
