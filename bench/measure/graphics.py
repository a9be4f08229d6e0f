"""`python -m bench measure graphics`: images that are no photographs, drawn with Pillow alone.

Text, charts, a window, a map, line art and a gradient, 768×512 each and the same on every machine: what a
codec trained on photographs is most likely to spoil.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import click
from PIL import Image, ImageDraw, ImageFont

SIZE = (768, 512)
_SENTENCE = (
    "the rate of an image is the number of bits that its file takes for each pixel and distortion is how "
    "far what comes back lies from what went in so a curve of the two says what a codec is worth"
)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _lines(count: int, words: int, seed: int) -> list[str]:
    source, vocabulary = random.Random(seed), _SENTENCE.split()
    return [" ".join(source.choice(vocabulary) for _ in range(words)) for _ in range(count)]


def text(draw: ImageDraw.ImageDraw) -> None:
    """A printed page: a heading and paragraphs in three sizes."""
    draw.rectangle((0, 0, *SIZE), "white")
    draw.text((40, 24), "On the measure of pictures", "black", _font(34))
    for i, line in enumerate(_lines(18, 12, 1)):
        draw.text((40, 80 + i * 22), line, "black", _font((12, 14, 16)[i % 3]))


def code(draw: ImageDraw.ImageDraw) -> None:
    """An editor's dark window with coloured words."""
    draw.rectangle((0, 0, *SIZE), "#1e1e2e")
    colours = ("#cba6f7", "#a6e3a1", "#f9e2af", "#89b4fa", "#cdd6f4")
    for i, line in enumerate(_lines(26, 8, 2)):
        x = 24.0 + 28 * (i % 4)
        draw.text((4, 10 + i * 19), f"{i + 1:3d}", "#585b70", _font(13))
        for j, word in enumerate(line.split()):
            draw.text((x + 12, 10 + i * 19), word, colours[(i * 3 + j) % 5], _font(14))
            x += draw.textlength(word + " ", _font(14))


def chart(draw: ImageDraw.ImageDraw) -> None:
    """Bars and lines on a grid."""
    draw.rectangle((0, 0, *SIZE), "white")
    for y in range(60, 460, 40):
        draw.line((60, y, 740, y), "#dddddd")
        draw.text((24, y - 7), str(460 - y), "#444444", _font(12))
    for i in range(14):
        height = 60 + 150 * (1 + math.sin(i * 0.9))
        draw.rectangle((80 + i * 46, 460 - height, 104 + i * 46, 460), "#4477aa")
    for k, colour in enumerate(("#cc3311", "#009988", "#ee7733")):
        points = [(60 + x, 260 - 90 * math.sin(x / (60 + 25 * k) + k)) for x in range(0, 680, 8)]
        draw.line(points, colour, 2)
    draw.line((60, 460, 740, 460), "black", 2)


def window(draw: ImageDraw.ImageDraw) -> None:
    """A dialogue with buttons, a list and icons."""
    draw.rectangle((0, 0, *SIZE), "#e8e8ec")
    draw.rectangle((0, 0, SIZE[0], 32), "#3465a4")
    draw.text((12, 7), "Preferences", "white", _font(16))
    for i, line in enumerate(_lines(9, 4, 3)):
        draw.rounded_rectangle((20, 52 + i * 44, 480, 88 + i * 44), 8, "white", "#bbbbbb")
        draw.ellipse((30, 60 + i * 44, 50, 80 + i * 44), f"hsl({i * 40}, 70%, 50%)")
        draw.text((64, 61 + i * 44), line, "#222222", _font(15))
    for i, label in enumerate(("Cancel", "Apply", "Keep")):
        draw.rounded_rectangle((520, 380 + i * 42, 740, 414 + i * 42), 6, "#5294e2" if i == 2 else "#d0d0d4")
        draw.text((600, 388 + i * 42), label, "black", _font(15))


def map_(draw: ImageDraw.ImageDraw) -> None:
    """Areas, roads and names in flat colours."""
    draw.rectangle((0, 0, *SIZE), "#aad3df")
    source = random.Random(4)
    for i in range(24):
        x, y, radius = source.uniform(0, 768), source.uniform(0, 512), source.uniform(40, 120)
        corners = [
            (
                x + radius * source.uniform(0.6, 1) * math.cos(a),
                y + radius * source.uniform(0.6, 1) * math.sin(a),
            )
            for a in (k * math.tau / 11 for k in range(11))
        ]
        draw.polygon(corners, ("#f2efe9", "#cdebb0", "#e0dfdf")[i % 3], "#a08c78")
    for i in range(10):
        road = [(source.uniform(0, 768), source.uniform(0, 512)) for _ in range(5)]
        draw.line(road, "#c46c00", 7, joint="curve")
        draw.line(road, ("#fcd6a4", "#ffffff")[i % 2], 5, joint="curve")
    for line in _lines(22, 2, 5):
        draw.text((source.uniform(0, 680), source.uniform(0, 490)), line, "#333333", _font(12))


def line_art(draw: ImageDraw.ImageDraw) -> None:
    """Thin lines at all angles and a checkerboard."""
    draw.rectangle((0, 0, *SIZE), "white")
    for i in range(72):
        angle = i * math.tau / 72
        end = (256 + 240 * math.cos(angle), 256 + 240 * math.sin(angle))
        draw.line((256, 256, *end), "black", 1 + i % 3)
    for i in range(32):
        for j in range(16):
            if (i + j) % 2:
                draw.rectangle((520 + j * 14, 20 + i * 14, 533 + j * 14, 33 + i * 14), "#222288")


def gradient(draw: ImageDraw.ImageDraw) -> None:
    """Smooth shades, where banding and blocks show first."""
    for x in range(SIZE[0]):
        draw.line((x, 0, x, SIZE[1]), (x * 255 // SIZE[0], 90 + x * 60 // SIZE[0], 255 - x * 200 // SIZE[0]))
    for radius in range(200, 0, -1):
        shade = 255 - radius
        draw.ellipse((384 - radius, 256 - radius, 384 + radius, 256 + radius), (shade, shade, 200))


IMAGES: dict[str, Callable[[ImageDraw.ImageDraw], None]] = {
    "text": text,
    "code": code,
    "chart": chart,
    "window": window,
    "map": map_,
    "line-art": line_art,
    "gradient": gradient,
}


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def graphics(folder: Path) -> None:
    """Draw the images into FOLDER, to be measured with `bench measure rd --data FOLDER`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in IMAGES.items():
        image = Image.new("RGB", SIZE)
        draw(ImageDraw.Draw(image))
        image.save(folder / f"{name}.png")
