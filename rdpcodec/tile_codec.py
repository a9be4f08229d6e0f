"""Tiles of images: symbols ⇄ bytes, entropy-coded under the tables that an engine computes.

Hyper-latents come first, as `rdpcodec.format.hyper_latents` codes them. The scale network turns them into the
table of every residual, in integers, so that encoder and decoder agree.

Between pixels and symbols lie the networks of `rdpcodec.engine`, through which `rdpcodec.mosaic` sends tiles.
Where a tile lies in its image is not known here. All tiles of a call have one size and quality.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rdpcodec.engine.interface import Engine
from rdpcodec.entropy.coder import Decoder, Encoder, EntropyModels
from rdpcodec.entropy.tables import TableFamily
from rdpcodec.format.hyper_latents import HyperLatentCoder
from rdpcodec.format.symbols import Symbols
from rdpcodec.format.tiles import GRID, PATCH, Box


class TileCodec:
    """Symbols of tiles ⇄ bytes, with one model. Holds no state between calls.

    `engine` is for those who need the networks too.
    """

    def __init__(self, engine: Engine, latent_tables: TableFamily, hyper_latents: HyperLatentCoder) -> None:
        self.engine = engine
        self._latents, self._hyper = EntropyModels(latent_tables), hyper_latents

    def encode(self, symbols: Symbols, quality: float) -> bytes:
        """The symbols of one tile as bytes."""
        encoder = Encoder()  # ANS: what is written last is read first
        encoder.write(symbols.residual.reshape(-1), symbols.tables.reshape(-1), self._latents)
        self._hyper.write(encoder, symbols.hyper, quality)
        return encoder.bytes()

    def decode(self, coded: Sequence[bytes], tile: Box, quality: float) -> list[Symbols]:
        """The symbols of one tile in each of several images. Raises `FormatError` when data does not fit."""
        size, shape = self._sizes(tile)
        decoders = [Decoder(data) for data in coded]
        hyper = np.stack([self._hyper.read(decoder, shape, quality) for decoder in decoders])
        tables = self.engine.tables(hyper, quality, size)
        return [
            Symbols(known, chosen, self._residual(decoder, chosen))
            for decoder, known, chosen in zip(decoders, hyper, tables, strict=True)
        ]

    def _residual(self, decoder: Decoder, tables: np.ndarray) -> np.ndarray:
        """What follows the hyper-latents. Raises `FormatError` when the data does not end with it."""
        residual = decoder.read(tables.reshape(-1), self._latents)
        decoder.finish()
        return residual.reshape(tables.shape)

    def blank(self, tile: Box, quality: float) -> Symbols:
        """The symbols of a tile that holds nothing, since all its pixels are in the exact layer: zeros."""
        size, shape = self._sizes(tile)
        hyper = np.zeros(shape, np.int32)
        tables = self.engine.tables(hyper[None], quality, size)[0]
        return Symbols(hyper, tables, np.zeros((self.engine.latents, *size), np.int32))

    def bits_by_position(self, symbols: Symbols) -> np.ndarray:
        """The cost of a tile's residuals at each position, in bits, float32 `[h, w]`."""
        costs = self._latents.family.costs()
        reach = costs.shape[1] // 2
        return costs[symbols.tables, np.clip(symbols.residual, -reach, reach) + reach].sum(0)

    def _sizes(self, tile: Box) -> tuple[tuple[int, int], tuple[int, int, int]]:
        """Height and width of a tile's latents, and the shape of its hyper-latents."""
        latents = (-(-tile.height // PATCH), -(-tile.width // PATCH))
        return latents, (self.engine.hyper_latents, -(-tile.height // GRID), -(-tile.width // GRID))
