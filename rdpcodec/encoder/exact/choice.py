"""Which pixels of a tile go into the exact layer, and how exactly.

Each block of 16×16 pixels is coded in whichever way costs less in bits + λ·squared error: by the networks, or
in the exact layer (`rdpcodec.format.exact_layer`), where colours may be gathered or rounded (`coarsening`). A
cheap look (`detector`) decides which blocks are tried at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rdpcodec.encoder.exact.coarsening import Coarsening, Version, squared_error
from rdpcodec.encoder.exact.colours import packed
from rdpcodec.encoder.exact.detector import BLOCK, candidates
from rdpcodec.format.exact_layer import ExactPixels
from rdpcodec.quality import lambda_at

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
# The same in the noise that stands for shades where a photograph has few colours. With 1, such files take
# twice the bytes at quality 50, to keep the noise; with a quarter, they fall behind AVIF's at 70.
_IN_NOISE = 0.5
# The same where shades turn into bands, because a palette or rounding leaves few of them.
_BANDS = 3.0
# The cost of a pixel that is not new, in new pixels.
_NOTHING_NEW = 1e-4
# Above this share of exact pixels, all of them are tried as exact: networks that code nothing cost nothing.
_NEARLY_ALL = 0.75
# At this quality, drawn pixels are exact or left to the networks. All pixels are exact if that costs at most
# this much more.
_EXACT_QUALITY = 100.0
_WORTH_ALL = 1.05


class Choice(NamedTuple):
    """The pixels of a tile that the exact layer may take over from the networks: some, all or none. A loss is
    bits + λ·squared error.
    """

    some: ExactPixels
    """The best as far as is known before the networks have coded the others: at the ends all, or none."""
    some_loss: float
    """The loss of these pixels alone."""
    whole: ExactPixels
    """All of the pixels."""
    whole_loss: float
    none_loss: float
    """The loss if the networks code the tile alone."""
    weight: np.ndarray
    """λ of each pixel that the networks code, in bits for a squared error of one, `[H, W]`."""

    @classmethod
    def of_one_colour(cls, pixels: np.ndarray) -> Choice:
        """All pixels of a tile that has one colour, uint8 `[H, W, 3]`. In the exact layer they take tens of
        bytes, and the networks are never that close for much less.
        """
        whole = ExactPixels(pixels, np.ones(pixels.shape[:2], bool))
        return cls(whole, 0.0, whole, 0.0, np.inf, np.zeros(pixels.shape[:2], np.float32))

    @property
    def divides(self) -> bool:
        """Whether the exact layer takes some of the pixels, and leaves some."""
        return bool(self.some.mask.any() and not self.some.mask.all())

    def errors(self, pixels: np.ndarray, decoded: np.ndarray) -> float:
        """λ·squared error of what `some` leaves to the networks. pixels, decoded: uint8 `[H, W, 3]`."""
        return float((self.weight * squared_error(pixels, decoded))[~self.some.mask].sum())

    def best(self, rest: float) -> ExactPixels:
        """The best of the three, once the loss of the pixels that `some` leaves is known to be `rest`."""
        if min(self.whole_loss, self.none_loss) >= self.some_loss + rest:
            return self.some
        return self.whole if self.whole_loss < self.none_loss else self.nothing

    @property
    def nothing(self) -> ExactPixels:
        """None of the pixels."""
        return ExactPixels(self.whole.pixels, np.zeros_like(self.whole.mask))


class Trial(NamedTuple):
    """Pixels that the exact layer might hold, and its version of them."""

    mask: np.ndarray
    version: Version


def choose(
    pixels: np.ndarray, decoded: np.ndarray, bits: np.ndarray, quality: float, beside: float = 0.0
) -> Choice:
    """What the exact layer takes over from a tile at a quality 0..100.

    pixels, decoded: the tile, and what the networks decode it to, uint8 `[H, W, 3]`; bits: the networks' cost
    of each latent position, `[⌈H/16⌉, ⌈W/16⌉]`; beside: the other costs of the tile, hyper-latents and the
    coder's own, which fall away if all of it is exact.
    """
    allowed, drawn, dithered = (_spread(blocks, pixels) for blocks in candidates(pixels, quality))
    shaded = _without_islands(_is_shaded(pixels), _SURROUNDED)
    noise = dithered & (quality < _EXACT_QUALITY)
    visibility = np.select([noise, drawn & ~shaded], [_IN_NOISE, _VISIBILITY], 1.0)
    weight = lambda_at(quality) * visibility
    inside = _in_cells(np.ones(pixels.shape[:2]), BLOCK)
    networks = _spread(bits / inside, pixels) + weight * squared_error(pixels, decoded)
    exact_weight = weight * np.where(drawn & shaded, _BANDS, 1.0)
    coarsening = Coarsening(pixels, exact_weight, exactly=quality >= _EXACT_QUALITY)
    trials = list(_trials(coarsening, pixels, exact_weight, networks, allowed))

    def loss(trial: Trial) -> float:
        """Of the whole tile: the networks code what the trial leaves."""
        left = 0.0 if trial.mask.all() else float(networks[~trial.mask].sum()) + beside
        return trial.version.loss + left

    def held(trial: Trial) -> tuple[ExactPixels, float]:
        return ExactPixels(coarsening.held(trial.version, trial.mask), trial.mask), trial.version.loss

    none_loss = float(networks.sum()) + beside
    nothing = ExactPixels(pixels, np.zeros(pixels.shape[:2], bool))
    best, of_all = min(trials, key=loss), [trial for trial in trials if trial.mask.all()]
    some = held(best) if loss(best) < none_loss else (nothing, 0.0)
    whole, whole_loss = held(min(of_all, key=loss)) if of_all else (nothing, np.inf)
    if quality >= _EXACT_QUALITY:
        whole_loss /= _WORTH_ALL
    return Choice(*some, whole, whole_loss, none_loss, weight.astype(np.float32))


def _trials(
    coarsening: Coarsening, pixels: np.ndarray, weight: np.ndarray, networks: np.ndarray, allowed: np.ndarray
) -> Iterator[Trial]:
    """Masks of a tile, each with a version of its pixels that costs little, from the `allowed` pixels on.

    pixels: uint8 `[H, W, 3]`; weight: what a squared error of one costs in the exact layer, in bits;
    networks: the cost of the networks' bits and errors; allowed: bool; all `[H, W]`.
    """

    def cheaper(trial: Trial, cell: int) -> np.ndarray:
        """The pixels whose cells of `cell`² seem to cost less in the exact layer."""
        exact = _costs(trial, pixels, weight)
        return allowed & _spread(_in_cells(exact, cell) < _in_cells(networks, cell), pixels, cell)

    mask, again = allowed, False
    for _ in range(_ROUNDS):
        trial = Trial(mask, coarsening.best(mask, again=again))
        yield trial
        before, mask, again = mask, cheaper(trial, BLOCK), True
        if (before ^ mask).sum() < _MOVED * mask.sum():
            break
    trial = Trial(mask, coarsening.best(mask, again=True))
    yield trial
    mask = _without_islands(cheaper(trial, _FINE), _COMPANY)
    yield Trial(mask, coarsening.best(mask))
    if mask.mean() > _NEARLY_ALL and not allowed.all():
        everything = np.ones_like(mask)
        yield Trial(everything, coarsening.best(everything))


def _costs(trial: Trial, pixels: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """What each pixel of the tile seems to cost in the exact layer, judging by the cost of a new pixel in a
    trial, `[H, W]`.
    """
    novelty = _novelty(trial.version.pixels) + _NOTHING_NEW
    price = trial.version.bits / max(float(novelty[trial.mask].sum()), 1.0)
    return novelty * price + weight * squared_error(pixels, trial.version.pixels)


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
