"""Which pixels of an image go into the exact layer, and how exactly.

Each block of 16×16 is coded the way that costs less in bits + λ·squared error: by the networks, or in the exact
layer (`rdpcodec.exact_layer`), where colours may be gathered or rounded (`coarsening`). A cheap look
(`detector`) says which images and which blocks are tried at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rdpcodec import exact_layer
from rdpcodec.encoder.coarsening import Coarsening, squared_error
from rdpcodec.encoder.detector import BLOCK, candidates, packed
from rdpcodec.encoder.fill import smooth_fill
from rdpcodec.exact_layer import ExactLayer, ExactPixels
from rdpcodec.mosaic import Mosaic, tiles_of
from rdpcodec.quality import lambda_at
from rdpcodec.symbols import Symbols
from rdpcodec.tile_codec import TileCodec

# Choosing blocks and choosing how exactly they are coded take turns, until so large a share of blocks stays.
_ROUNDS, _SETTLED = 3, 0.98
# At this quality what is drawn is exact, or left to the networks.
_EXACT_QUALITY = 100.0


class Layered(NamedTuple):
    """An image in two layers: pixels for the networks to code, uint8 `[H, W, 3]`, and the exact layer."""

    pixels: np.ndarray
    exact: ExactLayer


def choose(
    tile_codec: TileCodec, pixels: np.ndarray, symbols: Sequence[Symbols], quality: float
) -> Layered | None:
    """Divide an image between networks and exact layer; None where the networks should have all of it.

    pixels: uint8 `[H, W, 3]`; symbols: what the networks make of them, tile by tile, at `quality`.
    """
    height, width = pixels.shape[:2]
    mosaic = Mosaic(tile_codec, [[tile] for tile in symbols], (width, height), quality)
    tiles, coded, seen = tiles_of((width, height)), [], pixels.copy()
    for tile, coded_tile in zip(tiles, symbols, strict=True):
        part = pixels[*tile.slices()]
        decoded = mosaic.decode(tile, 0.0)[0]
        chosen = choose_in_tile(part, decoded, tile_codec.coder.bits_by_position(coded_tile), quality)
        coded.append(exact_layer.encode(*chosen, exact_layer.NORMAL))
        seen[*tile.slices()] = smooth_fill(part, ~chosen.mask)
    exact = ExactLayer(coded, tiles)
    return Layered(seen, exact) if exact else None


def choose_in_tile(pixels: np.ndarray, decoded: np.ndarray, bits: np.ndarray, quality: float) -> ExactPixels:
    """The pixels of a tile that the exact layer takes over from the networks, at a quality 0..100.

    pixels, decoded: the tile, and what the networks make of it, uint8 `[H, W, 3]`; bits: what each of its
    latent positions costs there, `[⌈H/16⌉, ⌈W/16⌉]`.
    """
    weight = lambda_at(quality)
    networks = bits + weight * _in_blocks(squared_error(pixels, decoded))
    coarsening = Coarsening(pixels, weight, exactly=quality >= _EXACT_QUALITY)
    blocks = candidates(pixels, quality)
    for _ in range(_ROUNDS):
        mask = _pixels_of(blocks, pixels)
        version = coarsening.best(mask)
        novelty = np.where(blocks, _in_blocks(_novelty(version.pixels, mask)) + 1, 0)
        cost = novelty * (version.bits / max(novelty.sum(), 1))
        kept = blocks & (cost + weight * _in_blocks(squared_error(pixels, version.pixels)) < networks)
        settled = (kept == blocks).mean() > _SETTLED
        blocks = kept
        if settled:
            break
    mask = _pixels_of(blocks, pixels)
    version = coarsening.best(mask)
    if version.loss >= networks[blocks].sum():
        mask = np.zeros_like(mask)
    return ExactPixels(version.pixels, mask)


def _novelty(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Where a masked pixel equals neither its left nor its upper neighbour, bool `[H, W]`: what a lossless
    coder pays for.
    """
    numbers = packed(pixels)
    known = np.zeros_like(mask)
    known[:, 1:] = numbers[:, 1:] == numbers[:, :-1]
    known[1:] |= numbers[1:] == numbers[:-1]
    return mask & ~known


def _pixels_of(blocks: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """The pixels of an image that lie in `blocks`, bool `[H, W]`."""
    mask = np.repeat(np.repeat(blocks, BLOCK, 0), BLOCK, 1)
    return mask[: pixels.shape[0], : pixels.shape[1]]


def _in_blocks(x: np.ndarray) -> np.ndarray:
    """Sums over blocks, `[H, W]` → `[⌈H/16⌉, ⌈W/16⌉]`."""
    padded = np.pad(x, [(0, -side % BLOCK) for side in x.shape])
    rows, columns = (side // BLOCK for side in padded.shape)
    return np.asarray(padded.reshape(rows, BLOCK, columns, BLOCK).sum((1, 3)))
