"""Latent refinement: given more time, the encoder searches for better latents for one image.

The analysis makes good latents for any image in one pass. Here the symbols of one image are themselves
optimised for rate + λ·distortion, through the frozen prior and synthesis. During the search, latents are
continuous and rounded at random (`annealing`). Hyper-latents and the decoder stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count, islice, pairwise, repeat
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rdpcodec.encoder.annealing import ExpectedBits, anneal, temperature
from rdpcodec.encoder.objective import ErrorPrice
from rdpcodec.format.symbols import Symbols
from rdpcodec.format.tiles import tiles_of
from rdpcodec.model.device import computes_bfloat16
from rdpcodec.mosaic import Window
from rdpcodec.quality import lambda_at
from rdpcodec.tile_codec import TileCodec

# Steps of the search, by effort. Each effort continues from where the one below ends, and the best is kept,
# so more effort is never worse.
STEPS = (0, 20, 30, 45, 70, 120, 200, 350, 550, 750)
LEARNING_RATE = 0.015
# Gradients are in bits per quantisation step. Latents whose gradient is a small part of a bit should rest.
# With Adam's usual epsilon they would drift like all others, into values that are rare in their tables.
EPSILON = 1.0
BETAS = (0.9, 0.99)
# Latents start no farther than this from the encoder's symbols, which are not always the nearest integers.
START = 0.45


class Refined(NamedTuple):
    """Rounded residuals `[1, N, h, w]`, and rate + λ·distortion of the image, in bits."""

    residual: Tensor
    loss: float


def refine(
    tile_codec: TileCodec, pixels: np.ndarray, symbols: Sequence[Symbols], quality: float, effort: int
) -> list[Symbols]:
    """Search for symbols of an image that cost less in rate + λ·distortion (`objective`); effort 1..9.

    pixels: uint8 `[H, W, 3]`; symbols: what the engine found for each tile. More effort takes longer, and
    never makes an image of one tile worse. Tiles are searched one by one, beside neighbours as the analysis
    left them.
    """
    return [last for *_, last in refinements(tile_codec, pixels, symbols, quality, effort)]


def refinements(
    tile_codec: TileCodec, pixels: np.ndarray, symbols: Sequence[Symbols], quality: float, effort: int
) -> Iterator[Iterator[Symbols]]:
    """For each tile of an image, its symbols after each effort from 1 to `effort`; blank tiles stay blank."""
    height, width = pixels.shape[:2]
    for tile, found in zip(tiles_of((width, height)), symbols, strict=True):
        window = Window.around(tile, tile_codec.engine.synthesis_margin, (width, height))
        if found.blank:
            yield repeat(found, effort)
        else:
            with _own_modes(tile_codec.engine.with_gradients().device):
                search = Search(tile_codec, pixels, window, found, quality)
            yield search.efforts(effort)


class Search:
    """The search for one tile: what stays fixed in it, and the best so far."""

    def __init__(
        self, tile_codec: TileCodec, pixels: np.ndarray, window: Window, symbols: Symbols, quality: float
    ) -> None:
        """Rates what the encoder found, `symbols`, at a quality 0..100.

        pixels: the whole image, uint8 `[H, W, 3]`. window: the tile, and the margin that the synthesis sees;
        latents in the margin stand for the neighbours' latents.
        """
        engine = tile_codec.engine.with_gradients()
        self.network, self.tile_codec = engine.network, tile_codec
        self.start, self.quality, self.qualities = symbols, quality, engine.quality(quality, 1)
        height, width = pixels.shape[:2]
        self.x = engine.padded(np.stack([pixels[*window.outer.slices()]]))[
            :, :, : window.outer.height, : window.outer.width
        ]
        surroundings = Window.around(window.outer, engine.analysis_margin, (width, height))
        features = engine.features(np.stack([pixels[*surroundings.outer.slices()]]))
        self.canvas = engine.batch(surroundings.latents(engine.analyse(features, quality)))
        (top, left), (rows, columns) = window.corner, symbols.residual.shape[1:]
        self.inside = (..., slice(top, top + rows), slice(left, left + columns))
        self.latents = self.canvas[self.inside].clone()
        self.half = computes_bfloat16(self.x.device.type)
        tables = torch.from_numpy(symbols.tables)[None].to(self.x.device).long()
        self.rate = ExpectedBits(engine.residual_bits.costs, tables)
        self.generator = torch.Generator(self.x.device).manual_seed(0)
        with torch.no_grad():
            hyper = engine.batch(np.stack([symbols.hyper]))
            known = self.network.mean_network.features(hyper, self.qualities)
            self.features = known[:, :, :rows, :columns]
            self.first_mean = self.network.mean_network.first_mean(self.features)
        residual = engine.batch(np.stack([symbols.residual]))
        weight = float(lambda_at(self.qualities)) * 255**2 * self.x.shape[2] * self.x.shape[3]
        self.price = ErrorPrice(self.x, self.decoded(residual), weight, engine.shares)
        self.best = self.rated(residual)

    def efforts(self, effort: int) -> Iterator[Symbols]:
        """Yields the tile's best symbols after each effort from 1 to `effort`. They never cost more than the
        encoder's own, or than a lower effort's.
        """
        annealing = self.annealing()
        for before, after in pairwise(STEPS[: effort + 1]):
            with _own_modes(self.x.device):
                latents = next(islice(annealing, after - before - 1, None))
                self.consider(self.rounded(latents))
            yield self.symbols(self.best.residual)

    def symbols(self, residual: Tensor) -> Symbols:
        """The tile's symbols with other residuals `[1, N, h, w]`."""
        return replace(self.start, residual=residual[0].int().cpu().numpy())

    def coded(self, residual: Tensor) -> float:
        """The bits that residuals `[1, N, h, w]` really take."""
        return 8.0 * len(self.tile_codec.encode(self.symbols(residual), self.quality))

    def residuals(self, symbols: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Residuals, given as a function of their means, and the latents that they stand for."""
        passed = self.network.mean_network.second_pass(self.features, self.first_mean, symbols)
        return passed.residual, passed.latents

    def decode(self, symbols: Callable[[Tensor], Tensor], *, half: bool) -> tuple[Tensor, Tensor]:
        """Residuals, given as a function of their means, and what they decode to, clamped to [0, 1].

        half: compute in bfloat16, except for the latents and their means.
        """
        with torch.autocast(self.x.device.type, torch.bfloat16, enabled=half):
            residual, latents = self.residuals(symbols)
            surrounded = self.canvas.clone()
            surrounded[self.inside] = latents
            decoded = self.network.synthesis(surrounded, self.qualities)
        return residual, decoded[:, :, : self.x.shape[2], : self.x.shape[3]].float().clamp(0, 1)

    @torch.no_grad()
    def rated(self, residual: Tensor) -> Refined:
        """Residuals with their true loss: the coder's bits, and the distortion of 8-bit pixels."""
        return Refined(residual, self.coded(residual) + float(self.price(self.decoded(residual))))

    @torch.no_grad()
    def decoded(self, residual: Tensor) -> Tensor:
        """The 8-bit pixels of residuals, `[1, 3, H, W]` in [0, 1]."""
        _, decoded = self.decode(lambda _: residual, half=False)
        return _round(decoded * 255) / 255

    def consider(self, residual: Tensor) -> None:
        """Keep these residuals if they are better than the best so far."""
        self.best = min(self.best, self.rated(residual), key=lambda refined: refined.loss)

    def annealing(self) -> Iterator[Tensor]:
        """Stochastic Gumbel annealing: the latents after each step, always the same tensor."""
        latents = self.first_latents().requires_grad_()
        optimizer = torch.optim.Adam([latents], LEARNING_RATE, BETAS, EPSILON)
        for step in count(1):
            annealed = partial(self._annealed, latents, temperature(step))
            residual, decoded = self.decode(annealed, half=self.half)
            (self.rate(residual) + self.price(decoded)).backward()
            optimizer.step()
            optimizer.zero_grad()
            yield latents

    @torch.no_grad()
    def first_latents(self) -> Tensor:
        """The latents from which the search begins: they round to the encoder's own symbols."""
        _, latents = self.residuals(lambda _: self.best.residual)
        return latents + (self.latents - latents).clamp(-START, START)

    def _annealed(self, latents: Tensor, heat: float, mean: Tensor) -> Tensor:
        return anneal(latents - mean, heat, self.generator)

    @torch.no_grad()
    def rounded(self, latents: Tensor) -> Tensor:
        """The integer residuals nearest to latents; those of the second half depend on the first."""
        return self.residuals(lambda mean: _round(latents - mean))[0]


@contextmanager
def _own_modes(device: torch.device) -> Iterator[None]:
    """Within it, a search finds the same whatever modes of torch its caller has set. Not to be left open
    where a generator yields: the caller would go on in these modes.
    """
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        yield


def _round(x: Tensor) -> Tensor:
    return torch.floor(x + 0.5)
