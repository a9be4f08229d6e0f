"""Tiles of images: pixels ⇄ symbols ⇄ bytes, with the networks of one model.

The networks run in an `Engine`, whose arguments and results are NumPy arrays. Where a tile lies in its image
is not known here, but in `rdpcodec.mosaic`. All tiles of a call have one size and quality.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from rdpcodec.symbols import SymbolCoder, Symbols
from rdpcodec.tiles import GRID, PATCH, Box

Features = Any
"""What an engine's `features` returns. Only the engine knows what it is."""


class Engine(Protocol):
    """Runs the networks of one released model. Holds no state between calls."""

    latents: int
    """Channels N of the latents."""
    hyper_latents: int
    """Channels M of the hyper-latents."""
    analysis_margin: int
    """How far the analysis sees beyond a latent, in pixels, a multiple of 16."""
    synthesis_margin: int
    """How far the synthesis sees beyond a latent, in pixels, a multiple of 16."""

    def prepare(self, realism: float) -> None:
        """Begin to load the networks that turn symbols into pixels at a realism, and return at once."""

    def features(self, pixels: np.ndarray) -> Features:
        """Pixels, uint8 `[B, H, W, 3]` → the part of the analysis that all qualities share."""

    def analyse(self, features: Features, quality: float) -> np.ndarray:
        """`features` → latents, float32 `[B, N, ⌈H/16⌉, ⌈W/16⌉]`, at a quality 0..100."""

    def quantise(self, latents: np.ndarray, quality: float) -> list[Symbols]:
        """Latents `[B, N, h, w]` → the symbols of each tile."""

    def tables(self, hyper: np.ndarray, quality: float, size: tuple[int, int]) -> np.ndarray:
        """Hyper-latents, int32 `[B, M, ⌈h/4⌉, ⌈w/4⌉]` → the table of every residual, uint8 `[B, N, h, w]`,
        for `size` (h, w). The same on every machine, to the last bit.
        """

    def dequantise(self, symbols: Sequence[Symbols], quality: float) -> np.ndarray:
        """Symbols of B tiles → latents, float32 `[B, N, h, w]`."""

    def synthesise(self, latents: np.ndarray, quality: float, realism: float) -> np.ndarray:
        """Latents `[B, N, h, w]` → pixels, uint8 `[B, 16·h, 16·w, 3]`, at a realism 0..1."""

    def with_gradients(self) -> Any:
        """A `TorchEngine` of the same weights. Raises `UsageError` where torch is not installed."""


class TileCodec:
    """Codes tiles with one model. Holds no state between calls."""

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
