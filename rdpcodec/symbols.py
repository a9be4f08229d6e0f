"""Symbols of a tile ⇄ bytes: the integers that a file says, and the entropy coder that knows their order.

Hyper-latents come first, under tables of their own; the scale network turns them into the table of every
residual, in integers, so that encoder and decoder agree. What symbols mean for pixels is the codec's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rdpcodec import container
from rdpcodec.entropy.coder import Decoder, Encoder, EntropyModels
from rdpcodec.entropy.exact import ExactScaleNetwork
from rdpcodec.model.quantise import TableBits
from rdpcodec.model.rate import ANCHORS
from rdpcodec.model.rdp_model import HYPER_FACTOR
from rdpcodec.weights.release import ReleasedModel


@dataclass(frozen=True)
class Symbols:
    """All that a coded tile says: integers. An image of up to 1024 pixels a side is one tile.

    hyper: rounded hyper-latents, int32 `[M, ⌈h/4⌉, ⌈w/4⌉]`; tables: what the scale network makes of them, the
    probability table of each residual, uint8 `[N, h, w]`, 0..63; residual: rounded latents less their means,
    int32 `[N, h, w]`. h and w are the tile's height and width over 16, rounded up.
    """

    hyper: np.ndarray
    tables: np.ndarray
    residual: np.ndarray


class SymbolCoder:
    """The entropy coding of one released model. Holds no state between calls."""

    def __init__(self, released: ReleasedModel, device: torch.device) -> None:
        self.device, self._size = device, released.network.architecture
        self.scale_network = ExactScaleNetwork(released.scale, device)
        self._latents = EntropyModels.of(released.latent_tables)
        self._hyper = EntropyModels.of(released.hyper_tables)
        # What residuals cost, elementwise and on the device, for the encoder to weigh.
        self.residual_bits = TableBits(torch.from_numpy(released.latent_tables.costs()).to(device))

    def tables(self, z: Tensor, quality: float, shape: Sequence[int]) -> Tensor:
        """Rounded hyper-latents `[B, M, ⌈h/4⌉, ⌈w/4⌉]` → the table of every latent, uint8 `[B, N, h, w]`, for
        the `shape` (h, w).
        """
        indices = self.scale_network.indices(z, container.stored_quality(quality))
        return indices[:, :, : shape[0], : shape[1]]

    def within_tables(self, z: Tensor, quality: float) -> Tensor:
        """Hyper-latents `[B, M, h, w]` clipped to what their tables hold: they have no escape."""
        tables = _hyper_tables(z.shape[1:], quality)
        reach = torch.from_numpy(self._hyper.family.reach[tables]).to(z).view(z.shape[1:])
        return torch.maximum(torch.minimum(z, reach), -reach)

    def encode(self, symbols: Symbols, quality: float) -> bytes:
        """Entropy-code the symbols of one tile."""
        encoder = Encoder()
        encoder.write(symbols.residual.reshape(-1), symbols.tables.reshape(-1), self._latents)
        encoder.write(symbols.hyper.reshape(-1), _hyper_tables(symbols.hyper.shape, quality), self._hyper)
        return encoder.bytes()

    def decode(self, coded: Sequence[bytes], size: tuple[int, int], quality: float) -> list[Symbols]:
        """Entropy-decode a tile of each of several images, of (h, w) latents.

        Raises `FormatError` when the data does not fit.
        """
        shape = (self._size.hyper_latents, *(-(-side // HYPER_FACTOR) for side in size))
        decoders = [Decoder(data) for data in coded]
        hyper_tables = _hyper_tables(shape, quality)
        hyper = np.stack([decoder.read(hyper_tables, self._hyper).reshape(shape) for decoder in decoders])
        tables = self.tables(torch.from_numpy(hyper).to(self.device), quality, size).cpu().numpy()
        symbols = []
        for decoder, known, chosen in zip(decoders, hyper, tables, strict=True):
            residual = decoder.read(chosen.reshape(-1), self._latents)
            decoder.finish()
            symbols.append(Symbols(known, chosen, residual.reshape(chosen.shape)))
        return symbols

    def ideal_bits(self, symbols: Symbols, quality: float) -> float:
        """What the tables say the symbols of a tile cost, in bits: the length of an ideal coder's output."""
        bits = self._latents.family.bits(symbols.residual, symbols.tables)
        hyper_tables = _hyper_tables(symbols.hyper.shape, quality)
        return bits + self._hyper.family.bits(symbols.hyper.reshape(-1), hyper_tables)


def hyper_bank(quality: float) -> int:
    """Which of the banks of hyper-latents' tables serves a quality: that of the nearest anchor."""
    full = 100 * container.QUALITY_UNITS
    return (container.stored_quality(quality) * (ANCHORS - 1) + full // 2) // full


def _hyper_tables(shape: Sequence[int], quality: float) -> np.ndarray:
    """The table of each hyper-latent of a tile `[M, h, w]`: its channel's in the bank of the quality, int64
    `[M·h·w]`.
    """
    channels, height, width = shape
    return np.repeat(hyper_bank(quality) * channels + np.arange(channels), height * width)
