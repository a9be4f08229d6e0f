"""`ImageData`: an image as the codec takes it and gives it back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rdpcodec.metadata import resolution_of

# The mean of three channels is taken for this many pixels at a time: a few megabytes of working memory.
_STRIP = 1 << 20


@dataclass(frozen=True)
class ImageData:
    """An image as the codec takes it and gives it back."""

    pixels: np.ndarray  # uint8 [H, W, 3], sRGB, or in the colour space of `icc`
    gray: bool = False  # the three channels are equal and one is to be returned
    alpha: np.ndarray | None = None  # uint8 [H, W]
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    exact_alpha: bool = False  # transparency is to be kept to the last level, and so are the colours under it
    neutral: bool = False  # the three channels are equal and all are to be returned

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def to_pillow(self) -> Image.Image:
        """A Pillow image, mode L, LA, RGB or RGBA, with `icc_profile`, `exif`, `xmp` and `dpi` in its `info`
        where kept.
        """
        image = Image.fromarray(self._colours())
        if self.alpha is not None:
            image.putalpha(Image.fromarray(self.alpha))
        kept = {"icc_profile": self.icc, "exif": self.exif, "xmp": self.xmp}
        image.info |= {key: value for key, value in kept.items() if value is not None}
        if self.exif is not None and (resolution := resolution_of(self.exif)):
            image.info["dpi"] = resolution
        return image

    def to_array(self) -> np.ndarray:
        """The image as uint8 `[H, W]`, `[H, W, 2]`, `[H, W, 3]` or `[H, W, 4]`, alpha last, contiguous."""
        colours = self._colours()
        return np.ascontiguousarray(colours if self.alpha is None else np.dstack([colours, self.alpha]))

    def _colours(self) -> np.ndarray:
        if not (self.gray or self.neutral):
            return self.pixels
        mean = _mean(self.pixels)
        return mean if self.gray else np.repeat(mean[..., None], 3, axis=2)


def _mean(pixels: np.ndarray) -> np.ndarray:
    """The mean of the channels of uint8 `[H, W, 3]`, rounded, uint8 `[H, W]`.

    Equal channels come back nearly equal; their mean has the smallest error.
    """
    mean = np.empty(pixels.shape[:2], np.uint8)
    rows = max(1, _STRIP // pixels.shape[1])
    for top in range(0, len(pixels), rows):
        strip = pixels[top : top + rows]
        total = strip[..., 0].astype(np.uint16)
        total += strip[..., 1]
        total += strip[..., 2]
        mean[top : top + rows] = (total + 1) // 3
    return mean
