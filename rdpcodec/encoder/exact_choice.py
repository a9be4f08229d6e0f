"""Which pixels of an image go into the exact layer, and how exactly.

Each block of 16×16 pixels is coded in whichever way costs less in bits + λ·squared error: by the networks, or
in the exact layer (`rdpcodec.exact_layer`), where colours may be gathered or rounded (`coarsening`). A cheap
look (`detector`) decides which images and which blocks are tried at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rdpcodec.encoder.coarsening import Coarsening, squared_error
from rdpcodec.encoder.colours import packed
from rdpcodec.encoder.detector import BLOCK, candidates, is_worth_a_look
from rdpcodec.encoder.exact_coding import smallest
from rdpcodec.encoder.fill import smooth_fill
from rdpcodec.exact_layer import ExactLayer, ExactPixels
from rdpcodec.mosaic import AnalysedTiles, Mosaic
from rdpcodec.quality import lambda_at
from rdpcodec.symbols import Symbols
from rdpcodec.tile_codec import TileCodec
from rdpcodec.tiles import Box, tiles_of

# Choosing pixels and choosing how exactly to code them take turns: in blocks, then once in cells fine enough
# to separate drawings from photographs.
_ROUNDS, _FINE = 3, 4
# The rounds in blocks end when less than this share of the pixels still moves.
_MOVED = 0.02
# A cell has a photograph's shades if its 16 pixels have many colours, or several within so many levels.
_MANY, _SEVERAL, _CLOSE = 13, 5, 48
# Neighbours that a cell needs to stay in the exact layer, and to count as shaded. Cells along edges of
# drawings have fewer.
_COMPANY, _SURROUNDED = 3, 5
# How much more an error counts where an image is drawn than in a photograph. With 1, palettes at low quality
# are so small that SSIMULACRA2 falls behind AVIF's; beyond 4, nothing is gained.
_VISIBILITY = 4.0
# The same where shades turn into bands, because a palette or rounding leaves few of them.
_BANDS = 3.0
# The cost of a pixel that is not new, in new pixels.
_NOTHING_NEW = 1e-4
# Above this share of exact pixels, all of them are tried as exact: networks that code nothing cost nothing.
_NEARLY_ALL = 0.75
# At this quality, drawn pixels are exact or left to the networks.
_EXACT_QUALITY = 100.0


class Layered(NamedTuple):
    """An image in two layers, at one quality."""

    symbols: list[Symbols]
    """Each tile's symbols, row by row: what the networks make of `pixels`."""
    exact: ExactLayer
    pixels: np.ndarray
    """What the networks see, uint8 `[H, W, 3]`: smooth under the exact layer."""


def in_layers(
    tile_codec: TileCodec, pixels: np.ndarray, symbols: Sequence[Symbols], quality: float
) -> Layered:
    """Divide an image between the networks and the exact layer; photographs go to the networks unchanged.

    pixels: uint8 `[H, W, 3]`; symbols: what the networks make of them, tile by tile, at `quality`.
    """
    height, width = pixels.shape[:2]
    tiles = tiles_of((width, height))
    if not is_worth_a_look(pixels, quality):
        return Layered(list(symbols), ExactLayer([b""] * len(tiles), tiles), pixels)
    mosaic, choices = Mosaic(tile_codec, [[tile] for tile in symbols], (width, height), quality), []
    for tile, networks in zip(tiles, symbols, strict=True):
        bits = tile_codec.coder.bits_by_position(networks)
        beside = _length(tile_codec, networks, quality) - float(bits.sum())
        choices.append(choose(pixels[*tile.slices()], mosaic.decode(tile, 0.0)[0], bits, quality, beside))
    division = _Division(tile_codec, pixels, symbols, quality)
    first = [choice.best for choice in choices]
    left, seen = division.rest(first)
    mosaic, chosen = Mosaic(tile_codec, [[tile] for tile in left], (width, height), quality), []
    for tile, choice, rest in zip(tiles, choices, left, strict=True):
        left_out = rest.blank and choice.best.mask.all()
        spent = 0.0 if left_out else _length(tile_codec, rest, quality)
        decoded = mosaic.decode(tile, 0.0)[0] if choice.divides else seen[*tile.slices()]
        chosen.append(choice.once_coded(pixels[*tile.slices()], decoded, spent))
    if any(now is not before for now, before in zip(chosen, first, strict=True)):
        left, seen = division.rest(chosen)
    return Layered(left, ExactLayer([smallest(*exact) for exact in chosen], tiles), seen)


def _length(tile_codec: TileCodec, symbols: Symbols, quality: float) -> float:
    """The bits that a tile takes in the file."""
    return 8.0 * len(tile_codec.encode(symbols, quality))


class _Division:
    """An image from which the exact layer may take pixels; the networks code the others."""

    def __init__(
        self, tile_codec: TileCodec, pixels: np.ndarray, symbols: Sequence[Symbols], quality: float
    ) -> None:
        """symbols: what the networks make of all pixels, uint8 `[H, W, 3]`."""
        self._tile_codec, self._pixels, self._symbols = tile_codec, pixels, symbols
        self._tiles, self._quality = tiles_of(pixels.shape[1::-1]), quality

    def rest(self, exact: Sequence[ExactPixels]) -> tuple[list[Symbols], np.ndarray]:
        """The networks' symbols of the image, tile by tile, given the pixels of each tile that the exact
        layer has; and what the networks see, uint8 `[H, W, 3]`.
        """
        known = np.empty(self._pixels.shape[:2], bool)
        for tile, (_, mask) in zip(self._tiles, exact, strict=True):
            known[*tile.slices()] = ~mask
        if known.all():
            return list(self._symbols), self._pixels
        seen = self._filled(known)
        coded = AnalysedTiles(self._tile_codec, [seen]).symbols(self._quality)[0] if known.any() else ()
        # A tile that is entirely exact still reaches into its neighbours' pixels.
        margin = self._tile_codec.engine.synthesis_margin
        left = [
            coded[number]
            if known[*self._grown(tile, margin).slices()].any()
            else self._tile_codec.blank(tile, self._quality)
            for number, tile in enumerate(self._tiles)
        ]
        return left, seen

    def _filled(self, known: np.ndarray) -> np.ndarray:
        """The pixels, and a smooth continuation of them where they are not `known`. Tiles are filled one by
        one, together with the surroundings that their analysis sees.
        """
        filled = self._pixels.copy()
        for tile in self._tiles:
            around = self._grown(tile, self._tile_codec.engine.analysis_margin)
            smooth = smooth_fill(self._pixels[*around.slices()], known[*around.slices()])
            filled[*tile.slices()] = smooth[*tile.slices(around)]
        return filled

    def _grown(self, tile: Box, margin: int) -> Box:
        return tile.grown(margin, self._pixels.shape[1], self._pixels.shape[0])


class Choice(NamedTuple):
    """The pixels of a tile that the exact layer may take over from the networks, and the loss for each
    choice: bits + λ·squared error.
    """

    best: ExactPixels
    """Some of the pixels, the best as far as is known before the networks have coded the others."""
    loss: float
    """The loss of `best`, without the other pixels."""
    whole: ExactPixels
    """All of the pixels."""
    whole_loss: float
    none_loss: float
    """The loss if the networks code the tile alone."""
    weight: np.ndarray
    """λ of each pixel that the networks code, in bits for a squared error of one, `[H, W]`."""

    @property
    def divides(self) -> bool:
        """Whether the best choice leaves some pixels, but not all, to the networks."""
        return bool(self.best.mask.any() and not self.best.mask.all())

    def once_coded(self, pixels: np.ndarray, decoded: np.ndarray, bits: float) -> ExactPixels:
        """The best of the three choices, now that the networks have coded the other pixels.

        bits: what these took; decoded: what they became, uint8 `[H, W, 3]` like the tile's `pixels`. They are
        coded better than they were beside drawn ones.
        """
        errors = (self.weight * squared_error(pixels, decoded))[~self.best.mask]
        if min(self.whole_loss, self.none_loss) >= self.loss + bits + float(errors.sum()):
            return self.best
        if self.whole_loss < self.none_loss:
            return self.whole
        return ExactPixels(self.whole.pixels, np.zeros_like(self.whole.mask))


def choose(
    pixels: np.ndarray, decoded: np.ndarray, bits: np.ndarray, quality: float, beside: float = 0.0
) -> Choice:
    """What the exact layer takes over from a tile at a quality 0..100.

    pixels, decoded: the tile, and what the networks decode it to, uint8 `[H, W, 3]`; bits: the networks' cost
    of each latent position, `[⌈H/16⌉, ⌈W/16⌉]`; beside: the other costs of the tile, hyper-latents and the
    coder's own, which fall away if all of it is exact.
    """
    allowed, drawn = (_spread(blocks, pixels) for blocks in candidates(pixels, quality))
    shaded = _without_islands(_is_shaded(pixels), _SURROUNDED)
    weight = lambda_at(quality) * np.where(drawn & ~shaded, _VISIBILITY, 1.0)
    errors = weight * squared_error(pixels, decoded)
    inside = _in_cells(np.ones(pixels.shape[:2]), BLOCK)
    networks = _spread(bits / inside, pixels) + errors
    exact_weight = weight * np.where(drawn & shaded, _BANDS, 1.0)
    trials = _Trials(pixels, exact_weight, networks, weight, beside, exactly=quality >= _EXACT_QUALITY)

    def cheaper(exact: np.ndarray, cell: int) -> np.ndarray:
        """The pixels whose cells of `cell`² cost less in the exact layer."""
        return allowed & _spread(_in_cells(exact, cell) < _in_cells(networks, cell), pixels, cell)

    mask = allowed
    for _ in range(_ROUNDS):
        before, mask = mask, cheaper(trials.cost(mask, again=mask is not allowed), BLOCK)
        if (before ^ mask).sum() < _MOVED * mask.sum():
            break
    mask = _without_islands(cheaper(trials.cost(mask, again=True), _FINE), _COMPANY)
    trials.cost(mask)
    if mask.mean() > _NEARLY_ALL and not allowed.all():
        trials.cost(np.ones_like(mask))
    return trials.choice


class _Trials:
    """Masks of a tile, tried one after the other, and the best `choice` among them."""

    def __init__(
        self,
        pixels: np.ndarray,
        weight: np.ndarray,
        networks: np.ndarray,
        networks_weight: np.ndarray,
        beside: float,
        *,
        exactly: bool,
    ) -> None:
        """pixels: uint8 `[H, W, 3]`; weight: what a squared error of one costs in the exact layer, in bits;
        networks: the cost of the networks' bits and errors; networks_weight: the weight of their errors. All
        `[H, W]`. beside: as in `choose`.
        """
        self._pixels, self._weight, self._networks = pixels, weight, networks
        self._coarsening = Coarsening(pixels, weight, exactly=exactly)
        self._beside = beside
        self._least = float(networks.sum()) + beside
        nothing = ExactPixels(pixels, np.zeros(pixels.shape[:2], bool))
        self.choice = Choice(nothing, 0.0, nothing, np.inf, self._least, networks_weight)

    def cost(self, mask: np.ndarray, *, again: bool = False) -> np.ndarray:
        """Try these pixels, bool `[H, W]`, in the exact layer. Returns what each pixel of the tile seems to
        cost there, judging by the cost of a new pixel.
        """
        version = self._coarsening.best(mask, again=again)
        exact = ExactPixels(self._coarsening.held(version, mask), mask)
        left = 0.0 if mask.all() else float(self._networks[~mask].sum()) + self._beside
        if (loss := version.loss + left) < self._least:
            self._least = loss
            self.choice = self.choice._replace(best=exact, loss=version.loss)
        if mask.all() and version.loss < self.choice.whole_loss:
            self.choice = self.choice._replace(whole=exact, whole_loss=version.loss)
        novelty = _novelty(version.pixels) + _NOTHING_NEW
        price = version.bits / max(float(novelty[mask].sum()), 1.0)
        return novelty * price + self._weight * squared_error(self._pixels, version.pixels)


def _without_islands(mask: np.ndarray, least: int) -> np.ndarray:
    """A mask of 4×4 cells, bool `[H, W]`, without the cells that have fewer than `least` of 8 neighbours."""
    cells = mask[::_FINE, ::_FINE]
    rows, columns = cells.shape
    padded = np.pad(cells.astype(np.uint8), 1, mode="edge")
    around = sum(padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3))
    return _spread(cells & (around > least), mask, _FINE)


def _is_shaded(pixels: np.ndarray) -> np.ndarray:
    """The pixels of 4×4 cells with shades like a photograph's, bool `[H, W]`: nearly as many colours as
    pixels, or several close to each other.
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
    """The values of cells, `[⌈H/side⌉, ⌈W/side⌉]`, repeated for each of their pixels, `[H, W]`."""
    return np.repeat(np.repeat(cells, side, 0), side, 1)[: pixels.shape[0], : pixels.shape[1]]


def _in_cells(x: np.ndarray, side: int) -> np.ndarray:
    """Sums over cells, `[H, W]` → `[⌈H/side⌉, ⌈W/side⌉]`."""
    padded = np.pad(x, [(0, -length % side) for length in x.shape])
    rows, columns = (length // side for length in padded.shape)
    return np.asarray(padded.reshape(rows, side, columns, side).sum((1, 3)))
