"""One image → its files at any operating point: effort, targets and automatic realism come together here.

What all operating points share is computed once, where memory allows. The steps have files of their own:
`refine`, `target_search`, `bounds_search`, `auto_realism`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np

from rdpcodec import container, exact_layer, opacity, side_data
from rdpcodec.container import Container, Header, Segment
from rdpcodec.encoder import auto_realism
from rdpcodec.encoder.bounds_search import Measured, search_both
from rdpcodec.encoder.coarsening import squared_error
from rdpcodec.encoder.exact_choice import Layered, in_layers
from rdpcodec.encoder.needs import EFFORT, check_installed
from rdpcodec.encoder.target_search import search
from rdpcodec.encoder.transparency import coarse_alpha, is_neutral, simplified
from rdpcodec.extras import need_torch
from rdpcodec.image import ImageData
from rdpcodec.metrics.full_reference import full_reference
from rdpcodec.mosaic import AnalysedTiles, Mosaic, region_of
from rdpcodec.operating_point import AUTO, EFFORT_MAX, Bounds, OperatingPoint, Realism, Target
from rdpcodec.quality import lambda_at
from rdpcodec.symbols import Symbols
from rdpcodec.tile_codec import TileCodec
from rdpcodec.tiles import join_tiles, tiles_of
from rdpcodec.weights.manifest import Identity

# Images of at most this many pixels are also tried at lower qualities, in these steps. With a dozen latents,
# the networks' result is a matter of luck, and more bits must not make an image worse.
TINY, TINY_STEP = 2048, 10
# How much more an error counts in such an image than in a photograph: most are icons. With 1, a smooth icon
# is not exact at quality 100.
_TINY_VISIBILITY = 3.0


class ImageEncoder:
    """Files of one image at any number of operating points. What the points of an image of one tile share is
    computed once (`AnalysedTiles`).
    """

    def __init__(self, tile_codec: TileCodec, weights: Identity, image: ImageData) -> None:
        """weights: those that `tile_codec` codes with. Raises `WeightsError` when they only decode."""
        weights.check_encodes()
        self.tile_codec, self.weights, self.image = tile_codec, weights, simplified(image)
        self._tiles = AnalysedTiles(tile_codec, [self.image.pixels])
        self._side = side_data.pack(image)
        self._neutral = not image.gray and is_neutral(self.image.pixels)

    def encode(self, point: OperatingPoint, symbols: Sequence[Symbols] | None = None) -> bytes:
        """The file at an operating point. Raises `UsageError` when the weights do not have the point, or the
        target is out of reach.

        symbols: those of the image's tiles at the point's quality, where the networks have found them.
        """
        self.weights.check_point(point)
        check_installed(point)
        if isinstance(point.quality, Target):
            return self._to_target(point.quality, point)
        if isinstance(point.quality, Bounds):
            return self._within(point.quality, point.effort)
        quality, layered = self._best(symbols or self.symbols(point.quality), point.quality)
        layered = self._refined(layered, quality, point.effort)
        return self._written(layered, quality, self._realism(layered, quality, point.realism))

    def symbols(self, quality: float) -> list[Symbols]:
        """The symbols of the image's tiles, as one pass of the networks finds them."""
        return self._tiles.symbols(quality)[0]

    def _best(self, symbols: Sequence[Symbols], quality: float) -> tuple[float, Layered]:
        """The image in layers, and the quality that they have: the given one, or for a tiny image one of the
        steps below it, if that has the lowest loss: bits + λ·squared error, with the given quality's λ.
        """
        tried = {quality: self._divided(symbols, quality)}
        if self.image.pixels[..., 0].size > TINY:
            return quality, tried[quality]
        below = [float(step) for step in range(0, 100, TINY_STEP) if step < quality]
        tried |= {step: self._divided(self.symbols(step), step) for step in below}

        def loss(at: float) -> float:
            errors = squared_error(self.image.pixels, self._decoded(tried[at], at, 0.0))
            price = _TINY_VISIBILITY * lambda_at(quality)
            return 8 * len(self._written(tried[at], at, 0.0)) + price * float(errors.sum())

        best = min(tried, key=loss)
        return best, tried[best]

    def efforts(self, quality: float, realism: Realism) -> Iterator[bytes]:
        """The files of efforts 0, 1, … 9 at one quality, each as soon as it is found."""
        quality, layered = self._best(self.symbols(quality), quality)
        yield self._written(layered, quality, self._realism(layered, quality, realism))
        need_torch(EFFORT)
        from rdpcodec.encoder.refine import refinements

        searches = refinements(self.tile_codec, layered.pixels, layered.symbols, quality, EFFORT_MAX)
        for tiles in zip(*searches, strict=True):
            refined = layered._replace(symbols=list(tiles))
            yield self._written(refined, quality, self._realism(refined, quality, realism))

    def _to_target(self, target: Target, point: OperatingPoint) -> bytes:
        """The file that meets a target: qualities are tried, and measured from the symbols in hand.

        An automatic realism is chosen once, at the quality found without it. Where it changes the errors that
        the target bounds, the search is repeated with it.
        """
        tried = self._tried(point.effort)
        metric = None if target.is_of_rate else full_reference(target.kind)

        def found(realism: float) -> float:
            def measure(quality: float) -> float:
                layered = tried(quality)
                if metric is not None:
                    return metric(self.image.pixels, self._decoded(layered, quality, realism))
                data = self._written(layered, quality, realism)
                return len(data) if target.kind == "size" else container.bits_per_pixel(data)

            return search(measure, target)

        quality = found(0.0 if point.realism == AUTO else point.realism)
        realism = self._realism(tried(quality), quality, point.realism)
        if point.realism == AUTO and realism and metric is not None:
            quality = found(realism)
        return self._written(tried(quality), quality, realism)

    def _within(self, bounds: Bounds, effort: int) -> bytes:
        """The file that meets both bounds.

        To choose a realism, the pixels of realism 0 and 1 are mixed, in place of a synthesis for each.
        """
        tried = self._tried(effort)
        metrics = [full_reference(target.kind) for target in (bounds.distortion, bounds.perception)]

        def measured(pixels: np.ndarray) -> Measured:
            return Measured(*(metric(self.image.pixels, pixels) for metric in metrics))

        @lru_cache(maxsize=2)
        def decoded(quality: float, realism: float) -> np.ndarray:
            return self._decoded(tried(quality), quality, realism)

        def estimate(quality: float, realism: float) -> Measured:
            low, high = decoded(quality, 0.0), decoded(quality, 1.0)
            return measured(np.rint(low + realism * (high.astype(np.float32) - low)).astype(np.uint8))

        def measure(quality: float, realism: float) -> Measured:
            return measured(self._decoded(tried(quality), quality, realism))

        dial = "realism" in self.weights.dials
        quality, realism = search_both(estimate, measure, bounds, dial=dial)
        return self._written(tried(quality), quality, realism)

    def _tried(self, effort: int) -> Callable[[float], Layered]:
        """A function from qualities to the image in layers. It remembers the last ones: symbols take 6 bytes
        a pixel, and the quality that a search settles on is rarely older.
        """
        return lru_cache(maxsize=3)(
            lambda quality: self._refined(self._divided(self.symbols(quality), quality), quality, effort)
        )

    def _divided(self, symbols: Sequence[Symbols], quality: float) -> Layered:
        """The image in two layers, given the symbols that the networks found for it."""
        return in_layers(self.tile_codec, self.image.pixels, symbols, quality)

    def _refined(self, layered: Layered, quality: float, effort: int) -> Layered:
        """The same layers with better symbols of the networks, after the search that the effort asks for."""
        if effort == 0:
            return layered
        from rdpcodec.encoder.refine import refine

        refined = refine(self.tile_codec, layered.pixels, layered.symbols, quality, effort)
        return layered._replace(symbols=refined)

    def _realism(self, layered: Layered, quality: float, wanted: Realism) -> float:
        """The realism that the file names: the one wanted, or the one that the image's detail asks for."""
        if wanted != AUTO:
            return float(wanted)
        if "realism" not in self.weights.dials:
            return 0.0
        return auto_realism.realism_of(self.image.pixels, self._mosaic(layered, quality))

    def _decoded(self, layered: Layered, quality: float, realism: float) -> np.ndarray:
        """What both layers decode to, uint8 `[H, W, 3]`."""
        stored = round(realism * container.REALISM_STEPS) / container.REALISM_STEPS
        (pixels,) = self._mosaic(layered, quality).decode(region_of(None, self.image.size), stored)
        image = ImageData(pixels, self.image.gray, neutral=self._neutral)
        return np.asarray(image.to_pillow().convert("RGB"))

    def _mosaic(self, layered: Layered, quality: float) -> Mosaic:
        tiles = [[tile] for tile in layered.symbols]
        return Mosaic(self.tile_codec, tiles, self.image.size, quality, [layered.exact])

    def _written(self, layered: Layered, quality: float, realism: float) -> bytes:
        """The bytes of the file."""
        header = Header(self.weights.size, self.weights.fingerprint, quality, realism, *self.image.size)
        kind = Segment.GRAY if self.image.gray else Segment.COLOUR
        segments = {**self._side, **self._opacity(quality)}
        if self._neutral:
            segments[Segment.NEUTRAL] = b""
        if layered.exact:
            segments[Segment.EXACT] = exact_layer.joined(layered.exact)
        coded = [
            b""
            if layered.exact.covers(number) and symbols.blank
            else self.tile_codec.encode(symbols, quality)
            for number, symbols in enumerate(layered.symbols)
        ]
        return container.write(Container(header, {**segments, kind: join_tiles(coded)}))

    def _opacity(self, quality: float) -> dict[Segment, bytes]:
        """The segment of the alpha channel, if there is one."""
        alpha = self.image.alpha
        if alpha is None:
            return {}
        if not self.image.exact:
            alpha = coarse_alpha(alpha, quality)
        return {Segment.OPACITY: opacity.encode(alpha, tiles_of(self.image.size))}
