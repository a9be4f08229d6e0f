"""Tiles of images: symbols ⇄ bytes, under the tables that an engine computes.

Between pixels and symbols lie the networks of `rdpcodec.engine`, through which `rdpcodec.mosaic` sends tiles.
Where a tile lies in its image is not known here. All tiles of a call have one size and quality.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rdpcodec.engine.interface import Engine
from rdpcodec.symbols import SymbolCoder, Symbols
from rdpcodec.tiles import GRID, PATCH, Box


class TileCodec:
    """Symbols of tiles ⇄ bytes, with one model. Holds no state between calls.

    `engine` is for those who need the networks too.
    """

    def __init__(self, engine: Engine, coder: SymbolCoder) -> None:
        self.engine, self.coder = engine, coder

    def encode(self, symbols: Symbols, quality: float) -> bytes:
        """The symbols of one tile as bytes."""
        return self.coder.encode(symbols, quality)

    def decode(self, coded: Sequence[bytes], tile: Box, quality: float) -> list[Symbols]:
        """The symbols of one tile in each of several images. Raises `FormatError` when data does not fit."""
        size, shape = self._sizes(tile)
        readers = [self.coder.decode(data) for data in coded]
        hyper = np.stack([reader.hyper(shape, quality) for reader in readers])
        tables = self.engine.tables(hyper, quality, size)
        return [
            Symbols(known, chosen, reader.residual(chosen))
            for reader, known, chosen in zip(readers, hyper, tables, strict=True)
        ]

    def blank(self, tile: Box, quality: float) -> Symbols:
        """The symbols of a tile that holds nothing, since all its pixels are in the exact layer: zeros."""
        size, shape = self._sizes(tile)
        hyper = np.zeros(shape, np.int32)
        tables = self.engine.tables(hyper[None], quality, size)[0]
        return Symbols(hyper, tables, np.zeros((self.engine.latents, *size), np.int32))

    def _sizes(self, tile: Box) -> tuple[tuple[int, int], tuple[int, int, int]]:
        """Height and width of a tile's latents, and the shape of its hyper-latents."""
        latents = (-(-tile.height // PATCH), -(-tile.width // PATCH))
        return latents, (self.engine.hyper_latents, -(-tile.height // GRID), -(-tile.width // GRID))
