"""The picture in README: a crop of the demo's photograph beside JPEG and WebP of as many bytes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import rdpcodec
from rdpcodec.metrics.distortion import psnr

HERE = Path(__file__).parent
QUALITY = 28
CROP = (150, 60, 450, 290)


def at_most(image: Image.Image, kind: str, size: int, **options: object) -> bytes:
    """The best file of a Pillow format that is no larger than `size`, or the smallest there is."""
    files = []
    for quality in range(1, 96):
        buffer = io.BytesIO()
        image.save(buffer, kind, quality=quality, **options)
        files.append(buffer.getvalue())
    return max((f for f in files if len(f) <= size), key=len, default=min(files, key=len))


def main() -> None:
    original = Image.open(HERE / "coffee.png").convert("RGB")
    data = rdpcodec.compress(original, QUALITY)
    jpeg = at_most(original, "JPEG", len(data), optimize=True, progressive=True)
    webp = at_most(original, "WEBP", len(data), method=6)
    panels = [("original", original, 0)]
    for name, size, image in (
        ("JPEG", len(jpeg), Image.open(io.BytesIO(jpeg))),
        ("WebP", len(webp), Image.open(io.BytesIO(webp))),
        ("rdpcodec", len(data), rdpcodec.decompress(data)),
    ):
        panels.append((name, image.convert("RGB"), size))
    width, height = CROP[2] - CROP[0], CROP[3] - CROP[1]
    figure = Image.new("RGB", (4 * width + 30, height + 22), "white")
    draw = ImageDraw.Draw(figure)
    for i, (name, image, size) in enumerate(panels):
        left = i * (width + 10)
        figure.paste(image.crop(CROP), (left, 22))
        error = psnr(np.asarray(original), np.asarray(image))
        label = f"{name}, {size} bytes, {error:.1f} dB" if size else f"{name}, 600 x 400"
        draw.text((left + 2, 4), label, fill="black", font_size=13)
    figure.save(HERE.parent / "images" / "coffee.jpg", quality=92, subsampling=0)
    print([(name, size) for name, _, size in panels])


if __name__ == "__main__":
    main()
