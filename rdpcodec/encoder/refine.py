"""Latent refinement: with more time, the encoder searches for better latents of one image.

The analysis makes good latents of any image in one pass; here the symbols of this image are themselves
optimised, on rate + λ·squared error through the frozen prior and synthesis. Two searches take turns. One
anneals: latents are continuous, and rounded at random (stochastic Gumbel annealing; Yang, Bamler & Mandt,
Improving Inference for Neural Image Compression, NeurIPS 2020, section 3.2). One descends: symbols are
integers, and those that gain most by a step up or down take it (coordinate descent; in older codecs,
rate-distortion optimised quantisation). Hyper-latents stay as they are. The decoder is the same for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import count, islice, pairwise
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from rdpcodec.model.prior import anchor_mask
from rdpcodec.model.quantise import Bits
from rdpcodec.model.rate import lambda_of
from rdpcodec.model.rdp_model import RdpModel

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
# Temperature of the annealing: at its start a latent halfway between two integers takes either, at its end
# the nearer one.
WARM, COLD, COOLING = 0.5, 0.1, 100.0

# Random directions from which the curvature of the squared error is estimated; a channel's is a mean over all
# positions.
_PROBES = 2
# Share of positions at which a symbol may change in one step: each changes the pixels of its neighbours.
_SHARE = 0.4
# A change of neighbours adds to the curvature that a symbol sees. This factor stands for it; it grows after
# steps that gain less than promised, and falls after others.
_CAUTION, _MORE, _LESS = 1.2, 1.1, 1 / 1.05


class Tile(NamedTuple):
    """What is searched, and how its residuals are coded.

    x: the tile's pixels with a margin, `[1, 3, H, W]` in [0, 1]; quality `[1]`; latents: the unrounded
    latents of x; hyper: rounded hyper-latents of the tile; tables: the index of each residual's table,
    residual: the rounded residuals as the encoder left them, `[1, N, h, w]`; corner: where the tile's latents
    begin. Latents in the margin stand for those of the neighbours.

    ideal: bits of each residual in the table of each index; coded: what residuals `[1, N, h, w]` really cost.
    """

    x: Tensor
    quality: Tensor
    latents: Tensor
    hyper: Tensor
    tables: Tensor
    residual: Tensor
    corner: tuple[int, int]
    ideal: Bits
    coded: Callable[[Tensor], float]


class Refined(NamedTuple):
    """Rounded residuals `[1, N, h, w]`, and rate + λ·squared error of the image, in bits."""

    residual: Tensor
    loss: float


def refine(network: RdpModel, tile: Tile, effort: int) -> Iterator[Refined]:
    """Search for residuals of one tile that cost less, with a frozen `network`; effort 1..9.

    Yields the best that each effort from 1 to `effort` finds. Its loss is never above that of the encoder's
    own residuals, nor of a lower effort's.
    """
    search = _Search(network, tile)
    descent, annealing = search.descent(search.best.residual), search.annealing()
    steps = zip(pairwise(DESCENT[: effort + 1]), pairwise(ANNEALING[: effort + 1]), strict=True)
    for (descended, to_descend), (annealed, to_anneal) in steps:
        if to_descend > descended:
            search.consider(_after(descent, to_descend - descended))
        if to_anneal > annealed:
            rounded = search.rounded(_after(annealing, to_anneal - annealed))
            search.consider(rounded)
            search.consider(_after(search.descent(rounded), POLISH))
        yield search.best


_T = TypeVar("_T")


def _after(endless: Iterator[_T], steps: int) -> _T:
    """What an iterator yields after a number of steps."""
    return next(islice(endless, steps - 1, None))


class _Search:
    """One tile's search: what does not change in it, and the best so far."""

    def __init__(self, network: RdpModel, tile: Tile) -> None:
        """Rates what the encoder found."""
        self.network, self.x, self.quality = network, tile.x, tile.quality
        self.ideal, self.coded = tile.ideal, tile.coded
        self.weight = float(lambda_of(tile.quality)) * 255**2 * tile.x.shape[2] * tile.x.shape[3]
        (top, left), (height, width) = tile.corner, tile.residual.shape[2:]
        self.inside = (..., slice(top, top + height), slice(left, left + width))
        self.canvas = tile.latents.contiguous(memory_format=torch.channels_last)
        self.latents = self.canvas[self.inside].clone()
        self.half = _computes_bfloat16(tile.x.device)
        self.mask, self.index = anchor_mask(self.latents), tile.tables.long()
        self.generator = torch.Generator(tile.x.device).manual_seed(0)
        with torch.no_grad():
            features = network.mean_network.features(tile.hyper, tile.quality)
            self.features = features[:, :, :height, :width]
            self.first_mean = network.mean_network.first_means(self.features)
        self.best = self.rated(tile.residual)

    def residuals(self, symbols: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Residuals, a function of their means, and the latents that they stand for."""
        first = symbols(self.first_mean)
        anchors = torch.where(self.mask, self.first_mean + first, 0.0)
        second_mean = self.network.mean_network.second_means(self.features, anchors)
        residual = torch.where(self.mask, first, symbols(second_mean))
        return residual, torch.where(self.mask, self.first_mean, second_mean) + residual

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
        """Residuals with their true loss: the coder's bits, and the error of 8-bit pixels."""
        _, decoded = self.decode(lambda _: residual, half=False)
        error = (_round(decoded * 255) / 255 - self.x).square().mean()
        return Refined(residual, self.coded(residual) + self.weight * float(error))

    def consider(self, residual: Tensor) -> None:
        """Keep them if they are better."""
        self.best = min(self.best, self.rated(residual), key=lambda refined: refined.loss)

    def annealing(self) -> Iterator[Tensor]:
        """Stochastic Gumbel annealing: the latents after each step, always the same tensor."""
        latents = self.latents.clone().requires_grad_()
        optimizer = torch.optim.Adam([latents], LEARNING_RATE, BETAS, EPSILON)
        for step in count(1):
            temperature = max(COLD, WARM * math.exp(-step / COOLING))
            residual, decoded = self.decode(
                lambda mean, t=temperature: _anneal(latents - mean, t, self.generator),  # type: ignore[misc]
                half=self.half,
            )
            rate = self.network.residual_density(residual, self.index).sum()
            (rate + self.weight * (decoded - self.x).square().mean()).backward()
            optimizer.step()
            optimizer.zero_grad()
            yield latents

    @torch.no_grad()
    def rounded(self, latents: Tensor) -> Tensor:
        """The integer residuals nearest to latents; those of the second half depend on the first."""
        return self.residuals(lambda mean: _round(latents - mean))[0]

    def descent(self, residual: Tensor) -> Iterator[Tensor]:
        """Coordinate descent on integers: the residuals after each step.

        Given the hyper-latents, the rate is a sum over symbols, known exactly; the squared error is taken to
        be quadratic, with the gradient where the symbols are and a diagonal curvature. In each step the
        symbol that promises most at each of some positions moves by one. A step that makes things worse is
        taken back.
        """
        curvature = self._curvature(residual)
        loss, gradient = self._slope(residual)
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
            found, slope = self._slope(tried)
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

    def _slope(self, residual: Tensor) -> tuple[float, Tensor]:
        """Rate + λ·squared error, and the gradient of the latter."""
        leaf = residual.clone().requires_grad_()
        _, decoded = self.decode(lambda _: leaf, half=self.half)
        error = self.weight * (decoded - self.x).square().mean()
        (gradient,) = torch.autograd.grad(error, leaf)
        rate = self.ideal(residual, self.index).double().sum()
        return float(rate) + float(error.detach()), gradient

    def _curvature(self, residual: Tensor) -> Tensor:
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
        scale = 2 * self.weight / self.x.numel()
        mask = self.mask.to(sampled)
        first, second = (
            (sampled * half).sum((0, 2, 3), keepdim=True) / half.sum().clamp_min(1)
            for half in (mask, 1 - mask)
        )
        return scale * torch.where(self.mask, first, second)


def _computes_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16; to emulate them would be slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Older releases of torch do not tell what the processor can do.
    known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def _round(x: Tensor) -> Tensor:
    return torch.floor(x + 0.5)


def _anneal(x: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """A random mixture of the two integers around x, nearly always the nearer one when cold (equation 6)."""
    low = torch.floor(x)
    # artanh is infinite at 1: a latent on an integer stays there.
    place = (x - low).clamp(1e-4, 1 - 1e-4)
    preference = (torch.atanh(place) - torch.atanh(1 - place)) / temperature
    # The difference of two Gumbel variables is logistic.
    noise = torch.rand(x.shape, generator=generator, device=x.device).clamp(1e-6, 1 - 1e-6).logit()
    return low + torch.sigmoid((preference + noise) / temperature)
