"""Images scaled down, before they are coded or after they were decoded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from rdpcodec.errors import UsageError
from rdpcodec.image import Picture


def scaled_down(picture: Picture, max_side: int | None) -> Picture:
    """`scaled_image` of a picture. Raises `UsageError` for a side under 1."""
    if max_side is None or max(picture.size) <= max_side:
        return picture
    if picture.alpha is None:
        image = scaled_image(Image.fromarray(picture.pixels), max_side)
        return replace(picture, pixels=np.asarray(image))
    image = Image.fromarray(np.dstack([picture.pixels, picture.alpha]))
    values = np.asarray(scaled_image(image, max_side))
    pixels, alpha = np.ascontiguousarray(values[:, :, :3]), np.ascontiguousarray(values[:, :, 3])
    return replace(picture, pixels=pixels, alpha=alpha)


def scaled_image(image: Image.Image, max_side: int | None) -> Image.Image:
    """An image whose longer side is at most `max_side` pixels, in the proportions of the original; a smaller
    one, or any where `max_side` is none, as it is. It is of mode L, LA, RGB or RGBA.

    Pillow's Lanczos filter, on the stored values, as viewers and most tools do it. Colours of transparent
    pixels do not bleed into their neighbours: Pillow scales them premultiplied. Raises `UsageError` for a
    side under 1.
    """
    if max_side is None:
        return image
    if max_side < 1:
        raise UsageError(f"a longest side of {max_side} pixels: give 1 or more")
    longest = max(image.size)
    if longest <= max_side:
        return image
    width, height = (max(1, round(side * max_side / longest)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)
