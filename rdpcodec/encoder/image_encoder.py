"""One image → its files at any operating point: effort, targets and automatic realism come together here.

What all operating points share is computed once, where memory allows. The steps have files of their own:
`refine`, `target_search`, `bounds_search`, `auto_realism`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache

import numpy as np

from rdpcodec.encoder import auto_realism
from rdpcodec.encoder.bounds_search import Measured, search_both
from rdpcodec.encoder.exact.coarsening import squared_error
from rdpcodec.encoder.exact.layers import Layered, in_layers
from rdpcodec.encoder.needs import EFFORT, check_installed
from rdpcodec.encoder.target_search import search
from rdpcodec.encoder.transparency import alpha_step, coarse_alpha, is_neutral, simplified
from rdpcodec.errors import TargetWarning, UsageError, warn
from rdpcodec.extras import need_torch
from rdpcodec.format import container, exact_layer, opacity, side_data
from rdpcodec.format.container import Container, Header, Segment, join_tiles
from rdpcodec.format.symbols import Symbols
from rdpcodec.format.tiles import tiles_of
from rdpcodec.image import ImageData
from rdpcodec.metrics.full_reference import LEAST_SIDES, full_reference
from rdpcodec.mosaic import AnalysedTiles, region_of
from rdpcodec.operating_point import AUTO, EFFORT_MAX, OperatingPoint, Realism
from rdpcodec.quality import lambda_at
from rdpcodec.targets import Bounds, Target
from rdpcodec.tile_codec import TileCodec
from rdpcodec.weights.manifest import Identity

# Images of at most this many pixels are coded at all qualities in these steps, and the best file is taken.
# With a dozen latents, the networks' result is a matter of luck, and more bits must not make an image worse.
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
        self._tiles = AnalysedTiles(tile_codec.engine, [self.image.pixels])
        self._metadata = side_data.pack(image)
        self._coded_alpha: dict[int, bytes] = {}  # by `alpha_step`: trials of a target share it
        self._neutral = not image.gray and is_neutral(self.image.pixels)
        self._steps: list[Layered] | None = None  # of a tiny image

    def encode(self, point: OperatingPoint) -> bytes:
        """The file at an operating point. Raises `UsageError` when the weights do not have the point, or the
        target is out of reach.
        """
        self.weights.check_point(point)
        check_installed(point)
        if isinstance(point.quality, Target):
            self._check_size(point.quality)
            return self._to_target(point.quality, point.realism, point.effort)
        if isinstance(point.quality, Bounds):
            for target in (point.quality.distortion, point.quality.perception):
                self._check_size(target)
            return self._to_bounds(point.quality, point.effort)
        return self.encode_symbols(self.symbols(point.quality), point.quality, point.realism, point.effort)

    def encode_symbols(
        self, symbols: Sequence[Symbols], quality: float, realism: Realism, effort: int
    ) -> bytes:
        """The file at an operating point that the weights have, from the symbols that the networks have found
        at its quality.
        """
        layered = self._refine(self._best_layers(symbols, quality), effort)
        return self._write(layered, self._realism(layered, realism), quality)

    def symbols(self, quality: float) -> list[Symbols]:
        """The symbols of the image's tiles, as one pass of the networks finds them."""
        return self._tiles.symbols(quality)[0]

    def efforts(self, quality: float, realism: Realism) -> Iterator[bytes]:
        """The files of efforts 0, 1, … 9 at one quality, each as soon as it is found."""
        layered = self._best_layers(self.symbols(quality), quality)
        yield self._write(layered, self._realism(layered, realism), quality)
        need_torch(EFFORT)
        from rdpcodec.encoder.refine import refinements

        searches = refinements(self.tile_codec, layered.pixels, layered.symbols, layered.quality, EFFORT_MAX)
        for tiles in zip(*searches, strict=True):
            refined = layered._replace(symbols=list(tiles))
            yield self._write(refined, self._realism(refined, realism), quality)

    def _best_layers(self, symbols: Sequence[Symbols], quality: float) -> Layered:
        """The image in layers at a quality, or a tiny image at the one of some steps that has the lowest
        loss: bits + λ·squared error, with the given quality's λ. All qualities choose among the same files,
        so a higher one never has larger errors. At quality 100 an exact file is taken if there is one.
        """
        if self.image.pixels[..., 0].size > TINY:
            return self._divide(symbols, quality)

        def loss(layered: Layered) -> tuple[bool, float]:
            errors = float(squared_error(self.image.pixels, self._decode(layered, 0.0)).sum())
            bits, price = 8 * len(self._write(layered, 0.0, quality)), _TINY_VISIBILITY * lambda_at(quality)
            return quality == 100 and errors > 0, bits + price * errors

        return min(self._tiny_files(), key=loss)

    def _tiny_files(self) -> Sequence[Layered]:
        """A tiny image in layers, at each of the steps."""
        if self._steps is None:
            steps = (float(step) for step in range(0, 101, TINY_STEP))
            self._steps = [self._divide(self.symbols(step), step) for step in steps]
        return self._steps

    def _to_target(self, target: Target, realism: Realism, effort: int) -> bytes:
        """The file that meets a target: qualities are tried, and measured from the symbols in hand.

        With an automatic realism, each quality is measured at the one that it asks for. Where no quality then
        meets the target, realism gives way, with a `TargetWarning`.
        """
        tried = self._at_effort(effort)

        @cache
        def chosen(quality: float) -> float:
            return self._realism(tried(quality), realism)

        def found(realism_at: Callable[[float], float]) -> float:
            return search(lambda quality: self._measure(target, tried(quality), realism_at(quality)), target)

        if target.is_of_rate:  # whatever the realism
            quality = found(lambda _: 0.0)
            return self._write(tried(quality), chosen(quality), quality)
        try:
            quality = found(chosen)
            return self._write(tried(quality), chosen(quality), quality)
        except UsageError as error:
            if not self.weights.has_realism:
                raise
            if realism != AUTO:
                raise UsageError(f"{error} at realism {realism:g}") from error
            instead = auto_realism.MOST if target.is_of_perception else 0.0
            quality = found(lambda _: instead)
            fallback = f"at the realism that its detail asks for: the file has realism {instead:g}"
            warn(f"{error} {fallback}", TargetWarning)
            return self._write(tried(quality), instead, quality)

    def _measure(self, target: Target, layered: Layered, realism: float) -> float:
        """What a target bounds, in its unit: a rate of the file, or how far the decoded image lies from the
        original.
        """
        if target.kind == "size":
            return len(self._write(layered, realism, layered.quality))
        if target.kind == "bpp":
            return container.bits_per_pixel(self._write(layered, realism, layered.quality))
        return self._closeness(target, self._decode(layered, realism))

    def _closeness(self, target: Target, decoded: np.ndarray) -> float:
        """What a target of distortion or perception bounds."""
        return full_reference(target.kind)(self.image.pixels, decoded)

    def _check_size(self, target: Target) -> None:
        """Raise `UsageError` for an image that is too small for what a target bounds."""
        side = LEAST_SIDES.get(target.kind, 1)
        if min(self.image.size) < side:
            raise UsageError(
                f"target {target}: not defined for an image as small as this one; "
                f"it takes an image of at least {side}×{side} pixels"
            )

    def _to_bounds(self, bounds: Bounds, effort: int) -> bytes:
        """The file that meets both bounds."""
        tried = self._at_effort(effort)

        @cache
        def measured(quality: float, realism: float) -> Measured:
            decoded = self._decode(tried(quality), realism)
            return Measured(
                *(self._closeness(target, decoded) for target in (bounds.distortion, bounds.perception))
            )

        quality, realism = search_both(measured, bounds, has_realism=self.weights.has_realism)
        return self._write(tried(quality), realism, quality)

    def _at_effort(self, effort: int) -> Callable[[float], Layered]:
        """A function from qualities to the image in layers. It remembers the last ones: symbols take 6 bytes
        a pixel, and the quality that a search settles on is rarely older.
        """
        # Not `_best_layers`: a search tries lower qualities itself.
        return lru_cache(maxsize=3)(
            lambda quality: self._refine(self._divide(self.symbols(quality), quality), effort)
        )

    def _divide(self, symbols: Sequence[Symbols], quality: float) -> Layered:
        """The image in two layers, given the symbols that the networks found for it."""
        return in_layers(self.tile_codec, self.image.pixels, symbols, quality)

    def _refine(self, layered: Layered, effort: int) -> Layered:
        """The same layers with better symbols of the networks, after the search that the effort asks for."""
        if effort == 0:
            return layered
        from rdpcodec.encoder.refine import refine

        symbols = refine(self.tile_codec, layered.pixels, layered.symbols, layered.quality, effort)
        return layered._replace(symbols=symbols)

    def _realism(self, layered: Layered, asked: Realism) -> float:
        """The realism that the file names: the one that was asked for, or at "auto" what the image's detail
        asks for.
        """
        if asked != AUTO:
            return float(asked)
        if not self.weights.has_realism:
            return 0.0
        return auto_realism.realism_of(self.image.pixels, layered.mosaic(self.tile_codec.engine))

    def _decode(self, layered: Layered, realism: float) -> np.ndarray:
        """What both layers decode to, uint8 `[H, W, 3]`."""
        stored = round(realism * container.REALISM_STEPS) / container.REALISM_STEPS
        (pixels,) = layered.mosaic(self.tile_codec.engine).decode(region_of(None, self.image.size), stored)
        image = ImageData(pixels, self.image.gray, neutral=self._neutral)
        return np.asarray(image.to_pillow().convert("RGB"))

    def _write(self, layered: Layered, realism: float, wanted: float) -> bytes:
        """The bytes of the file.

        wanted: the quality that was asked for, which alpha has, whatever quality is best for colours.
        """
        quality, weights = layered.quality, self.weights
        header = Header(weights.size, weights.fingerprint, quality, realism, *self.image.size)
        kind = Segment.GRAY if self.image.gray else Segment.COLOUR
        segments = {**self._metadata, **self._opacity(wanted)}
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
        if self.image.alpha is None:
            return {}
        step = 1 if self.image.exact_alpha else alpha_step(quality)
        if step not in self._coded_alpha:
            alpha = self.image.alpha if self.image.exact_alpha else coarse_alpha(self.image.alpha, step)
            self._coded_alpha[step] = opacity.encode(alpha, tiles_of(self.image.size))
        return {Segment.OPACITY: self._coded_alpha[step]}
