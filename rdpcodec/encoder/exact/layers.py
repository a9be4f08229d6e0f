"""One image in two layers: what the networks code, and what the exact layer holds.

Dividing them takes two passes of the networks, because they code what is left to them better than they did
beside drawn pixels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np

from rdpcodec.encoder.exact.choice import Choice, choose
from rdpcodec.encoder.exact.coding import smallest
from rdpcodec.encoder.exact.detector import is_worth_a_look
from rdpcodec.encoder.fill import smooth_fill
from rdpcodec.engine.interface import Engine
from rdpcodec.engine.threads import chosen_threads, cores
from rdpcodec.format.exact_layer import ExactLayer, ExactPixels
from rdpcodec.format.symbols import Symbols
from rdpcodec.format.tiles import Box, tiles_of
from rdpcodec.mosaic import AnalysedTiles, Mosaic
from rdpcodec.tile_codec import TileCodec

_Result = TypeVar("_Result")
# Tiles that are worked on at the same time: each takes a hundred megabytes.
_AT_ONCE = 4


class Layered(NamedTuple):
    """An image in two layers, at one quality."""

    quality: float
    """0..100."""
    symbols: list[Symbols]
    """Each tile's symbols, row by row: what the networks make of `pixels`."""
    exact: ExactLayer
    pixels: np.ndarray
    """What the networks see, uint8 `[H, W, 3]`: the image, but smooth under the exact layer."""

    @property
    def tiles(self) -> list[Box]:
        """The tiles of the image, row by row."""
        return tiles_of(self.pixels.shape[1::-1])

    def mosaic(self, engine: Engine) -> Mosaic:
        """The coded image, to be decoded."""
        tiles, size = [[tile] for tile in self.symbols], self.pixels.shape[1::-1]
        return Mosaic(engine, tiles, size, self.quality, [self.exact])


def in_layers(
    tile_codec: TileCodec, pixels: np.ndarray, symbols: Sequence[Symbols], quality: float
) -> Layered:
    """Divide an image between the networks and the exact layer; photographs go to the networks unchanged.

    pixels: uint8 `[H, W, 3]`; symbols: what the networks make of them, tile by tile, at `quality`.
    """
    tiles = tiles_of(pixels.shape[1::-1])
    whole = Layered(quality, list(symbols), ExactLayer.empty(tiles), pixels)
    if not is_worth_a_look(pixels, quality):
        return whole
    choices = _proposed(tile_codec, whole)
    proposed = [choice.some for choice in choices]
    left = _left_to_networks(tile_codec, whole, proposed)
    chosen = _settled(tile_codec, left, choices)
    if any(now is not before for now, before in zip(chosen, proposed, strict=True)):
        left = _left_to_networks(tile_codec, whole, chosen)
    coded = _in_threads(partial(smallest, *exact) for exact in chosen)
    return left._replace(exact=ExactLayer(coded, tiles))


def _proposed(tile_codec: TileCodec, whole: Layered) -> list[Choice]:
    """What the exact layer may take over from each tile, judging by what the networks make of all pixels."""
    mosaic = whole.mosaic(tile_codec.engine)

    def choices() -> Iterable[Callable[[], Choice]]:
        for tile, symbols in zip(whole.tiles, whole.symbols, strict=True):
            pixels = whole.pixels[*tile.slices()]
            if (pixels == pixels[0, 0]).all():
                yield partial(Choice.of_one_colour, pixels)
                continue
            bits = tile_codec.bits_by_position(symbols)
            beside = _length(tile_codec, symbols, whole.quality) - float(bits.sum())
            yield partial(choose, pixels, mosaic.decode(tile, 0.0)[0], bits, whole.quality, beside)

    return _in_threads(choices())


def _in_threads(steps: Iterable[Callable[[], _Result]]) -> list[_Result]:
    """The results of several steps, which run at the same time where the networks may use several threads."""
    threads = min(chosen_threads() or cores(), _AT_ONCE)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[_Result]] = deque()
        results = []
        for step in steps:
            if len(waiting) > threads:  # what steps are made of takes memory, too
                results.append(waiting.popleft().result())
            waiting.append(pool.submit(step))
        return results + [step.result() for step in waiting]


def _settled(tile_codec: TileCodec, left: Layered, choices: Sequence[Choice]) -> list[ExactPixels]:
    """The pixels of each tile that the exact layer has, now that the networks have coded the others, `left`.

    They are coded better than they were beside drawn ones.
    """
    mosaic, settled = left.mosaic(tile_codec.engine), []
    for tile, choice, symbols in zip(left.tiles, choices, left.symbols, strict=True):
        left_out = symbols.blank and choice.some.mask.all()  # of the file
        rest = 0.0 if left_out else _length(tile_codec, symbols, left.quality)
        if choice.divides:
            rest += choice.errors(left.pixels[*tile.slices()], mosaic.decode(tile, 0.0)[0])
        settled.append(choice.best(rest))
    return settled


def _length(tile_codec: TileCodec, symbols: Symbols, quality: float) -> float:
    """The bits that a tile takes in the file."""
    return 8.0 * len(tile_codec.encode(symbols, quality))


def _left_to_networks(tile_codec: TileCodec, whole: Layered, exact: Sequence[ExactPixels]) -> Layered:
    """An image as the networks code it, given the pixels of each tile that the exact layer has. whole: as
    they code all of its pixels.
    """
    known = np.empty(whole.pixels.shape[:2], bool)
    for tile, (_, mask) in zip(whole.tiles, exact, strict=True):
        known[*tile.slices()] = ~mask
    if known.all():
        return whole
    seen = _filled(whole.pixels, known, tile_codec.engine.analysis_margin)
    coded = AnalysedTiles(tile_codec.engine, [seen]).symbols(whole.quality)[0] if known.any() else ()
    # A tile that is entirely exact still reaches into its neighbours' pixels.
    margin = tile_codec.engine.synthesis_margin
    needed = [known[*_around(tile, margin, known).slices()].any() for tile in whole.tiles]
    symbols = [
        coded[number] if needed[number] else tile_codec.blank(tile, whole.quality)
        for number, tile in enumerate(whole.tiles)
    ]
    return whole._replace(symbols=symbols, pixels=seen)


def _filled(pixels: np.ndarray, known: np.ndarray, margin: int) -> np.ndarray:
    """The pixels, and a smooth continuation of them where they are not `known`. Tiles are filled one by one,
    together with the margin that their analysis sees.
    """
    filled = pixels.copy()
    for tile in tiles_of(pixels.shape[1::-1]):
        around = _around(tile, margin, known)
        smooth = smooth_fill(pixels[*around.slices()], known[*around.slices()])
        filled[*tile.slices()] = smooth[*tile.slices(around)]
    return filled


def _around(tile: Box, margin: int, image: np.ndarray) -> Box:
    """A tile with a margin, within an image `[H, W, …]`."""
    return tile.grown(margin, image.shape[1], image.shape[0])
