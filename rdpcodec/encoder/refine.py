"""Latent refinement: with more time, the encoder searches for better latents of one image.

The analysis makes good latents of any image in one pass; here the symbols of this image are themselves
optimised, on rate + λ·distortion through the frozen prior and synthesis. Two searches take turns. One
anneals: latents are continuous, and rounded at random (`annealing`). One descends: symbols are integers, and
those that gain most by a step up or down take it (coordinate descent; in older codecs, rate-distortion
optimised quantisation). Hyper-latents stay as they are. The decoder is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count, islice, pairwise, repeat
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from rdpcodec.encoder.annealing import anneal, temperature
from rdpcodec.encoder.objective import ErrorPrice
from rdpcodec.model.prior import anchor_mask
from rdpcodec.model.rate import lambda_of
from rdpcodec.mosaic import Window
from rdpcodec.symbols import Symbols
from rdpcodec.tile_codec import TileCodec
from rdpcodec.tiles import tiles_of

# Steps of descent from the encoder's symbols, by effort.
DESCENT = (0, 4, 8, 16, 16, 16, 16, 16, 16, 16)
# Steps of annealing, by effort.
ANNEALING = (0, 0, 0, 0, 40, 100, 200, 350, 550, 750)
# Steps of descent from every annealed result. The search of a higher effort goes on from where a lower one
# ends, and the best is kept: more effort is never worse.
POLISH = 16

LEARNING_RATE = 0.01
# Gradients are in bits per quantisation step. Latents that a step would change by a small part of a bit
# should rest: with Adam's usual epsilon they would drift like all others, into values that their tables
# hardly know.
EPSILON = 1.0
BETAS = (0.9, 0.99)
# SSIMULACRA2 takes as long as the rest of a step: annealing looks at it in each third, for three.
EYES_EVERY = 3
# Random directions from which the curvature of the distortion is estimated, as if all of it were squared
# error; a channel's is a mean over all positions.
_PROBES = 2
# Share of positions at which a symbol may change in one step: each changes the pixels of its neighbours.
_SHARE = 0.4
# A change of neighbours adds to the curvature that a symbol sees, and SSIMULACRA2 has more of it than squared
# error. This factor stands for both; it grows after steps that gain less than promised, and else falls.
_CAUTION, _MORE, _LESS = 2.4, 1.1, 1 / 1.05


class Refined(NamedTuple):
    """Rounded residuals `[1, N, h, w]`, and rate + λ·distortion of the image, in bits."""

    residual: Tensor
    loss: float


def refine(
    tile_codec: TileCodec, pixels: np.ndarray, symbols: Sequence[Symbols], quality: float, effort: int
) -> list[Symbols]:
    """Search for symbols of an image that cost less in rate + λ·distortion (`objective`); effort 0..9.

    pixels: uint8 `[H, W, 3]`; symbols: what the engine found, of each tile. More effort takes longer. An
    image of one tile never gets worse by it; tiles are searched one by one, beside neighbours as the analysis
    left them.
    """
    if effort == 0:
        return list(symbols)
    searches = refinements(tile_codec, pixels, symbols, quality, effort)
    return [last for *_, last in searches]


def refinements(
    tile_codec: TileCodec, pixels: np.ndarray, symbols: Sequence[Symbols], quality: float, effort: int
) -> Iterator[Iterator[Symbols]]:
    """For each tile of an image, what each effort from 1 to `effort` makes of its symbols; nothing stays
    nothing.
    """
    height, width = pixels.shape[:2]
    for tile, found in zip(tiles_of((width, height)), symbols, strict=True):
        window = Window.around(tile, tile_codec.engine.synthesis_margin, (width, height))
        searched = refine_tile(tile_codec, pixels, window, found, quality, effort)
        yield repeat(found, effort) if found.blank else searched


def refine_tile(
    tile_codec: TileCodec,
    pixels: np.ndarray,
    window: Window,
    symbols: Symbols,
    quality: float,
    effort: int,
) -> Iterator[Symbols]:
    """Yields the best symbols of one tile that each effort from 1 to `effort` finds. What they cost is never
    above what the encoder's own cost, nor a lower effort's.
    """
    search = Search(tile_codec, pixels, window, symbols, quality)
    descent, annealing = search.descent(search.best.residual), search.annealing()
    steps = zip(pairwise(DESCENT[: effort + 1]), pairwise(ANNEALING[: effort + 1]), strict=True)
    for (descended, to_descend), (annealed, to_anneal) in steps:
        if to_descend > descended:
            search.consider(_after(descent, to_descend - descended))
        if to_anneal > annealed:
            rounded = search.rounded(_after(annealing, to_anneal - annealed))
            search.consider(rounded)
            search.consider(_after(search.descent(rounded), POLISH))
        yield search.symbols(search.best.residual)


_T = TypeVar("_T")


def _after(endless: Iterator[_T], steps: int) -> _T:
    """What an iterator yields after a number of steps."""
    return next(islice(endless, steps - 1, None))


class Search:
    """One tile's search: what does not change in it, and the best so far."""

    def __init__(
        self, tile_codec: TileCodec, pixels: np.ndarray, window: Window, symbols: Symbols, quality: float
    ) -> None:
        """Rates what the encoder found. Latents in the window's margin stand for those of the neighbours."""
        engine = tile_codec.engine.with_gradients()
        self.network, self.coder, self.start, self.dial = engine.network, tile_codec.coder, symbols, quality
        height, width = pixels.shape[:2]
        self.x = engine.padded(np.stack([pixels[*window.outer.slices()]]))[
            :, :, : window.outer.height, : window.outer.width
        ]
        self.quality = engine.quality(quality, 1)
        surroundings = Window.around(window.outer, engine.analysis_margin, (width, height))
        features = engine.features(np.stack([pixels[*surroundings.outer.slices()]]))
        self.canvas = engine.batch(surroundings.latents(engine.analyse(features, quality)))
        (top, left), (rows, columns) = window.corner, symbols.residual.shape[1:]
        self.inside = (..., slice(top, top + rows), slice(left, left + columns))
        self.latents = self.canvas[self.inside].clone()
        self.ideal, self.half = engine.residual_bits, computes_bfloat16(self.x.device)
        self.index = torch.from_numpy(symbols.tables)[None].to(self.x.device).long()
        self.generator = torch.Generator(self.x.device).manual_seed(0)
        with torch.no_grad():
            known = self.network.mean_network.features(engine.batch(np.stack([symbols.hyper])), self.quality)
            self.features = known[:, :, :rows, :columns]
        residual = engine.batch(np.stack([symbols.residual]))
        weight = float(lambda_of(self.quality)) * 255**2 * self.x.shape[2] * self.x.shape[3]
        self.price = ErrorPrice(self.x, self.decoded(residual), weight)
        self.best = self.rated(residual)

    def symbols(self, residual: Tensor) -> Symbols:
        """The tile's symbols with other residuals `[1, N, h, w]`."""
        return replace(self.start, residual=residual[0].int().cpu().numpy())

    def coded(self, residual: Tensor) -> float:
        """The bits that residuals `[1, N, h, w]` really take."""
        return 8.0 * len(self.coder.encode(self.symbols(residual), self.dial))

    def residuals(self, symbols: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Residuals, a function of their means, and the latents that they stand for."""
        passed = self.network.mean_network.two_pass(self.features, symbols)
        return passed.residual, passed.latents

    def decode(self, symbols: Callable[[Tensor], Tensor], *, half: bool) -> tuple[Tensor, Tensor]:
        """Residuals, a function of their means, and what the decoder makes of them, clamped to [0, 1].

        half: synthesise in bfloat16. Latents and their means are always float32.
        """
        residual, latents = self.residuals(symbols)
        surrounded = self.canvas.clone()
        surrounded[self.inside] = latents
        with torch.autocast(self.x.device.type, torch.bfloat16, enabled=half):
            decoded = self.network.synthesis(surrounded, self.quality)
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
        """Keep them if they are better."""
        self.best = min(self.best, self.rated(residual), key=lambda refined: refined.loss)

    def annealing(self) -> Iterator[Tensor]:
        """Stochastic Gumbel annealing: the latents after each step, always the same tensor."""
        latents = self.latents.clone().requires_grad_()
        optimizer = torch.optim.Adam([latents], LEARNING_RATE, BETAS, EPSILON)
        for step in count(1):
            annealed = partial(self._annealed, latents, temperature(step))
            residual, decoded = self.decode(annealed, half=self.half)
            rate = self.network.residual_density(residual, self.index).sum()
            price = self.price.squared(decoded)
            if step % EYES_EVERY == 0:
                price = price + EYES_EVERY * self.price.eyes(decoded)
            (rate + price).backward()
            optimizer.step()
            optimizer.zero_grad()
            yield latents

    def _annealed(self, latents: Tensor, heat: float, mean: Tensor) -> Tensor:
        return anneal(latents - mean, heat, self.generator)

    @torch.no_grad()
    def rounded(self, latents: Tensor) -> Tensor:
        """The integer residuals nearest to latents; those of the second half depend on the first."""
        return self.residuals(lambda mean: _round(latents - mean))[0]

    def descent(self, residual: Tensor) -> Iterator[Tensor]:
        """Coordinate descent on integers: the residuals after each step.

        Given the hyper-latents, the rate is a sum over symbols, known exactly; the distortion is taken to be
        quadratic, with the gradient where the symbols are and a diagonal curvature. In each step the
        symbol that promises most at each of some positions moves by one. A step that makes things worse is
        taken back.
        """
        curvature = self.curvature(residual)
        loss, gradient = self.slope(residual)
        caution = _CAUTION
        while True:
            here = self.ideal(residual, self.index)
            bend = 0.5 * caution * curvature
            up = self.ideal(residual + 1, self.index) - here + gradient + bend
            down = self.ideal(residual - 1, self.index) - here - gradient + bend
            change = torch.where(up < down, 1.0, -1.0)
            gain = torch.minimum(up, down)
            drawn = torch.rand(gain[:, :1].shape, generator=self.generator, device=gain.device) < _SHARE
            moved = (gain < 0) & (gain <= gain.amin(1, keepdim=True)) & drawn
            promised = -float(gain[moved].sum())
            if promised == 0:
                caution *= _LESS
                yield residual
                continue
            tried = residual + change * moved
            found, slope = self.slope(tried)
            # What the gradient of a moved symbol has changed by is its true curvature.
            true = (slope - gradient) * change
            curvature = torch.where(moved, torch.maximum(curvature, true), curvature)
            kept = (loss - found) / promised
            if kept < 0.4:
                caution *= _MORE
            elif kept > 0.6:
                caution *= _LESS
            if found < loss:
                residual, loss, gradient = tried, found, slope
            yield residual

    def slope(self, residual: Tensor) -> tuple[float, Tensor]:
        """Rate + λ·distortion, and the gradient of the latter."""
        leaf = residual.clone().requires_grad_()
        _, decoded = self.decode(lambda _: leaf, half=self.half)
        error = self.price(decoded)
        (gradient,) = torch.autograd.grad(error, leaf)
        rate = self.ideal(residual, self.index).double().sum()
        return float(rate) + float(error.detach()), gradient

    def curvature(self, residual: Tensor) -> Tensor:
        """The diagonal of the squared error's Gauss-Newton matrix, `[1, N, h, w]`: a mean for each channel
        and half of the checkerboard. The gradient of pixels with random signs is one sample of its root.
        """
        leaf = residual.clone().requires_grad_()
        _, decoded = self.decode(lambda _: leaf, half=self.half)
        sampled = torch.zeros_like(residual)
        for probe in range(_PROBES):
            signs = (
                torch.randint(0, 2, decoded.shape, generator=self.generator, device=decoded.device) * 2.0 - 1
            )
            (root,) = torch.autograd.grad(decoded, leaf, signs, retain_graph=probe + 1 < _PROBES)
            sampled += root.square() / _PROBES
        scale = 2 * self.price.weight / self.x.numel()
        anchor = anchor_mask(sampled)
        mask = anchor.to(sampled)
        first, second = (
            (sampled * half).sum((0, 2, 3), keepdim=True) / half.sum().clamp_min(1)
            for half in (mask, 1 - mask)
        )
        return scale * torch.where(anchor, first, second)


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16; to emulate them would be slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Older releases of torch do not tell what the processor can do.
    known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def _round(x: Tensor) -> Tensor:
    return torch.floor(x + 0.5)
