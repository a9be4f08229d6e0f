"""Integer probability tables: from the trained densities, or counted on what a model really emits.

Counted tables are the best static code for the symbols of the training images at all qualities, not for the
density that the model was trained under.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from rdpcodec.codec import Codec
from rdpcodec.entropy.integers import HYPER_LATENT_LIMIT
from rdpcodec.entropy.tables import KNOTS, TableFamily, integer_frequencies
from rdpcodec.format.symbols import Symbols, hyper_bank
from rdpcodec.image import ImageData
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.scale_network import SCALE_COUNT
from rdpcodec.training.images.image_set import ImageSet

CALIBRATION_SIDE = 384
CALIBRATION_CROPS = 1200
# Weight of the trained density beside the counts, in symbols: it decides where counts are few and vanishes
# where they are many.
PRIOR_SYMBOLS = 400.0
# A table ends where less than this share of its symbols lies beyond; an escape costs about 15 + 16 bits.
ESCAPE_SHARE = 2e-5
COUNTED_REACH = 2048


def density_tables(model: RdpModel) -> tuple[np.ndarray, np.ndarray]:
    """Tabulate the trained densities at the integers, float64.

    Returns those of |residual| `[64, COUNTED_REACH + 1]`, and of hyper-latents -127..127 `[8, M, 255]`.
    """
    with torch.no_grad():
        magnitudes = torch.arange(COUNTED_REACH + 1.0).expand(SCALE_COUNT, -1)
        index = torch.arange(float(SCALE_COUNT))[:, None].expand_as(magnitudes)
        latents = torch.exp2(-model.residual_density(magnitudes, index))
        values = torch.arange(-HYPER_LATENT_LIMIT, HYPER_LATENT_LIMIT + 1.0)
        channels = model.architecture.hyper_latents
        grid = values.expand(KNOTS, channels, -1)[..., None]
        bits = model.hyper_prior.bits(grid, torch.linspace(0, 100, KNOTS))
    return latents.double().numpy(), torch.exp2(-bits[..., 0]).double().numpy()


def wide_tables(model: RdpModel) -> tuple[TableFamily, TableFamily]:
    """Make tables of latents and hyper-latents from the trained densities, wide enough to count with."""
    latents, hyper = density_tables(model)
    counts_latents = np.zeros_like(latents)
    counts_hyper = np.zeros_like(hyper)
    counts_hyper[:, :, [0, -1]] = 1e-9  # keeps the full reach
    return latent_family(counts_latents, latents), hyper_family(counts_hyper, hyper)


def latent_family(counts: np.ndarray, density: np.ndarray) -> TableFamily:
    """Make symmetric tables with an escape from counts of |residual| and the trained density, both
    `[64, COUNTED_REACH + 1]`.
    """
    parts, reaches = [], []
    for count, prior in zip(counts, density, strict=True):
        two_sided = prior * np.where(np.arange(len(prior)) == 0, 1.0, 2.0)
        weight = count + PRIOR_SYMBOLS * two_sided / two_sided.sum()
        share = weight / weight.sum()
        tail = 1.0 - np.cumsum(share)
        reach = int(np.argmax(tail < ESCAPE_SHARE)) or 1
        half = share[1 : reach + 1] / 2
        table = np.concatenate([half[::-1], share[:1], half, [max(tail[reach], 1e-7)]])
        parts.append(integer_frequencies(table))
        reaches.append(reach)
    return TableFamily(np.concatenate(parts), np.array(reaches, np.int32), escape=True)


def hyper_family(counts: np.ndarray, density: np.ndarray) -> TableFamily:
    """Make tables without escape from counts and the trained density, both `[8, M, 255]`.

    They reach two beyond the furthest value that was counted.
    """
    parts, reaches = [], []
    values = np.abs(np.arange(-HYPER_LATENT_LIMIT, HYPER_LATENT_LIMIT + 1))
    shape = (-1, counts.shape[2])
    for count, prior in zip(counts.reshape(shape), density.reshape(shape), strict=True):
        seen = values[count > 0].max(initial=0)
        reach = int(min(seen + 2, HYPER_LATENT_LIMIT))
        inside = values <= reach
        parts.append(integer_frequencies((count + PRIOR_SYMBOLS / 8 * prior / prior.sum())[inside]))
        reaches.append(reach)
    return TableFamily(np.concatenate(parts), np.array(reaches, np.int32), escape=False)


def calibration_symbols(codec: Codec, images: ImageSet) -> Iterator[tuple[Symbols, float]]:
    """Code crops at qualities spread evenly from 0 to 100; yields the symbols and quality of each."""
    generator = torch.Generator().manual_seed(3)
    for number in range(CALIBRATION_CROPS):
        crop = images.crops(1, CALIBRATION_SIDE, generator)[0]
        pixels = (crop * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        quality = 100 * (number * 0.6180339887 % 1)
        (symbols,) = codec.analyse([ImageData(pixels)], quality)[0]
        yield symbols, quality


def counted_tables(codec: Codec, model: RdpModel, images: ImageSet) -> tuple[TableFamily, TableFamily]:
    """Count tables of latents and hyper-latents on what `codec` makes of training images."""
    density_latents, density_hyper = density_tables(model)
    latents, hyper = np.zeros_like(density_latents), np.zeros_like(density_hyper)
    channels = np.arange(hyper.shape[1])[:, None]
    for symbols, quality in calibration_symbols(codec, images):
        magnitude = np.minimum(np.abs(symbols.residual), COUNTED_REACH)
        np.add.at(latents, (symbols.tables, magnitude), 1)
        z = symbols.hyper.reshape(len(channels), -1)
        np.add.at(hyper[hyper_bank(quality)], (channels, z + HYPER_LATENT_LIMIT), 1)
    return latent_family(latents, density_latents), hyper_family(hyper, density_hyper)
