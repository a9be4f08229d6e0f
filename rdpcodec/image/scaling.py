"""Scales images down, before coding or after decoding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from rdpcodec.errors import UsageError
from rdpcodec.image import ImageData


def scaled_down(image: ImageData, max_side: int | None) -> ImageData:
    """`scaled_image` for an `ImageData`. With `exact_alpha`, colours are scaled apart from alpha: those under
    full transparency are to be kept. Raises `UsageError` for a side under 1.
    """
    if max_side is None or max(image.size) <= max_side:
        return image
    if image.alpha is not None and image.exact_alpha:
        colours, levels = (
            np.asarray(scaled_image(Image.fromarray(values), max_side))
            for values in (image.pixels, image.alpha)
        )
        return replace(image, pixels=colours, alpha=levels)
    values = image.pixels if image.alpha is None else np.dstack([image.pixels, image.alpha])
    scaled = np.asarray(scaled_image(Image.fromarray(values), max_side))
    alpha = None if image.alpha is None else np.ascontiguousarray(scaled[:, :, 3])
    return replace(image, pixels=np.ascontiguousarray(scaled[:, :, :3]), alpha=alpha)


def scaled_image(image: Image.Image, max_side: int | None) -> Image.Image:
    """An image of mode L, LA, RGB or RGBA, scaled down so that its longer side is `max_side` pixels. A
    smaller one, or any if `max_side` is None, is returned as it is.

    This is Pillow's Lanczos filter on the stored values, as in viewers and most tools. Colours of transparent
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
