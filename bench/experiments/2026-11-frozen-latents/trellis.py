"""Would trellis-coded quantisation save bits? Crops coded with it by the released networks.

python trellis.py IMAGES

Each channel of a crop is a sequence. Four states choose between two quantisers of twice the step, as in VVC;
a Viterbi search minimises bits + price · squared error. Bits are entropies of symbols by table and quantiser,
counted on 24 training crops of 256² and applied to 24 held-out ones. The rivals are symbols rounded by rate, with
tables counted in the same way. Both decode with the released synthesis, which was not trained for either.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from rdpcodec.rounding import PRICE_MAX, PRICE_MIN
from rdpcodec.metrics.eyes import ssimulacra2_distortion, ssimulacra2_score
from rdpcodec.model.prior import anchor_mask
from rdpcodec.training.data import load_images
from rdpcodec.training.start import load_start

QUALITIES = (35.0, 50.0, 65.0, 80.0)
REACH = 120  # of symbols
COUNT = 2 * REACH + 1
NEXT = ((0, 2), (2, 0), (1, 3), (3, 1))  # by state and parity of the symbol
Bits = list[Tensor]  # by quantiser: [64, COUNT]
Quantiser = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]  # residuals, tables → symbols, quantisers, values


def value(symbol: Tensor, quantiser: int | Tensor, step: float) -> Tensor:
    """Even multiples of the step, or odd ones and zero."""
    return (2 * symbol - quantiser * symbol.sign()) * step


def counted(table: Tensor, symbol: Tensor, quantiser: Tensor) -> Bits:
    bits = []
    for which in (0, 1):
        cell = (table * COUNT + symbol.long() + REACH)[quantiser == which]
        counts = torch.bincount(cell, minlength=64 * COUNT).double().view(64, COUNT)
        counts = counts + counts.flip(1) + 0.02
        bits.append(-(counts / counts.sum(1, keepdim=True)).log2().float())
    return bits


def by_rate(bits: Bits, price: float) -> Quantiser:
    def quantised(u: Tensor, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        nearest = torch.floor(u + 0.5).clamp(-REACH, REACH)
        tried = torch.stack([nearest, nearest - nearest.sign(), torch.zeros_like(u)])
        costs = price * (u - tried).square() + bits[0][table, (tried + REACH).long()]
        symbol = tried.gather(0, costs.argmin(0, keepdim=True))[0]
        return symbol, torch.zeros_like(table), symbol

    return quantised


def by_trellis(bits: Bits, price: float, step: float) -> Quantiser:
    def best(u: Tensor, table: Tensor, quantiser: int) -> list[tuple[Tensor, Tensor]]:
        """The cheapest symbol of each parity and its cost."""
        middle = u / (2 * step) + quantiser * u.sign() / 2
        nearest = torch.floor(middle + 0.5).clamp(-REACH + 2, REACH - 2)
        away, toward = torch.where(u >= 0, 1.0, -1.0), nearest.sign()
        tried = torch.stack([nearest, nearest - toward, nearest + away, nearest - 2 * toward, 0 * u])
        costs = price * (u - value(tried, quantiser, step)).square()
        costs = costs + bits[quantiser][table, (tried + REACH).long()]
        found = []
        for parity in (0, 1):
            of_parity = costs.masked_fill(tried.long() % 2 != parity, math.inf)
            place = of_parity.argmin(0, keepdim=True)
            found.append((tried.gather(0, place)[0], of_parity.gather(0, place)[0]))
        return found

    def quantised(u: Tensor, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        sequences, length = u.shape
        cost = torch.full((sequences, 4), math.inf)
        cost[:, 0] = 0
        came, chosen = torch.zeros(length, sequences, 4, dtype=torch.long), torch.zeros(length, sequences, 4)
        for place in range(length):
            options = [best(u[:, place], table[:, place], quantiser) for quantiser in (0, 1)]
            cost, previous = torch.full_like(cost, math.inf), cost
            for state in range(4):
                for parity in (0, 1):
                    symbol, added = options[state // 2][parity]
                    total, then = previous[:, state] + added, NEXT[state][parity]
                    better = total < cost[:, then]
                    cost[:, then] = torch.where(better, total, cost[:, then])
                    came[place, :, then] = torch.where(better, state, came[place, :, then])
                    chosen[place, :, then] = torch.where(better, symbol, chosen[place, :, then])
        state = cost.argmin(1, keepdim=True)
        symbols, quantisers = torch.zeros_like(u), torch.zeros_like(table)
        for place in reversed(range(length)):
            symbols[:, place] = chosen[place].gather(1, state)[:, 0]
            state = came[place].gather(1, state)
            quantisers[:, place] = state[:, 0] // 2
        return symbols, quantisers, value(symbols, quantisers, step)

    return quantised


class Coder:
    def __init__(self) -> None:
        self.model = load_start(Path("weights/fast.safetensors")).model.eval()
        anchors = anchor_mask(torch.zeros(1, 1, 16, 16)).flatten()
        self.halves = [mask.nonzero()[:, 0] for mask in (anchors, ~anchors)]

    def coded(self, x: Tensor, quality: float, quantiser: Quantiser) -> tuple[Tensor, ...]:
        """Tables, symbols, quantisers, decoded latents, and the bits of hyper-latents."""
        q, model = torch.full((len(x),), quality), self.model
        y = model.analysis(x, q)
        z = model.hyper_latents(y).float()
        rounded = torch.floor(z + 0.5)
        table = model.scale_network(rounded, q).long()
        features = model.mean_network.features(rounded, q)
        first = model.mean_network.first_mean(features)
        residual, symbol, which = torch.zeros_like(y), torch.zeros_like(y), torch.zeros_like(table)

        def half(mean: Tensor, places: Tensor) -> None:
            def sequences(v: Tensor) -> Tensor:
                return v.flatten(2)[:, :, places].flatten(0, 1).contiguous()

            found = quantiser(sequences(y - mean), sequences(table))
            for whole, part in zip((symbol, which, residual), found, strict=True):
                whole.flatten(2)[:, :, places] = part.view(*y.shape[:2], -1).to(whole.dtype)

        half(first, self.halves[0])
        second = model.mean_network.second_pass(features, first, lambda _: residual).mean
        half(second, self.halves[1])
        mean = torch.where(anchor_mask(y), first, second)
        parts = SimpleNamespace(y=y, mean=mean, residual=residual, table=table, hyper=z, hyper_rounded=rounded)
        hyper_bits = model.information(parts, q, noisy=False)[1].sum((1, 2, 3))  # type: ignore[arg-type]
        return table, symbol, which, mean + residual, hyper_bits

    def point(self, x: Tensor, quality: float, quantiser: Quantiser, bits: Bits) -> np.ndarray:
        """Mean log bits per pixel, PSNR and SSIMULACRA2."""
        table, symbol, which, latents, hyper_bits = self.coded(x, quality, quantiser)
        cell = table, (symbol + REACH).long()
        spent = torch.where(which == 0, bits[0][cell], bits[1][cell]).sum((1, 2, 3)) + hyper_bits
        decoded = self.model.synthesis(latents, torch.full((len(x),), quality)).clamp(0, 1)
        decoded = (decoded * 255).round() / 255
        psnr = -10 * (decoded - x).square().mean((1, 2, 3)).log10()
        score = ssimulacra2_score(ssimulacra2_distortion(x, decoded))
        return torch.stack([(spent / 65536).log(), psnr, score]).mean(1).numpy()


@torch.no_grad()
def main(images: str) -> None:
    torch.set_num_threads(1)
    training, held_out = load_images(Path(images), 256, torch.device("cpu"), held_out_side=256)
    x = training.crops(24, 256, torch.Generator().manual_seed(7))
    y = held_out.crops(24, 256, torch.Generator().manual_seed(1))
    coder, points = Coder(), {}
    for quality in QUALITIES:
        price = PRICE_MAX * (PRICE_MIN / PRICE_MAX) ** (quality / 100)
        free = [torch.zeros(64, COUNT)] * 2
        bits = counted(*coder.coded(x, quality, by_rate(free, 1e9))[:3])
        for _ in range(2):
            bits = counted(*coder.coded(x, quality, by_rate(bits, price))[:3])
        points.setdefault("by rate", []).append(coder.point(y, quality, by_rate(bits, price), bits))
        for double_step, price in ((1.15, 30.0), (1.3, 30.0), (1.3, 60.0)):
            step, found = double_step / 2, bits
            for _ in range(3):
                quantiser = by_trellis([found[0], found[-1]], price, step)
                found = counted(*coder.coded(x, quality, quantiser)[:3])
            name = f"trellis, twice the step {double_step}, price {price:g}"
            points.setdefault(name, []).append(coder.point(y, quality, by_trellis(found, price, step), found))
    anchor = np.array(points["by rate"])
    for name, rows in points.items():
        change = np.array(rows) - anchor
        for column, measure in ((1, "PSNR"), (2, "SSIMULACRA2")):
            slope = np.gradient(anchor[:, column], anchor[:, 0])
            found = 100 * (change[:, 0] - change[:, column] / slope)
            print(name, measure, [round(float(v), 1) for v in found], flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
