"""Interfaces: windows, an editor, a terminal, a table and a map, light and dark."""

from __future__ import annotations

import math
from random import Random

from PIL import Image, ImageDraw

from bench.measure.drawn.fonts import font

SIZE = (768, 512)
_WORDS = (
    "open",
    "file",
    "save",
    "view",
    "edit",
    "rate",
    "image",
    "preview",
    "settings",
    "network",
    "search",
    "result",
    "upload",
    "team",
    "page",
    "cost",
)
LIGHT = {"ground": "#f3f3f5", "panel": "#ffffff", "ink": "#202124", "soft": "#c8c8d0", "accent": "#1a73e8"}
DARK = {"ground": "#1e1e2e", "panel": "#2a2a3c", "ink": "#cdd6f4", "soft": "#45475a", "accent": "#89b4fa"}


def _words(random: Random, count: int) -> str:
    return " ".join(random.choice(_WORDS) for _ in range(count)).capitalize()


def window(random: Random, theme: dict[str, str]) -> Image.Image:
    """A dialogue with a list, icons and buttons."""
    image = Image.new("RGB", SIZE, theme["ground"])
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, SIZE[0], 36), theme["accent"])
    draw.text((14, 9), _words(random, 2), "white", font("bold", 15))
    for i in range(10):
        top = 50 + i * 45
        draw.rounded_rectangle((16, top, 520, top + 38), 8, theme["panel"], theme["soft"])
        draw.ellipse((26, top + 8, 48, top + 30), f"hsl({random.randrange(360)}, 70%, 50%)")
        draw.text((60, top + 6), _words(random, 4), theme["ink"], font("sans", 13))
        draw.text((60, top + 22), _words(random, 7).lower(), theme["soft"], font("sans", 10))
    for i in range(4):
        fill = theme["accent"] if i == 3 else theme["panel"]
        draw.rounded_rectangle((560, 320 + i * 44, 740, 354 + i * 44), 17, fill, theme["soft"])
        draw.text(
            (600, 328 + i * 44), _words(random, 1), "white" if i == 3 else theme["ink"], font("sans", 14)
        )
    for x in range(560, 740):
        draw.line((x, 60, x, 200), f"hsl({x - 560}, 60%, {40 + (x - 560) // 6}%)")
    return image


def editor(random: Random, theme: dict[str, str]) -> Image.Image:
    """Lines of code in several colours."""
    image = Image.new("RGB", SIZE, theme["panel"])
    draw = ImageDraw.Draw(image)
    colours = ("#cba6f7", "#a6e3a1", "#fab387", theme["accent"], theme["ink"])
    for i in range(30):
        draw.text((6, 6 + i * 17), f"{i + 1:3d}", theme["soft"], font("mono", 12))
        x = 44.0 + 26 * random.randrange(4)
        for word in _words(random, random.randint(1, 8)).lower().split():
            draw.text((x, 6 + i * 17), word, random.choice(colours), font("mono", 12))
            x += draw.textlength(word + " ", font("mono", 12))
    return image


def table(random: Random, theme: dict[str, str]) -> Image.Image:
    """A spreadsheet with striped rows."""
    image = Image.new("RGB", SIZE, theme["panel"])
    draw = ImageDraw.Draw(image)
    for row in range(24):
        top = row * 22
        if row % 2 == 0:
            draw.rectangle((0, top, SIZE[0], top + 21), theme["accent"] if row == 0 else theme["ground"])
        for column in range(8):
            value = _words(random, 1) if not row or not column else f"{random.uniform(0, 1e4):,.2f}"
            ink = "white" if row == 0 else "#d93025" if random.random() < 0.1 else theme["ink"]
            draw.text((8 + column * 96, top + 4), value, ink, font("sans", 11))
            draw.line((column * 96, 0, column * 96, SIZE[1]), theme["soft"])
    return image


def map_(random: Random, theme: dict[str, str]) -> Image.Image:
    """Areas, roads and names."""
    image = Image.new("RGB", SIZE, "#aad3df" if theme is LIGHT else "#17263c")
    draw = ImageDraw.Draw(image)
    fills = ("#f2efe9", "#cdebb0", "#e0dfdf") if theme is LIGHT else ("#242f3e", "#263c3f", "#2f3948")
    for _ in range(24):
        x, y, radius = random.uniform(0, 768), random.uniform(0, 512), random.uniform(40, 120)
        corners = [
            (
                x + radius * random.uniform(0.6, 1) * math.cos(a),
                y + radius * random.uniform(0.6, 1) * math.sin(a),
            )
            for a in (k * math.tau / 11 for k in range(11))
        ]
        draw.polygon(corners, random.choice(fills), "#a08c78")
    for _ in range(10):
        road = [(random.uniform(0, 768), random.uniform(0, 512)) for _ in range(5)]
        draw.line(road, "#c46c00", 7, joint="curve")
        draw.line(road, random.choice(("#fcd6a4", "#ffffff")), 5, joint="curve")
    for _ in range(22):
        place = (random.uniform(0, 680), random.uniform(0, 490))
        draw.text(place, _words(random, 2), theme["ink"], font("sans", 11))
    return image


def images() -> dict[str, Image.Image]:
    """Twelve images: each kind in both themes; windows and editors with two contents."""
    found = {}
    for name, draw, count in (
        ("window", window, 2),
        ("editor", editor, 2),
        ("table", table, 1),
        ("map", map_, 1),
    ):
        for number in range(count):
            for shade, theme in (("light", LIGHT), ("dark", DARK)):
                found[f"{name}-{shade}-{number}"] = draw(Random(f"{name}{number}"), theme)
    return found
