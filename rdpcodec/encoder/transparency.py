"""What transparency allows the encoder: nobody sees the colours under it, or its finest levels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rdpcodec.encoder.fill import smooth_fill
from rdpcodec.format.tiles import tiles_of
from rdpcodec.image import ImageData

# Units of quality below 100 that thin the levels of alpha by one more: at quality 50, every fifth is kept.
_UNITS_A_LEVEL = 10.0


def simplified(image: ImageData) -> ImageData:
    """The image without an alpha channel that is opaque everywhere, and with smooth colours where it is fully
    transparent. An image that is to be coded with `exact_alpha` stays as it is.
    """
    if image.alpha is None or image.exact_alpha:
        return image
    if image.alpha.min() == 255:
        return replace(image, alpha=None)
    hidden = image.alpha == 0
    if not hidden.any():
        return image
    pixels = image.pixels.copy()
    for tile in tiles_of(image.size):
        part = tile.slices()
        pixels[*part] = smooth_fill(image.pixels[*part], ~hidden[*part])
    return replace(image, pixels=pixels)


def alpha_step(quality: float) -> int:
    """The distance of the levels of alpha that a quality 0..100 keeps."""
    return max(1, round((100 - quality) / _UNITS_A_LEVEL))


def coarse_alpha(alpha: np.ndarray, step: int) -> np.ndarray:
    """An alpha channel, uint8, of which every `step`-th level is kept. What is opaque stays opaque, what is
    fully transparent stays so, and nothing else becomes either.
    """
    levels = ((np.arange(256) + step // 2) // step * step).clip(1, 254)
    levels[[0, 255]] = 0, 255
    return levels.astype(np.uint8)[alpha]


def is_neutral(pixels: np.ndarray) -> bool:
    """Whether all pixels of an image, uint8 `[H, W, 3]`, are gray."""
    for rows in (pixels[::64], pixels):  # a look first: photographs fail it
        red, green, blue = (rows[..., channel] for channel in range(3))
        if not (np.array_equal(red, green) and np.array_equal(green, blue)):
            return False
    return True
