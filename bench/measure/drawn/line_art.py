"""Line art: thin lines at all angles, hatching, circles, polygons; both smooth and with jagged edges."""

from __future__ import annotations

import math
from random import Random

from PIL import Image, ImageDraw

SIDE = 512


def star(random: Random, draw: ImageDraw.ImageDraw, side: int) -> None:
    for i in range(72):
        angle, reach = i * math.tau / 72, side * random.uniform(0.3, 0.48)
        end = (side / 2 + reach * math.cos(angle), side / 2 + reach * math.sin(angle))
        draw.line((side / 2, side / 2, *end), "black", 1 + i % 3)


def hatching(random: Random, draw: ImageDraw.ImageDraw, side: int) -> None:
    for _ in range(12):
        left, top, size = random.randrange(side), random.randrange(side), random.randrange(40, side // 3)
        draw.rectangle((left, top, left + size, top + size), outline="black")
        for x in range(0, size, random.randint(3, 9)):
            draw.line((left + x, top, left + size, top + size - x), "#303030")


def rings(random: Random, draw: ImageDraw.ImageDraw, side: int) -> None:
    for _ in range(25):
        x, y, radius = random.randrange(side), random.randrange(side), random.randrange(8, side // 5)
        draw.ellipse(
            (x - radius, y - radius, x + radius, y + radius), outline="black", width=random.randint(1, 4)
        )


def curves(random: Random, draw: ImageDraw.ImageDraw, side: int) -> None:
    for k in range(9):
        turns, phase = random.uniform(1, 6), random.uniform(0, 6)
        points = [
            (x, side * (k + 1) / 10 + side / 14 * math.sin(phase + turns * math.tau * x / side))
            for x in range(0, side, 3)
        ]
        draw.line(points, random.choice(("black", "black", "#b00020", "#0645ad")), random.randint(1, 3))


def polygons(random: Random, draw: ImageDraw.ImageDraw, side: int) -> None:
    for _ in range(30):
        corners = [(random.randrange(side), random.randrange(side)) for _ in range(random.randint(3, 5))]
        draw.polygon(corners, outline="black")


def images() -> dict[str, Image.Image]:
    """Ten images: each kind as drawn, and smoothed by drawing it four times as large."""
    found = {}
    for kind in (star, hatching, rings, curves, polygons):
        for name, factor in (("sharp", 1), ("smooth", 4)):
            image = Image.new("RGB", (SIDE * factor, SIDE * factor), "white")
            kind(Random(kind.__name__), ImageDraw.Draw(image), SIDE * factor)
            found[f"{kind.__name__}-{name}"] = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    return found
