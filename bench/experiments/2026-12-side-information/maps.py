"""What a quality for each block of 64×64 pixels could save, and what it does save.

python maps.py IMAGES LPIPS OUT.json QUALITY   the training images, and the folder of LPIPS networks

Each block of a held-out image gets the quality, out of five, that is best for a distortion at the image's
own exchange rate. The gains of the networks and the biases of the scale network follow the quality from place
to place; hyper-latents are coded at the middle one, and the map itself costs 1.5 bits a block. Needs
butteraugli_main of Debian's libjxl-devtools.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from filters import crops
from torch import Tensor

from bench.metrics.eye_measures import butteraugli_norm
from rdpcodec import Codec
from rdpcodec.entropy.rounding import PRICE_MAX, PRICE_MIN
from rdpcodec.metrics.eyes import ForEyes, ssimulacra2_distortion, ssimulacra2_score
from rdpcodec.metrics.lpips import load_lpips
from rdpcodec.model import rate, rdp_model, scale_network
from rdpcodec.model.rate import interpolate_knots

BLOCK, STEP, HEIGHT, WIDTH, EVERY, BITS = 64, 6.0, 448, 640, 2, 1.5
SHARES = {
    "as trained": {"squared": 0.2, "eyes": 0.5, "coarse": 0.3},
    "SSIMULACRA2": {"eyes": 1.0},
    "squared error": {"squared": 1.0},
}
quality_map: Tensor | None = None  # [1, 1, h, w], one value for each latent


def at(x: Tensor) -> Tensor:
    """The map at the resolution of `x`."""
    assert quality_map is not None
    if x.shape[2] <= quality_map.shape[2]:
        return F.adaptive_avg_pool2d(quality_map, x.shape[2:])
    return F.interpolate(quality_map, size=x.shape[2:], mode="bilinear")


def interpolated(table: Tensor, quality: Tensor, x: Tensor) -> Tensor:
    """Values of a table between knots, for each place of `x`."""
    if quality_map is None:
        return interpolate_knots(table, quality)[:, :, None, None]
    places = at(x)
    return interpolate_knots(table, places.flatten()).T.reshape(1, -1, *places.shape[2:])


def gained(self: rate.RateGain, x: Tensor, quality: Tensor) -> Tensor:
    return x * interpolated(self.log_gain, quality, x).exp()


def accumulated(self: scale_network.IntegerPointwise, x: Tensor, quality: Tensor, unit: float) -> Tensor:
    bias = self.integer_bias(unit)
    wide = bias[:, :, None, None] if len(bias) == 1 else interpolated(bias, quality, x)
    return F.conv2d(x, self.integer_weight()[:, :, None, None]) + scale_network.round_through(wide)


def rounded(x: Tensor, tables: Tensor, quality: Tensor, bits: rdp_model.Bits) -> Tensor:
    places = quality[:, None, None, None] if quality_map is None else quality_map
    price = PRICE_MAX * torch.exp(math.log(PRICE_MIN / PRICE_MAX) / 100 * places)
    nearest = torch.floor(x + 0.5)
    smaller = nearest - nearest.sign()
    saved = bits(nearest, tables) - bits(smaller, tables)
    return torch.where(saved > price * ((x - smaller).square() - (x - nearest).square()), smaller, nearest)


rate.RateGain.forward = gained
scale_network.IntegerPointwise.accumulate = accumulated
rdp_model.round_by_rate = rounded


class Judge:
    """Codes images and measures what becomes of them."""

    def __init__(self, lpips: Path) -> None:
        self.network = Codec(engine="torch").engine.with_gradients().network
        self.lpips, self.tool = load_lpips("alex", lpips), Path(shutil.which("butteraugli_main") or "")

    @torch.no_grad()
    def coded(self, x: Tensor, quality: float, blocks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The bits of each block, `[rows, columns]`, and the decoded image."""
        global quality_map
        if blocks is not None:
            quality_map = F.interpolate(blocks[None, None], scale_factor=BLOCK // 16, mode="nearest")
        q = torch.full((1,), quality)
        latents = self.network.analyse(x, q, by_rate=True)
        latent_bits, hyper_bits = self.network.information(latents, q, noisy=False)
        cells = BLOCK // 16
        bits = F.avg_pool2d(latent_bits.sum(1, keepdim=True), cells) * cells**2 + hyper_bits.sum(
            1, keepdim=True
        )
        y = self.network.synthesis(latents.rounded, q).float().clamp(0, 1)
        quality_map = None
        return bits[0, 0], y

    def measured(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """Measures of a decoded image; more is better."""
        y = (y * 255).round() / 255
        first, second = ((image[0] * 255).round().byte().permute(1, 2, 0).numpy() for image in (x, y))
        return {
            "psnr": float(-10 * (y - x).square().mean().log10()),
            "ssimulacra2": float(ssimulacra2_score(ssimulacra2_distortion(x, y))),
            "butteraugli": -math.log(butteraugli_norm(self.tool, first, second)),
            "lpips_alex": -math.log(float(self.lpips(x, y))),
        }


def by_block(x: Tensor, images: list[Tensor]) -> dict[str, Tensor]:
    """Each distortion of each block at each quality, relative to the image's at the middle quality. What a
    step of the quality changes is the mean of the gradients at both ends, times the change of the pixels.
    """
    judge, gradients, values = ForEyes(x), [], []
    for image in images:
        y = image.clone().requires_grad_()
        eyes, coarse = judge.distortions(y)
        found = {"squared": (y - x).square().mean(), "eyes": eyes.sum(), "coarse": coarse.sum()}
        gradients.append(
            {name: torch.autograd.grad(value, y, retain_graph=True)[0] for name, value in found.items()}
        )
        values.append({name: value.item() for name, value in found.items()})
    blocks = {}
    for name in values[0]:
        known = [torch.zeros(x.shape[2] // BLOCK, x.shape[3] // BLOCK)]
        for i, (here, there) in enumerate(pairwise(images)):
            slope = (gradients[i][name] + gradients[i + 1][name]) / 2
            change = F.avg_pool2d((slope * (there - here)).sum(1, keepdim=True), BLOCK)[0, 0] * BLOCK**2
            known.append(known[-1] + change)
        blocks[name] = torch.stack(known) / values[len(values) // 2][name]
    return blocks


def chosen(bits: Tensor, blocks: dict[str, Tensor], shares: dict[str, float]) -> tuple[Tensor, float]:
    """The best quality for each block, and the bits that this promises at equal distortion, in per cent."""
    felt = sum(share * blocks[name] for name, share in shares.items())
    rates, costs = bits.sum((1, 2)), felt.sum((1, 2))
    price = -(costs[3] - costs[1]) / (rates[3] - rates[1])
    best = (bits * price + felt).argmin(0)
    reached = [float(values.gather(0, best[None]).sum()) for values in (bits, felt)]
    alike = np.exp(np.interp(-reached[1], -costs.numpy(), rates.log().numpy()))
    return best, 100 * (reached[0] / float(alike) - 1)


def main(images: Path, lpips: Path, out: Path, quality: float) -> None:
    judge, rows = Judge(lpips), []
    qualities = [quality + STEP * i for i in (-2, -1, 0, 1, 2)]
    for pixels in list(crops(images, held_out=True))[::EVERY]:
        x = torch.from_numpy(pixels[:HEIGHT, :WIDTH]).permute(2, 0, 1)[None].float() / 255
        bits, decoded = zip(*(judge.coded(x, q) for q in qualities), strict=True)
        curve = [(math.log(float(bits[i].sum())), judge.measured(x, decoded[i])) for i in (0, 2, 4)]
        blocks = by_block(x, list(decoded))
        row = {}
        for name, shares in SHARES.items():
            best, promised = chosen(torch.stack(bits), blocks, shares)
            found, y = judge.coded(x, quality, torch.tensor(qualities)[best])
            log_bits = math.log(float(found.sum()) + BITS * best.numel())
            row[name] = {"promised": promised}
            for key, value in judge.measured(x, y).items():
                parabola = np.polyfit([known[key] for _, known in curve], [rate for rate, _ in curve], 2)
                row[name][key] = 100 * (math.exp(log_bits - np.polyval(parabola, value)) - 1)
        rows.append(row)
    out.write_text(json.dumps(rows))
    for name in SHARES:
        print(
            quality, name, {key: round(float(np.mean([r[name][key] for r in rows])), 1) for key in row[name]}
        )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), float(sys.argv[4]))
