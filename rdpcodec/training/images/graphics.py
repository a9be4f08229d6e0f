"""Drawn graphics to train on beside photographs: text, charts, line art, screens, flat saturated colours.

Photographs have next to none of these, so a codec that saw photographs alone smears letters and dulls pure
colours. The graphics are drawn with Pillow and the fonts at hand; nothing is downloaded or stored.
"""

from __future__ import annotations

import colorsys
import importlib.util
import math
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_TEXT = (
    "the of and to in is was for on are with they be at this from have or by one had not but what all were "
    "when we there can an your which their said if do will each about how up out them then she many some so "
    "these would other into has more her two like him see time could no make than first been its who now"
)
_WORDS = _TEXT.split()
_MARKS = (".", ",", ";", ":", "!", "?", "%", "()", "€", "&", "#", "@", "/")
# Where systems keep fonts that can be assumed to hold text.
_FONT_FOLDERS = ("/usr/share/fonts", "/Library/Fonts", "C:/Windows/Fonts")
# Images are drawn this many times larger and shrunk: screens show both smooth print and stairs of pixels.
_OVERSAMPLING = (1, 1, 2)


def graphics(count: int, side: int, seed: int) -> list[np.ndarray]:
    """`count` images, uint8 `[side, side, 3]` each, sRGB.

    A seed gives the same images on machines with the same fonts and Pillow.
    """
    random = Random(seed)
    return [_Painter(random, side).graphic() for _ in range(count)]


@cache
def _font_files() -> tuple[Path, ...]:
    """Fonts with Latin letters: the system's, and those that matplotlib ships, if it is there."""
    folders = [Path(folder) for folder in _FONT_FOLDERS]
    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib is not None and matplotlib.origin is not None:
        folders.append(Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf")
    found = (path for folder in folders if folder.is_dir() for path in sorted(folder.rglob("*.ttf")))
    return tuple(
        path for path in found if path.name.startswith(("DejaVu", "Liberation", "Noto", "STIXGeneral"))
    )


class _Painter:
    """Draws a graphic; lengths are in units of its final pixels."""

    def __init__(self, random: Random, side: int) -> None:
        """random: what everything is drawn from, colours and words included. side: of the graphic, final."""
        self.random, self.final_side = random, side
        self.factor = random.choice(_OVERSAMPLING)
        self.side = side * self.factor
        self.image = Image.new("RGB", (self.side, self.side), self.background())
        self.draw = ImageDraw.Draw(self.image)

    def graphic(self) -> np.ndarray:
        """Draw one kind of graphic, uint8 `[side, side, 3]`; some have text over them."""
        kinds = (self.text, self.text, self.screen, self.chart, self.lines, self.shapes)
        self.random.choice(kinds)()
        if self.random.random() < 0.3:
            self.text(3)
        size = (self.final_side, self.final_side)
        return np.asarray(self.image.resize(size, Image.Resampling.BOX))

    def background(self) -> Colour:
        choice = self.random.random()
        if choice < 0.5:
            return (255, 255, 255)
        if choice < 0.65:
            return (self.random.choice((0, 18, 30, 40)),) * 3
        return self.colour()

    def colour(self) -> Colour:
        """A random colour. Half of them are as saturated as sRGB allows."""
        saturation = 1.0 if self.random.random() < 0.5 else self.random.random()
        value = 1.0 if self.random.random() < 0.5 else self.random.random()
        red, green, blue = colorsys.hsv_to_rgb(self.random.random(), saturation, value)
        return (round(red * 255), round(green * 255), round(blue * 255))

    def ink(self, ground: Colour) -> Colour:
        """A colour that can be told from the ground."""
        dark = sum(ground) < 384
        if self.random.random() < 0.4:
            return (255, 255, 255) if dark else (0, 0, 0)
        for _ in range(20):
            colour = self.colour()
            if sum(abs(a - b) for a, b in zip(colour, ground, strict=True)) > 200:
                return colour
        return (255, 255, 255) if dark else (0, 0, 0)

    def font(self, size: int) -> Font:
        files = _font_files()
        if files and self.random.random() < 0.9:
            return ImageFont.truetype(str(self.random.choice(files)), size * self.factor)
        return ImageFont.load_default(size * self.factor)

    def words(self, count: int) -> str:
        words = []
        for _ in range(count):
            word = self.random.choice(_WORDS)
            kind = self.random.random()
            if kind < 0.12:
                largest = 10 ** self.random.randint(1, 5)
                word = f"{self.random.uniform(0, largest):.{self.random.randint(0, 2)}f}"
            elif kind < 0.3:
                word = word.capitalize() if kind < 0.22 else word.upper()
            words.append(word + (self.random.choice(_MARKS) if self.random.random() < 0.1 else ""))
        return " ".join(words)

    def point(self) -> tuple[int, int]:
        return self.random.randrange(self.side), self.random.randrange(self.side)

    def box(self, least: int, most: int) -> tuple[int, int, int, int]:
        x, y = self.point()
        width, height = (self.random.randint(least, most) * self.factor for _ in range(2))
        return x, y, x + width, y + height

    def ground(self, x: int, y: int) -> Colour:
        x, y = (min(max(place, 0), self.side - 1) for place in (x, y))
        pixel = self.image.getpixel((x, y))
        assert isinstance(pixel, tuple)  # an image of three channels
        red, green, blue = pixel
        return red, green, blue

    def write(self, x: int, y: int, text: str, size: int, colour: Colour | None = None) -> None:
        font = self.font(size)
        self.draw.text((x, y), text, colour or self.ink(self.ground(x, y)), font)

    def text(self, paragraphs: int = 12) -> None:
        """Paragraphs below each other, each in a font, size and colour of its own."""
        y = self.random.randint(-10, 20)
        for _ in range(paragraphs):
            size = round(math.exp(self.random.uniform(math.log(8), math.log(48))))
            x = self.random.randint(-20, self.side // 3)
            font = self.font(size)
            ground = self.ground(x, y)
            if self.random.random() < 0.2:
                ground = self.colour()
                self.draw.rectangle((x - 4, y, self.side, y + 4 * size * self.factor), ground)
            colour = self.ink(ground)
            for _ in range(self.random.randint(1, 4)):
                self.draw.text((x, y), self.words(14), colour, font)
                y += round(1.3 * size * self.factor)
            if y > self.side:
                return

    def screen(self) -> None:
        """Windows with bars, buttons, fields and lists."""
        for _ in range(self.random.randint(1, 3)):
            left, top, right, bottom = self.box(150, 500)
            left, top, right, bottom = left - 100, top - 100, right - 100, bottom - 100
            panel, bar = self.background(), self.colour()
            title = 24 * self.factor
            self.draw.rectangle((left, top, right, bottom), panel, outline=self.ink(panel))
            self.draw.rectangle((left, top, right, top + title), bar)
            self.write(left + 8, top + 4, self.words(3), 12)
            y, row = top + title + 6, self.random.randint(16, 30) * self.factor
            while y + row < bottom:
                kind = self.random.random()
                if kind < 0.25:
                    fill = self.colour()
                    area = (left + 8, y, left + 100 * self.factor, y + row - 4)
                    self.draw.rounded_rectangle(area, 4 * self.factor, fill)
                elif kind < 0.35:
                    self.draw.line((left, y, right, y), self.ink(panel))
                self.write(left + 14, y, self.words(6), self.random.choice((10, 11, 12, 14)))
                y += row

    def chart(self) -> None:
        """Bars, curves or a pie, with a grid, axes and figures."""
        ink = self.ink(self.ground(0, 0))
        edge, step = min(40 * self.factor, self.side // 4), self.random.randint(20, 60) * self.factor
        for at in range(edge, self.side, step):
            faint = (160, 160, 160)
            self.draw.line((edge, at, self.side, at), faint)
            self.write(4, at - 6, str(self.random.randint(0, 1000)), 10, ink)
        self.draw.line((edge, 0, edge, self.side, self.side, self.side), ink, self.factor)
        kind = self.random.random()
        if kind < 0.35:
            width = max(4, step // 2)
            for x in range(edge + 4, self.side, step):
                top = self.random.randrange(edge, self.side)
                self.draw.rectangle((x, top, x + width, self.side), self.colour())
        elif kind < 0.8:
            for _ in range(self.random.randint(1, 5)):
                phase, slope, height = (self.random.uniform(0.5, 6) for _ in range(3))
                points = [
                    (x, self.side / 2 + self.side / 15 * height * math.sin(phase + slope * 6 * x / self.side))
                    for x in range(edge, self.side, 6)
                ]
                self.draw.line(points, self.colour(), self.random.randint(1, 4) * self.factor)
        else:
            angle = 0.0
            while angle < 360:
                end = angle + self.random.uniform(15, 120)
                area = (edge, edge, self.side - edge, self.side - edge)
                self.draw.pieslice(area, angle, min(end, 360), self.colour(), outline=ink)
                angle = end
        self.write(edge + 10, 8, self.words(4), 16, ink)

    def lines(self) -> None:
        """Line art: polygons, circles, hatching."""
        ink = self.ink(self.ground(0, 0))
        for _ in range(self.random.randint(10, 50)):
            width = self.random.choice((1, 1, 1, 2, 3, 6)) * self.factor
            colour = ink if self.random.random() < 0.7 else self.colour()
            kind = self.random.random()
            if kind < 0.4:
                self.draw.line([self.point() for _ in range(self.random.randint(2, 6))], colour, width)
            elif kind < 0.7:
                self.draw.ellipse(self.box(10, 200), outline=colour, width=width)
            else:
                left, top, right, bottom = self.box(20, 150)
                for x in range(left, right, self.random.randint(2, 8) * self.factor):
                    self.draw.line((x, top, x + (bottom - top) // 2, bottom), colour, width)

    def shapes(self) -> None:
        """Flat areas that overlap, and gradients of pure colours."""
        for _ in range(self.random.randint(4, 25)):
            kind, fill = self.random.random(), self.colour()
            if kind < 0.4:
                self.draw.rectangle(self.box(10, 300), fill)
            elif kind < 0.6:
                self.draw.ellipse(self.box(10, 250), fill)
            elif kind < 0.85:
                self.draw.polygon([self.point() for _ in range(3)], fill)
            else:
                left, top, right, bottom = self.box(50, 250)
                other = self.colour()
                for x in range(left, right):
                    share = (x - left) / (right - left)
                    mixed = [round(a + share * (b - a)) for a, b in zip(fill, other, strict=True)]
                    self.draw.line((x, top, x, bottom), (mixed[0], mixed[1], mixed[2]))
