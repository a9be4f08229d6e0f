"""Symbols of a tile ⇄ bytes: the integers that a file holds, and the entropy coder that knows their order.

Hyper-latents come first, under tables of their own. The scale network turns them into the table of every
residual, in integers, so that encoder and decoder agree. The engine knows what symbols mean for pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rdpcodec import container
from rdpcodec.entropy.coder import Decoder, Encoder, EntropyModels
from rdpcodec.entropy.tables import KNOTS, TableFamily


@dataclass(frozen=True)
class Symbols:
    """All that a coded tile holds, as integers. An image of up to 1024 pixels a side is one tile.

    hyper: rounded hyper-latents, int32 `[M, ⌈h/4⌉, ⌈w/4⌉]`; tables: the probability table of each residual,
    which the scale network finds from hyper, uint8 `[N, h, w]`, 0..63; residual: latents less their means,
    rounded, int32 `[N, h, w]`. h and w are the tile's height and width over 16, rounded up.
    """

    hyper: np.ndarray
    tables: np.ndarray
    residual: np.ndarray

    @property
    def blank(self) -> bool:
        """Whether the tile holds nothing: all of it is zero."""
        return not self.hyper.any() and not self.residual.any()


class SymbolCoder:
    """The entropy coding of one released model. Holds no state between calls."""

    def __init__(self, latent_tables: TableFamily, hyper_tables: TableFamily) -> None:
        self._latents = EntropyModels(latent_tables)
        self._hyper = EntropyModels(hyper_tables)

    def encode(self, symbols: Symbols, quality: float) -> bytes:
        """Entropy-code the symbols of one tile."""
        encoder = Encoder()
        encoder.write(symbols.residual.reshape(-1), symbols.tables.reshape(-1), self._latents)
        encoder.write(symbols.hyper.reshape(-1), _hyper_tables(symbols.hyper.shape, quality), self._hyper)
        return encoder.bytes()

    def decode(self, coded: bytes) -> SymbolReader:
        """Begin to decode a tile. Raises `FormatError` when the data cannot be a coded tile."""
        return SymbolReader(Decoder(coded), self._latents, self._hyper)

    def bits_by_position(self, symbols: Symbols) -> np.ndarray:
        """The cost of a tile's residuals at each position, in bits, float32 `[h, w]`."""
        costs = self._latents.family.costs()
        reach = costs.shape[1] // 2
        return costs[symbols.tables, np.clip(symbols.residual, -reach, reach) + reach].sum(0)


@dataclass(frozen=True)
class SymbolReader:
    """A coded tile being read: hyper-latents first, then residuals under the tables that follow from them."""

    decoder: Decoder
    latent_models: EntropyModels
    hyper_models: EntropyModels

    def hyper(self, shape: tuple[int, int, int], quality: float) -> np.ndarray:
        """The rounded hyper-latents, int32 of `shape` (M, h, w)."""
        return self.decoder.read(_hyper_tables(shape, quality), self.hyper_models).reshape(shape)

    def residual(self, tables: np.ndarray) -> np.ndarray:
        """The residuals, int32 `[N, h, w]`, under `tables`, uint8 of the same shape. Raises `FormatError`
        when the data does not end with them.
        """
        residual = self.decoder.read(tables.reshape(-1), self.latent_models)
        self.decoder.finish()
        return residual.reshape(tables.shape)


def hyper_bank(quality: float) -> int:
    """Which bank of tables for hyper-latents serves a quality: that of the nearest knot."""
    full = 100 * container.QUALITY_STEPS
    return (container.stored_quality(quality) * (KNOTS - 1) + full // 2) // full


def hyper_reach(family: TableFamily, shape: Sequence[int], quality: float) -> np.ndarray:
    """The largest hyper-latents of a tile that their tables hold, int `[M, h, w]`: these tables have no
    escape.
    """
    return family.reach[_hyper_tables(shape, quality)].reshape(tuple(shape))


def _hyper_tables(shape: Sequence[int], quality: float) -> np.ndarray:
    """The table of each hyper-latent of a tile `[M, h, w]`: that of its channel, in the bank of the quality,
    int64 `[M·h·w]`.
    """
    channels, height, width = shape
    return np.repeat(hyper_bank(quality) * channels + np.arange(channels), height * width)
