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

# Choosing pixels and choosing how exactly they are coded take turns: in blocks, then once in finer cells,
# along which drawings and photographs part.
_ROUNDS, _FINE = 3, 4
# So small a share of pixels that still move is the end of the former.
_MOVED = 0.02
# Shades of a photograph, among the 16 pixels of a cell: many colours, or several within so many levels.
_MANY, _SEVERAL, _CLOSE = 13, 5, 48
# In a palette of few colours they show more than the loss says: so much more loss is allowed without them.
_FOR_EDGES = 0.05
# How much more an error counts in a tile that is drawn from end to end than in a photograph. With 1, palettes
# are so small at low quality that SSIMULACRA2 falls behind AVIF's; beyond 4, nothing is won.
_VISIBILITY = 4.0
# What a pixel that is not new costs, in new pixels.
_NOTHING_NEW = 1e-4
# Where so many pixels are exact, all of them may be: networks that need not code anything cost nothing.
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
    allowed, drawn = (_spread(blocks, pixels) for blocks in candidates(pixels, quality))
    weight = lambda_at(quality) * np.where(drawn, 1 + (_VISIBILITY - 1) * drawn.mean(), 1.0)
    networks = _spread(bits, pixels) / BLOCK**2 + weight * squared_error(pixels, decoded)
    coarsening = Coarsening(pixels, weight, exactly=quality >= _EXACT_QUALITY)
    least, best = float(networks.sum()), ExactPixels(pixels, np.zeros(pixels.shape[:2], bool))

    def tried(mask: np.ndarray, allowance: float = 0.0, *, again: bool = False) -> np.ndarray:
        """Try these pixels in the exact layer. Returns what each pixel of the tile seems to cost there, by
        what one new pixel costs.
        """
        nonlocal least, best
        version = coarsening.best(mask, again=again)
        loss = version.loss + float(networks[~mask].sum())
        if loss < least * (1 + allowance):
            least, best = loss, ExactPixels(version.pixels, mask)
        novelty = _novelty(version.pixels) + _NOTHING_NEW
        price = version.bits / max(float(novelty[mask].sum()), 1.0)
        errors = squared_error(pixels, version.pixels)
        return np.where(shaded & (errors > 0), np.inf, novelty * price + weight * errors)

    def cheaper(exact: np.ndarray, cell: int) -> np.ndarray:
        """The pixels whose cells of `cell`² cost less exactly."""
        return allowed & _spread(_in_cells(exact, cell) < _in_cells(networks, cell), pixels, cell)

    mask, shaded = allowed, np.zeros_like(allowed)
    for _ in range(_ROUNDS):
        before, mask = mask, cheaper(tried(mask, again=mask is not allowed), BLOCK)
        if (before ^ mask).sum() < _MOVED * mask.sum():
            break
    shaded = drawn & _is_shaded(pixels)
    mask = _without_islands(cheaper(tried(mask, again=True), _FINE))
    tried(mask, _FOR_EDGES)
    if mask.mean() > _NEARLY_ALL:
        tried(np.ones_like(mask))
    return best


def _without_islands(mask: np.ndarray) -> np.ndarray:
    """A mask of cells of 4×4, bool `[H, W]`, without those that fewer than three neighbours share."""
    cells = mask[::_FINE, ::_FINE]
    rows, columns = cells.shape
    padded = np.pad(cells.astype(np.uint8), 1, mode="edge")
    around = sum(padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3))
    return _spread(cells & (around > 3), mask, _FINE)


def _is_shaded(pixels: np.ndarray) -> np.ndarray:
    """The pixels of cells of 4×4 with shades, as photographs have them, bool `[H, W]`: with nearly as many
    colours as pixels, or with several close to each other.
    """
    cells = np.sort(_cells(packed(pixels)), axis=2)
    colours = (cells[..., 1:] != cells[..., :-1]).sum(2) + 1
    green = _cells(pixels[..., 1])
    close = np.ptp(green, axis=2) < _CLOSE
    return _spread((colours >= _MANY) | (close & (colours >= _SEVERAL)), pixels, _FINE)


def _cells(x: np.ndarray) -> np.ndarray:
    """The values of each cell of 4×4, `[H, W]` → `[⌈H/4⌉, ⌈W/4⌉, 16]`."""
    padded = np.pad(x, [(0, -length % _FINE) for length in x.shape], mode="edge")
    rows, columns = (length // _FINE for length in padded.shape)
    cells = padded.reshape(rows, _FINE, columns, _FINE).transpose(0, 2, 1, 3)
    return cells.reshape(rows, columns, _FINE**2)


def _novelty(pixels: np.ndarray) -> np.ndarray:
    """Where a pixel equals neither its left nor its upper neighbour, bool `[H, W]`: what a lossless
    coder pays for.
    """
    numbers = packed(pixels)
    known = np.zeros(numbers.shape, bool)
    known[:, 1:] = numbers[:, 1:] == numbers[:, :-1]
    known[1:] |= numbers[1:] == numbers[:-1]
    return ~known


def _spread(cells: np.ndarray, pixels: np.ndarray, side: int = BLOCK) -> np.ndarray:
    """What each pixel of an image has of its cell's value, `[H, W]`, from `[⌈H/side⌉, ⌈W/side⌉]`."""
    return np.repeat(np.repeat(cells, side, 0), side, 1)[: pixels.shape[0], : pixels.shape[1]]


def _in_cells(x: np.ndarray, side: int) -> np.ndarray:
    """Sums over cells, `[H, W]` → `[⌈H/side⌉, ⌈W/side⌉]`."""
    padded = np.pad(x, [(0, -length % side) for length in x.shape])
    rows, columns = (length // side for length in padded.shape)
    return np.asarray(padded.reshape(rows, side, columns, side).sum((1, 3)))
