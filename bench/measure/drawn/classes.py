"""The made set: 64 images in six classes, the same on every machine with the same packages."""

from __future__ import annotations

from PIL import Image

from bench.measure.drawn import charts, icons, interfaces, line_art, mixed, text

CLASSES = {
    "interfaces": interfaces.images,
    "text": text.images,
    "charts": charts.images,
    "line art": line_art.images,
    "pixel art and icons": icons.images,
    "mixed pages": mixed.images,
}


def made_set() -> dict[str, dict[str, Image.Image]]:
    """The images of each class by name, RGB."""
    return {name: draw() for name, draw in CLASSES.items()}
