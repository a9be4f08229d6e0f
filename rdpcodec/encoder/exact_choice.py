"""Which pixels of an image go into the exact layer, and how exactly.

Each block of 16×16 is coded the way that costs less in bits + λ·squared error: by the networks, or in the
exact layer (`rdpcodec.exact_layer`), where colours may be gathered or rounded (`coarsening`). A cheap look
(`detector`) says which images and which blocks are tried at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rdpcodec import exact_layer
from rdpcodec.encoder.coarsening import Coarsening, squared_error
from rdpcodec.encoder.detector import BLOCK, candidates, is_worth_a_look, packed
from rdpcodec.encoder.fill import smooth_fill
from rdpcodec.exact_layer import ExactLayer, ExactPixels
from rdpcodec.mosaic import AnalysedTiles, Mosaic
from rdpcodec.quality import lambda_at
from rdpcodec.symbols import Symbols
from rdpcodec.tile_codec import TileCodec
from rdpcodec.tiles import tiles_of

# Choosing blocks and choosing how exactly they are coded take turns, until so few blocks move.
_ROUNDS, _MOVED = 4, 0.02
# How much more an error counts in a tile that is drawn from end to end than in a photograph. With 1, palettes
# are so small at low quality that SSIMULACRA2 falls behind AVIF's; beyond 4, nothing is won.
_VISIBILITY = 4.0
# What a block without a new pixel costs, in new pixels.
_NOTHING_NEW = 0.02
# Where so many blocks are exact, all of them may be: networks that need not code anything cost nothing.
_NEARLY_ALL = 0.75
# At this quality what is drawn is exact, or left to the networks.
_EXACT_QUALITY = 100.0


class Layered(NamedTuple):
    """An image in two layers, at one quality."""

    symbols: list[Symbols]
    """Of each tile, row by row: what the networks make of `pixels`."""
    exact: ExactLayer
    pixels: np.ndarray
    """What the networks see, uint8 `[H, W, 3]`: smooth where the exact layer is."""


def in_layers(
    tile_codec: TileCodec, pixels: np.ndarray, symbols: Sequence[Symbols], quality: float
) -> Layered:
    """Divide an image between networks and exact layer; photographs go to the networks as they are.

    pixels: uint8 `[H, W, 3]`; symbols: what the networks make of them, tile by tile, at `quality`.
    """
    height, width = pixels.shape[:2]
    tiles = tiles_of((width, height))
    coded = [b""] * len(tiles)
    if not is_worth_a_look(pixels, quality):
        return Layered(list(symbols), ExactLayer(coded, tiles), pixels)
    mosaic = Mosaic(tile_codec, [[tile] for tile in symbols], (width, height), quality)
    seen = pixels.copy()
    for number, (tile, networks) in enumerate(zip(tiles, symbols, strict=True)):
        part = pixels[*tile.slices()]
        bits = tile_codec.coder.bits_by_position(networks)
        chosen = choose(part, mosaic.decode(tile, 0.0)[0], bits, quality)
        coded[number] = exact_layer.encode(*chosen, exact_layer.NORMAL)
        seen[*tile.slices()] = smooth_fill(part, ~chosen.mask)
    exact = ExactLayer(coded, tiles)
    if not exact:
        return Layered(list(symbols), exact, pixels)
    (left,) = AnalysedTiles(tile_codec, [seen]).symbols(quality)
    for number, tile in enumerate(tiles):
        if exact.covers(number):
            left[number] = tile_codec.blank(tile, quality)
    return Layered(left, exact, seen)


def choose(pixels: np.ndarray, decoded: np.ndarray, bits: np.ndarray, quality: float) -> ExactPixels:
    """The pixels of a tile that the exact layer takes over from the networks, at a quality 0..100.

    pixels, decoded: the tile, and what the networks make of it, uint8 `[H, W, 3]`; bits: what each of its
    latent positions costs there, `[⌈H/16⌉, ⌈W/16⌉]`.
    """
    allowed, drawn = candidates(pixels, quality)
    visibility = 1 + (_VISIBILITY - 1) * drawn.mean()
    weight = lambda_at(quality) * np.where(_pixels_of(drawn, pixels), visibility, 1.0)
    networks = bits + _in_blocks(weight * squared_error(pixels, decoded))
    coarsening = Coarsening(pixels, weight, exactly=quality >= _EXACT_QUALITY)
    least, best = float(networks.sum()), ExactPixels(pixels, np.zeros(pixels.shape[:2], bool))

    def tried(blocks: np.ndarray) -> np.ndarray:
        """Try these blocks in the exact layer. Returns those that seem cheaper there, by what one new pixel
        costs.
        """
        nonlocal least, best
        mask = _pixels_of(blocks, pixels)
        version = coarsening.best(mask)
        loss = version.loss + float(networks[~blocks].sum())
        if loss < least:
            least, best = loss, ExactPixels(version.pixels, mask)
        novelty = _in_blocks(_novelty(version.pixels)) + _NOTHING_NEW
        cost = novelty * (version.bits / novelty[blocks].sum().clip(_NOTHING_NEW))
        errors = _in_blocks(weight * squared_error(pixels, version.pixels))
        return allowed & (cost + errors < networks)

    blocks = allowed
    for _ in range(_ROUNDS):
        kept = tried(blocks)
        if not kept.any() or (kept ^ blocks).sum() < _MOVED * blocks.sum():
            break
        blocks = kept
    if kept.mean() > _NEARLY_ALL:
        tried(np.ones_like(blocks))
    return best


def _novelty(pixels: np.ndarray) -> np.ndarray:
    """Where a pixel equals neither its left nor its upper neighbour, bool `[H, W]`: what a lossless
    coder pays for.
    """
    numbers = packed(pixels)
    known = np.zeros(numbers.shape, bool)
    known[:, 1:] = numbers[:, 1:] == numbers[:, :-1]
    known[1:] |= numbers[1:] == numbers[:-1]
    return ~known


def _pixels_of(blocks: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """The pixels of an image that lie in `blocks`, bool `[H, W]`."""
    mask = np.repeat(np.repeat(blocks, BLOCK, 0), BLOCK, 1)
    return mask[: pixels.shape[0], : pixels.shape[1]]


def _in_blocks(x: np.ndarray) -> np.ndarray:
    """Sums over blocks, `[H, W]` → `[⌈H/16⌉, ⌈W/16⌉]`."""
    padded = np.pad(x, [(0, -side % BLOCK) for side in x.shape])
    rows, columns = (side // BLOCK for side in padded.shape)
    return np.asarray(padded.reshape(rows, BLOCK, columns, BLOCK).sum((1, 3)))
