"""Large images in bounded memory: a grid of tiles, each coded on its own.

Entropy coding and the prediction of means end at a tile's border, so that tiles can be decoded alone and side
by side. Analysis and synthesis look across the border: they work on a tile with a margin as wide as they see,
and so make the same latents and pixels as on the whole image. There is no seam to hide.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

# All are part of the bitstream; docs/format.md states them. A tile of 1024² pixels takes a quarter of a
# gigabyte to decode. Only the latents along its border, 252 of 4096 positions, lack neighbours.
TILE = 1024
PATCH = 16  # pixels per latent, along each side
HYPER_FACTOR = 4  # latents per hyper-latent, along each side
GRID = PATCH * HYPER_FACTOR  # pixels per hyper-latent


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels: left and top inside, right and bottom outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    def grown(self, margin: int, width: int, height: int) -> Box:
        """The box with a margin on all sides, within an image of `width` and `height`."""
        return Box(
            max(0, self.left - margin),
            max(0, self.top - margin),
            min(width, self.right + margin),
            min(height, self.bottom + margin),
        )

    def common(self, other: Box) -> Box | None:
        """What two boxes have in common; None if nothing."""
        box = Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )
        return box if box.width > 0 and box.height > 0 else None

    def slices(self, frame: Box | None = None) -> tuple[slice, slice]:
        """Rows and columns of an array `[H, W, …]` of the whole image, or of a `frame` around the box."""
        top, left = (0, 0) if frame is None else (frame.top, frame.left)
        return (
            slice(self.top - top, self.bottom - top),
            slice(self.left - left, self.right - left),
        )


def tile_grid(width: int, height: int) -> list[list[Box]]:
    """The tiles of an image, row by row."""
    across, down = _side(width), _side(height)
    return [
        [
            Box(left, top, min(left + across, width), min(top + down, height))
            for left in range(0, width, across)
        ]
        for top in range(0, height, down)
    ]


def tiles_of(size: tuple[int, int]) -> list[Box]:
    """The tiles of an image of `size` (width, height), row by row."""
    return list(chain.from_iterable(tile_grid(*size)))


def _side(length: int) -> int:
    """Length of tiles along a side: as few as possible, at most TILE pixels, nearly equal, on the grid."""
    count = -(-length // TILE)
    return GRID * -(-length // (GRID * count))
