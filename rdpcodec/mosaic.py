"""Whole images ⇄ tiles: cuts tiles with the surroundings that the networks see, and joins their pixels again.

Analysis and synthesis work on a window: a tile, or a part of one, with a margin as wide as they see. Latents
and pixels inside are then those of the whole image: there is no seam. `rdpcodec.format.tiles` says
which tiles there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import index
from typing import Protocol

import numpy as np

from rdpcodec.engine.interface import Engine, Features
from rdpcodec.errors import UsageError
from rdpcodec.format import exact_layer
from rdpcodec.format.container import Container, Segment, split_tiles
from rdpcodec.format.exact_layer import ExactLayer
from rdpcodec.format.symbols import Symbols
from rdpcodec.format.tiles import PATCH, Box, tile_grid, tiles_of
from rdpcodec.tile_codec import TileCodec

Size = tuple[int, int]
"""Width and height of an image, in pixels."""
Region = tuple[int, int, int, int]
"""Left, top, width and height of a part of an image, in pixels."""


@dataclass(frozen=True)
class Window:
    """A part of an image, `inner`, and what the networks see to code it, `outer`. Both are in pixels; `outer`
    begins at multiples of 16.
    """

    inner: Box
    outer: Box

    @classmethod
    def around(cls, inner: Box, margin: int, size: Size) -> Window:
        """`inner` with a margin in pixels, within an image of `size`."""
        grown = inner.grown(margin, *size)
        left, top = grown.left // PATCH * PATCH, grown.top // PATCH * PATCH
        return cls(inner, Box(left, top, grown.right, grown.bottom))

    def pixels(self, outer: np.ndarray) -> np.ndarray:
        """The pixels of `inner`, cut from those of `outer`, `[B, H, W, 3]`."""
        top, left = self.inner.top - self.outer.top, self.inner.left - self.outer.left
        return outer[:, top : top + self.inner.height, left : left + self.inner.width]

    def latents(self, outer: np.ndarray) -> np.ndarray:
        """The latents of `inner`, cut from those of `outer`, `[B, N, h, w]`.

        `inner` must begin at multiples of 16, too.
        """
        top, left = self.corner
        height, width = -(-self.inner.height // PATCH), -(-self.inner.width // PATCH)
        return outer[:, :, top : top + height, left : left + width]

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column in the latents of `outer` where those of `inner` begin."""
        return (self.inner.top - self.outer.top) // PATCH, (self.inner.left - self.outer.left) // PATCH


class AnalysedTiles:
    """The analysed tiles of images of one size: symbols at any number of qualities.

    For an image of one tile, what all qualities share (37 % of the time of an encode) is computed once. For
    larger images it is computed anew for each quality: keeping it would fill the memory that tiles are meant
    to bound.
    """

    def __init__(self, engine: Engine, pixels: Sequence[np.ndarray]) -> None:
        """pixels: uint8 `[H, W, 3]` each, of one size."""
        self._engine, self._pixels = engine, pixels
        height, width = pixels[0].shape[:2]
        margin = self._engine.analysis_margin
        self._windows = [Window.around(tile, margin, (width, height)) for tile in tiles_of((width, height))]
        self._kept: Features | None = None

    def symbols(self, quality: float) -> list[list[Symbols]]:
        """The symbols of the tiles of each image, row by row, at a quality 0..100."""
        tiles = []
        for window in self._windows:
            latents = self._engine.analyse(self._features(window), quality)
            tiles.append(self._engine.to_symbols(window.latents(latents), quality))
        return [list(image) for image in zip(*tiles, strict=True)]

    def _features(self, window: Window) -> Features:
        if self._kept is not None:
            return self._kept
        features = self._engine.features(
            np.stack([pixels[*window.outer.slices()] for pixels in self._pixels])
        )
        if len(self._windows) == 1:
            self._kept = features
        return features


class Tiles(Protocol):
    """A sequence: item i holds the symbols of tile i in each of several images."""

    def __getitem__(self, number: int, /) -> Sequence[Symbols]:
        """One tile; tiles are counted row by row."""


class CodedTiles:
    """The tiles of files of one size and quality: item i holds the symbols of tile i in each file, decoded on
    access.

    Access raises `FormatError` when the data does not fit.
    """

    def __init__(self, tile_codec: TileCodec, files: Sequence[Container]) -> None:
        header = files[0].header
        self._tile_codec, self._quality = tile_codec, header.quality
        self._tiles = tiles_of(header.image_size)
        self._payloads = [split_tiles(file.coded_image, len(self._tiles)) for file in files]
        self.exact = [exact_of(file, self._tiles) for file in files]

    def __iter__(self) -> Iterator[list[Symbols]]:
        return map(self.__getitem__, range(len(self._tiles)))

    def __getitem__(self, number: int, /) -> list[Symbols]:
        tile, coded = self._tiles[number], [payload[number] for payload in self._payloads]
        # A tile may be left out of a file whose exact layer covers it.
        present = [i for i, data in enumerate(coded) if data or not self.exact[i].covers(number)]
        decoded = self._tile_codec.decode([coded[i] for i in present], tile, self._quality) if present else []
        symbols = dict(zip(present, decoded, strict=True))
        return [
            symbols[i] if i in symbols else self._tile_codec.blank(tile, self._quality)
            for i in range(len(coded))
        ]


def exact_of(file: Container, tiles: Sequence[Box]) -> ExactLayer:
    """The exact layer of a file whose image has these tiles; an empty one if the file has none."""
    if Segment.EXACT not in file.segments:
        return ExactLayer.empty(tiles)
    return exact_layer.split(file.segments[Segment.EXACT], tiles)


class Mosaic:
    """Images of one size and quality, as latents of tiles. At most two rows and three tiles are kept."""

    def __init__(
        self, engine: Engine, tiles: Tiles, size: Size, quality: float, exact: Sequence[ExactLayer]
    ) -> None:
        """tiles: the symbols of each tile, row by row, in each of the images; exact: each image's layer."""
        self._engine, self._tiles, self.size, self._quality = engine, tiles, size, quality
        self._exact = exact
        self._grid = tile_grid(*size)
        self._kept: dict[tuple[int, int], np.ndarray] = {}

    def decode(self, region: Box, realism: float) -> np.ndarray:
        """A region of the images as pixels, uint8 `[B, H, W, 3]`."""
        pixels = np.empty((len(self._exact), region.height, region.width, 3), np.uint8)
        for number, tile in enumerate(chain.from_iterable(self._grid)):
            part = tile.common(region)
            if part is None:
                continue
            inside = pixels[:, *part.slices(region)]
            if not all(exact.covers(number) for exact in self._exact):
                window = Window.around(part, self._engine.synthesis_margin, self.size)
                latents = self._latents(window.outer)
                inside[:] = window.pixels(self._engine.synthesise(latents, self._quality, realism))
            for image, exact in zip(inside, self._exact, strict=True):
                exact.replace(image, part, number)
        return pixels

    def _latents(self, box: Box) -> np.ndarray:
        """The latents of a box that begins at multiples of 16, `[B, N, h, w]`, gathered from its tiles."""
        gathered: np.ndarray | None = None
        for row, tiles in enumerate(self._grid):
            for column, tile in enumerate(tiles):
                part = tile.common(box)
                if part is None:
                    continue
                known = self._tile_latents(row, column)
                if gathered is None:
                    shape = (*known.shape[:2], -(-box.height // PATCH), -(-box.width // PATCH))
                    gathered = np.empty_like(known, shape=shape)  # in the engine's own order of axes
                inside = Window(part, tile).latents(known)
                height, width = inside.shape[2:]
                top, left = Window(part, box).corner
                gathered[:, :, top : top + height, left : left + width] = inside
        assert gathered is not None
        return gathered

    def _tile_latents(self, row: int, column: int) -> np.ndarray:
        if (row, column) not in self._kept:
            # The first window to need this tile is that of its neighbour above and to the left.
            for key in [key for key in self._kept if key < (row - 2, column - 2)]:
                del self._kept[key]
            symbols = self._tiles[row * len(self._grid[0]) + column]
            self._kept[row, column] = self._engine.from_symbols(symbols, self._quality)
        return self._kept[row, column]


def region_of(region: Region | None, size: Size) -> Box:
    """The box of a region as users give it: left, top, width, height; None means the whole image.

    Raises `UsageError` unless it is four whole numbers and lies within the image.
    """
    try:
        left, top, width, height = (0, 0, *size) if region is None else map(index, region)
    except (TypeError, ValueError):
        raise UsageError(f"region {region!r}: give four whole numbers: left, top, width, height") from None
    if left < 0 or top < 0 or width < 1 or height < 1 or left + width > size[0] or top + height > size[1]:
        raise UsageError(
            f"region {left},{top},{width},{height} does not lie within the image, {size[0]}×{size[1]} pixels"
        )
    return Box(left, top, left + width, top + height)
