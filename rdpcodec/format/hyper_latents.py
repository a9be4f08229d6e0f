"""How the hyper-latents of a tile are coded: each on its own, or in the context of its neighbours.

Models of earlier versions have one table for each channel, in eight banks along the quality. Later ones have
a context network (`rdpcodec.entropy.context`) too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from rdpcodec.entropy.coder import Decoder, Encoder, EntropyModels
from rdpcodec.entropy.context import NEIGHBOURS, ContextModel, IntegerContextNetwork
from rdpcodec.entropy.integers import HYPER_LATENT_LIMIT
from rdpcodec.entropy.tables import TableFamily
from rdpcodec.errors import FormatError
from rdpcodec.format import container
from rdpcodec.format.symbols import hyper_table_of


class HyperLatentCoder(Protocol):
    """Hyper-latents of a tile ⇄ coded data. Holds no state between calls."""

    def write(self, encoder: Encoder, hyper: np.ndarray, quality: float) -> None:
        """Write hyper-latents, int32 `[M, h, w]`."""

    def read(self, decoder: Decoder, shape: Sequence[int], quality: float) -> np.ndarray:
        """Read hyper-latents, int32 of `shape` `[M, h, w]`. Raises `FormatError` for impossible ones."""


class FactorisedCoder:
    """One table for each channel, whatever lies around."""

    def __init__(self, tables: TableFamily) -> None:
        self._models = EntropyModels(tables)

    def write(self, encoder: Encoder, hyper: np.ndarray, quality: float) -> None:
        """See `HyperLatentCoder`."""
        encoder.write(hyper.reshape(-1), hyper_table_of(hyper.shape, quality), self._models)

    def read(self, decoder: Decoder, shape: Sequence[int], quality: float) -> np.ndarray:
        """See `HyperLatentCoder`."""
        return decoder.read(hyper_table_of(shape, quality), self._models).reshape(tuple(shape))


class ContextCoder:
    """Tables chosen by three neighbours. Positions of equal row + column are one step: their hyper-latents
    are coded together, grouped by table, since none of them is a neighbour of another.
    """

    def __init__(self, model: ContextModel) -> None:
        self._network, self._models = IntegerContextNetwork(model.weights), EntropyModels(model.tables)

    def write(self, encoder: Encoder, hyper: np.ndarray, quality: float) -> None:
        """See `HyperLatentCoder`."""
        # ANS: what is written last is read first.
        for residual, tables in reversed(list(coded_steps(self._network, hyper, quality))):
            encoder.write(residual.reshape(-1), tables.reshape(-1), self._models)

    def read(self, decoder: Decoder, shape: Sequence[int], quality: float) -> np.ndarray:
        """See `HyperLatentCoder`."""
        padded, stored = _padded(np.zeros(tuple(shape), np.int32)), container.stored_quality(quality)
        for rows, columns in _diagonals(*shape[1:]):
            whole, tables = self._network(_neighbours(padded, rows, columns), stored)
            values = whole + decoder.read(tables.reshape(-1), self._models).reshape(tables.shape)
            if np.abs(values).max() > HYPER_LATENT_LIMIT:
                raise FormatError(f"a hyper-latent lies beyond ±{HYPER_LATENT_LIMIT}")
            padded[:, rows + 1, columns + 1] = values.T
        return padded[:, 1:, 1:].copy()


def hyper_latent_coder(tables: TableFamily, context: ContextModel | None) -> HyperLatentCoder:
    """What codes the hyper-latents of a model's files. tables: those of its channels."""
    return FactorisedCoder(tables) if context is None else ContextCoder(context)


def coded_steps(
    network: IntegerContextNetwork, hyper: np.ndarray, quality: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What is coded, step by step in the order of reading: the distances of hyper-latents from the whole
    parts of their means, and the tables of these, both int32 `[positions, M]`. hyper: int32 `[M, h, w]`.
    """
    padded, stored = _padded(hyper), container.stored_quality(quality)
    for rows, columns in _diagonals(*hyper.shape[1:]):
        whole, tables = network(_neighbours(padded, rows, columns), stored)
        yield hyper[:, rows, columns].T - whole, tables


def _padded(hyper: np.ndarray) -> np.ndarray:
    """Hyper-latents `[M, h, w]` with a row of zeros above and a column on the left: `[M, h + 1, w + 1]`."""
    return np.pad(hyper, ((0, 0), (1, 0), (1, 0)))


def _diagonals(height: int, width: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns, int `[positions]` each, of the positions whose sum is 0, 1, …, from the top down."""
    for total in range(height + width - 1):
        rows = np.arange(max(0, total - width + 1), min(height, total + 1))
        yield rows, total - rows


def _neighbours(padded: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """What the context network sees of positions, `[positions, 3M]`: left, above, above on the left.

    padded: see `_padded`; rows, columns: see `_diagonals`.
    """
    places = ((rows + 1, columns), (rows, columns + 1), (rows, columns))
    near = np.stack([padded[:, i, j] for i, j in places])  # [3, M, n]
    return near.reshape(NEIGHBOURS * len(padded), -1).T
