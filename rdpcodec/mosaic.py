"""Whole images ⇄ tiles: each tile with the surroundings that the networks see, and pixels put together again.

Analysis and synthesis work on a window: a tile, or a part of one, with a margin as wide as they see. Latents
and pixels of the inside are then those of the whole image; there is no seam. Which tiles there are says
`rdpcodec.tiles`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import index
from typing import Protocol

import numpy as np

from rdpcodec import exact_layer
from rdpcodec.container import Container, Segment
from rdpcodec.errors import UsageError
from rdpcodec.exact_layer import ExactLayer
from rdpcodec.symbols import Symbols
from rdpcodec.tile_codec import Features, TileCodec
from rdpcodec.tiles import PATCH, Box, split_tiles, tile_grid, tiles_of

Size = tuple[int, int]
"""Width and height of an image, in pixels."""
Region = tuple[int, int, int, int]
"""Left, top, width and height of a part of an image, in pixels."""


@dataclass(frozen=True)
class Window:
    """A part of an image, `inner`, and what is looked at to code it, `outer`. Both in pixels; `outer` begins
    at multiples of 16.
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
        """The inside of pixels `[B, H, W, 3]` of the outside."""
        top, left = self.inner.top - self.outer.top, self.inner.left - self.outer.left
        return outer[:, top : top + self.inner.height, left : left + self.inner.width]

    def latents(self, outer: np.ndarray) -> np.ndarray:
        """The inside of latents `[B, N, h, w]` of the outside; `inner` begins at multiples of 16, too."""
        top, left = self.corner
        height, width = -(-self.inner.height // PATCH), -(-self.inner.width // PATCH)
        return outer[:, :, top : top + height, left : left + width]

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column of the latents of the outside at which those of the inside begin."""
        return (self.inner.top - self.outer.top) // PATCH, (self.inner.left - self.outer.left) // PATCH


class AnalysedTiles:
    """The tiles of images of one size, analysed: symbols at any number of qualities.

    What all qualities share of an image of one tile is computed once, 37 % of the time of an encode. Of
    larger images it is computed anew for each quality: kept, it would fill the memory that tiles are there to
    bound.
    """

    def __init__(self, tile_codec: TileCodec, pixels: Sequence[np.ndarray]) -> None:
        """pixels: uint8 `[H, W, 3]` each, of one size."""
        self._engine, self._pixels = tile_codec.engine, pixels
        height, width = pixels[0].shape[:2]
        margin = self._engine.analysis_margin
        self._windows = [Window.around(tile, margin, (width, height)) for tile in tiles_of((width, height))]
        self._kept: Features | None = None

    def symbols(self, quality: float) -> list[list[Symbols]]:
        """The symbols of the tiles of each image, row by row, at a quality 0..100."""
        tiles = []
        for window in self._windows:
            latents = self._engine.analyse(self._features(window), quality)
            tiles.append(self._engine.quantise(window.latents(latents), quality))
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
    """Item i holds the symbols of tile i of each of some images."""

    def __getitem__(self, number: int, /) -> Sequence[Symbols]:
        """A tile, row by row."""


class CodedTiles:
    """The tiles of files of one size and quality: item i holds the symbols of tile i of each file, decoded
    when it is asked for.

    Asking raises `FormatError` when the data does not fit.
    """

    def __init__(self, tile_codec: TileCodec, files: Sequence[Container]) -> None:
        header = files[0].header
        self._tile_codec, self._quality = tile_codec, header.quality
        self._tiles = tiles_of((header.width, header.height))
        self._payloads = [split_tiles(file.image, len(self._tiles)) for file in files]
        self.exact = [exact_of(file, self._tiles) for file in files]

    def __len__(self) -> int:
        return len(self._tiles)

    def __iter__(self) -> Iterator[list[Symbols]]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, number: int, /) -> list[Symbols]:
        if not 0 <= number < len(self):
            raise IndexError(number)
        coded, tile = [payload[number] for payload in self._payloads], self._tiles[number]
        blank = [not data and exact.covers(number) for data, exact in zip(coded, self.exact, strict=True)]
        said = [data for data, nothing in zip(coded, blank, strict=True) if not nothing]
        decoded = iter(self._tile_codec.decode(said, tile, self._quality) if said else ())
        return [
            self._tile_codec.blank(tile, self._quality) if nothing else next(decoded) for nothing in blank
        ]


def exact_of(file: Container, tiles: Sequence[Box]) -> ExactLayer:
    """The exact layer of a file whose image has these tiles; an empty one if the file has none."""
    if Segment.EXACT not in file.segments:
        return ExactLayer([b""] * len(tiles), tiles)
    return exact_layer.split(file.segments[Segment.EXACT], tiles)


class Mosaic:
    """Images of one size and quality as their tiles' latents. Two rows and three tiles are kept at most."""

    def __init__(
        self,
        tile_codec: TileCodec,
        tiles: Tiles,
        size: Size,
        quality: float,
        exact: Sequence[ExactLayer] = (),
    ) -> None:
        """tiles: the symbols of each tile, row by row, in each of the images; exact: the exact layer of each
        image, where any has one.
        """
        self._engine, self._tiles, self.size, self._quality = tile_codec.engine, tiles, size, quality
        self._exact = exact
        self._grid = tile_grid(*size)
        self._kept: dict[tuple[int, int], np.ndarray] = {}

    def decode(self, region: Box, realism: float) -> np.ndarray:
        """A region of the images as pixels, uint8 `[B, H, W, 3]`."""
        pixels: np.ndarray | None = None
        for part, array in self._parts(region, realism):
            if pixels is None:
                pixels = np.empty((len(array), region.height, region.width, 3), np.uint8)
            pixels[:, *part.slices(region)] = array
        assert pixels is not None
        return pixels

    def _parts(self, region: Box, realism: float) -> Iterator[tuple[Box, np.ndarray]]:
        """The parts of a region that lie in one tile each, and their pixels."""
        for number, tile in enumerate(chain.from_iterable(self._grid)):
            part = tile.common(region)
            if part is None:
                continue
            if self._exact and all(exact.covers(number) for exact in self._exact):
                pixels = np.empty((len(self._exact), part.height, part.width, 3), np.uint8)
            else:
                window = Window.around(part, self._engine.synthesis_margin, self.size)
                latents = self._latents(window.outer)
                pixels = window.pixels(self._engine.synthesise(latents, self._quality, realism))
            for image, exact in zip(pixels, self._exact, strict=False):
                exact.replace(image, part, number)
            yield part, pixels

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
            self._kept[row, column] = self._engine.dequantise(symbols, self._quality)
        return self._kept[row, column]


def region_of(region: Region | None, size: Size) -> Box:
    """A region as users give it: left, top, width and height; all of the image without one.

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
