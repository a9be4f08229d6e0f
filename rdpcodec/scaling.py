"""Images scaled down before they are coded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from rdpcodec.errors import UsageError
from rdpcodec.image import Picture


def scaled_down(picture: Picture, max_side: int | None) -> Picture:
    """An image whose longer side is at most `max_side` pixels, in the proportions of the original; a smaller
    one, or any where `max_side` is none, as it is.

    Pillow's Lanczos filter, on the stored values, as viewers and most tools do it. Raises `UsageError` for a
    side under 1.
    """
    if max_side is None:
        return picture
    if max_side < 1:
        raise UsageError(f"a longest side of {max_side} pixels: give 1 or more")
    longest = max(picture.size)
    if longest <= max_side:
        return picture
    width, height = (max(1, round(side * max_side / longest)) for side in picture.size)

    def scaled(image: Image.Image) -> Image.Image:
        return image.resize((width, height), Image.Resampling.LANCZOS)

    if picture.alpha is None:
        return replace(picture, pixels=np.asarray(scaled(Image.fromarray(picture.pixels))))
    # Colours of transparent pixels would bleed into their neighbours: Pillow scales RGBA premultiplied.
    image = Image.fromarray(np.dstack([picture.pixels, picture.alpha]))
    values = np.asarray(scaled(image))
    pixels, alpha = np.ascontiguousarray(values[:, :, :3]), np.ascontiguousarray(values[:, :, 3])
    return replace(picture, pixels=pixels, alpha=alpha)
