"""`python -m bench estimate`: do real files cost what the probability tables say?

What a search or a training run minimises is the estimate; it is worth that only if the coder keeps to it.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.measure.rd import data_option, load_folder
from rdpcodec import Codec, container
from rdpcodec.image import load_image
from rdpcodec.symbols import Symbols, hyper_bank
from rdpcodec.weights.manifest import DEFAULT_MODEL, find_model
from rdpcodec.weights.release import ReleasedModel


def ideal_bits(released: ReleasedModel, symbols: Symbols, quality: float) -> float:
    """The cost of a tile's symbols under the tables, in bits: the length of an ideal coder's output."""
    channels = len(symbols.hyper)
    of_channels = hyper_bank(quality) * channels + np.arange(channels)
    hyper_tables = np.broadcast_to(of_channels[:, None, None], symbols.hyper.shape)
    bits = released.latent_tables.bits(symbols.residual, symbols.tables)
    return bits + released.hyper_tables.bits(symbols.hyper, hyper_tables)


@click.command()
@data_option
@click.option("--quality", "qualities", type=float, multiple=True, default=(0, 25, 50, 75, 100))
def estimate(data: Path, qualities: tuple[float, ...]) -> None:
    """Bytes of the coded symbols and of whole files against the bits that the tables say they cost."""
    codec, released = Codec(), ReleasedModel.load(find_model(DEFAULT_MODEL))
    table = Table(
        "quality", "mean file", "largest excess of the coded segment", "of the whole file", "allowed there"
    )
    for quality in qualities:
        sizes, segments, files = [], [], []
        for image in load_folder(data).values():
            tiles = codec.analyse([load_image(image)], quality)[0]
            expected = sum(ideal_bits(released, tile, quality) for tile in tiles) / 8
            file = codec.compress(image, quality)
            sizes.append(len(file))
            segments.append(abs(len(container.read(file).image) - expected))
            files.append((abs(len(file) - expected), 0.005 * len(file) + 16))
        worst, allowed = max(files, key=lambda pair: pair[0] / pair[1])
        table.add_row(
            f"{quality:g}",
            f"{sum(sizes) / len(sizes):.0f} bytes",
            f"{max(segments):.1f} bytes",
            f"{worst:.1f} bytes",
            f"{allowed:.1f} bytes (0.5 % + 16)",
        )
    Console(width=140).print(table)
