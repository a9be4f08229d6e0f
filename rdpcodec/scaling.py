"""Images scaled down, before they are coded or after they were decoded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from rdpcodec.errors import UsageError
from rdpcodec.image import ImageData


def scaled_down(image: ImageData, max_side: int | None) -> ImageData:
    """`scaled_image` of an image. Raises `UsageError` for a side under 1."""
    if max_side is None or max(image.size) <= max_side:
        return image
    if image.alpha is None:
        colours = scaled_image(Image.fromarray(image.pixels), max_side)
        return replace(image, pixels=np.asarray(colours))
    both = Image.fromarray(np.dstack([image.pixels, image.alpha]))
    values = np.asarray(scaled_image(both, max_side))
    pixels, alpha = np.ascontiguousarray(values[:, :, :3]), np.ascontiguousarray(values[:, :, 3])
    return replace(image, pixels=pixels, alpha=alpha)


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
