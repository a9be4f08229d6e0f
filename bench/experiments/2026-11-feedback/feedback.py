"""A network that corrects the latents of an image by what the decoder made of them.

python feedback.py IMAGES OUT.json MINUTES

IMAGES: a folder of training images, every 40th of which is held out. OUT.json: what the network saves on
held-out crops, every five minutes.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rdpcodec.encoder.annealing import anneal
from rdpcodec.metrics.eyes import ForEyes, exchange_rate, ssimulacra2_score
from rdpcodec.model.blocks import Downsample, Pointwise, blocks
from rdpcodec.model.prior import ResidualDensity, TwoPass
from rdpcodec.model.rounding import round_by_rate
from rdpcodec.model.rate import RateGain
from rdpcodec.model.rdp_model import RdpModel, TrainingOutput
from rdpcodec.model.scale_network import round_through
from rdpcodec.model.transforms import PATCH_VALUES, STEP_MIDDLE, Analysis
from rdpcodec.quality import lambda_at
from rdpcodec.format.tiles import PATCH
from rdpcodec.training.average import WeightAverage
from rdpcodec.training.losses import rate_distortion_loss
from rdpcodec.training.optimizers import build_optimizers
from rdpcodec.training.schedule import scale_learning_rates
from rdpcodec.training.start import load_start
from rdpcodec.training.validation import QUALITIES, load_training_and_validation

SHARES = (0.5, 0.3)  # of SSIMULACRA2 and of coarse errors, as in the training of the released weights
WARM, COLD = 0.3, 0.15  # temperatures of the random rounding, at the beginning and at the end


class Feedback(nn.Module):
    """Image, decoded image, rounding errors and tables → a correction of the latents, in steps."""

    def __init__(self, analysis: Analysis, channels: int, latents: int) -> None:
        super().__init__()
        self.enter = Downsample(6, channels, factor=8)
        self.eighth_gain = RateGain(channels)
        self.eighth = blocks(channels, 1, gated=False)
        self.down = Downsample(channels, channels)
        self.known = Pointwise(2 * latents, channels)
        self.sixteenth_gain = RateGain(channels)
        self.sixteenth = blocks(channels, 2, gated=False)
        self.leave = Pointwise(channels, latents, init=0.03, full_precision=True)
        # It begins as three tenths of the analysis's Haar transform of the error.
        self.bypass = Pointwise(
            PATCH_VALUES, latents, gain=255 / STEP_MIDDLE * PATCH_VALUES**-0.5, full_precision=True, bias=False
        )
        self.gain = RateGain(latents, exponent=0.5)
        with torch.no_grad():
            self.bypass.weight.copy_(0.3 * analysis.bypass.weight)

    def forward(self, x: Tensor, decoded: Tensor, offset: Tensor, table: Tensor, quality: Tensor) -> Tensor:
        error = x - decoded
        h = self.enter(torch.cat([8 * error, x - 0.5], 1))
        h = self.down(self.eighth(self.eighth_gain(h, quality)))
        h = h + self.known(torch.cat([2 * offset, table / 32 - 0.5], 1))
        h = self.sixteenth(self.sixteenth_gain(h, quality))
        return self.leave(h) + self.gain(self.bypass(F.pixel_unshuffle(error, PATCH)), quality)


class First(NamedTuple):
    """What the released encoder makes of a batch."""

    y: Tensor
    table: Tensor
    features: Tensor
    passed: TwoPass
    hyper_bits: Tensor


@torch.no_grad()
def first(model: RdpModel, x: Tensor, quality: Tensor) -> First:
    y = model.analysis(x, quality).float()
    z = round_through(model.hyper_latents(y).float())
    table = model.scale_network(z, quality)
    features = model.mean_network.features(z, quality)
    passed = model.mean_network.two_pass(
        features, lambda mean: round_by_rate(y - mean, table, quality, model.residual_density)
    )
    return First(y, table, features, passed, model.hyper_prior.bits(z, quality).sum((1, 2, 3)))


def line_bits(density: ResidualDensity, mixed: Tensor, table: Tensor) -> Tensor:
    """Bits of mixtures of two integers, on the line between what both cost."""
    low = mixed.detach().floor()
    with torch.no_grad():
        below, above = density(low, table), density(low + 1, table)
    return below + (above - below) * (mixed - low)


def trained_on(
    model: RdpModel, network: Feedback, x: Tensor, quality: Tensor, heat: float, rng: torch.Generator
) -> TrainingOutput:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = first(model, x, quality)
        with torch.no_grad():
            decoded = model.synthesis(found.passed.latents, quality).float()
        offset = found.y - found.passed.latents
        y = found.y + network(x, decoded, offset, found.table, quality).float()
        passed = model.mean_network.two_pass(
            found.features, lambda mean: anneal(y - mean.float(), heat, rng)
        )
        reconstruction = model.synthesis(passed.latents, quality).float()
    bits = line_bits(model.residual_density, passed.residual.float(), found.table).sum((1, 2, 3))
    return TrainingOutput(passed.latents, reconstruction, bits, found.hyper_bits)


@torch.no_grad()
def judged(model: RdpModel, network: Feedback, x: Tensor) -> list[dict[str, float]]:
    """By quality: loss saved in per cent of the rate, and what changed, for latents rounded by rate."""
    rows, for_eyes = [], ForEyes(x)
    for dial in QUALITIES:
        quality = torch.full((len(x),), dial)
        found = first(model, x, quality)
        price = lambda_at(quality) * 255**2 * x.shape[2] * x.shape[3]

        def measured(passed: TwoPass) -> tuple[Tensor, Tensor, list[Tensor]]:
            bits = model.residual_density(passed.residual, found.table).sum((1, 2, 3)) + found.hyper_bits
            decoded = model.synthesis(passed.latents, quality).clamp(0, 1)
            return bits, (decoded - x).square().mean((1, 2, 3)), list(for_eyes.distortions(decoded))

        decoded = model.synthesis(found.passed.latents, quality)
        y = found.y + network(x, decoded, found.y - found.passed.latents, found.table, quality)
        after = model.mean_network.two_pass(
            found.features, lambda mean: round_by_rate(y - mean, found.table, quality, model.residual_density)
        )
        (bits, mse, felt), (new_bits, new_mse, new_felt) = measured(found.passed), measured(after)
        rates = [share * exchange_rate(mse, of) for share, of in zip(SHARES, felt, strict=True)]
        saved = bits - new_bits + price * (1 - sum(SHARES)) * (mse - new_mse)
        for rate, old, new in zip(rates, felt, new_felt, strict=True):
            saved = saved + price * rate * (old - new)
        score = ssimulacra2_score(new_felt[0]) - ssimulacra2_score(felt[0])
        rows.append(
            {
                "quality": dial,
                "saved %": float((saved / bits).mean() * 100),
                "bits %": float((new_bits / bits).log().mean() * 100),
                "PSNR dB": float(10 * (mse / new_mse).log10().mean()),
                "SSIMULACRA2": float(score.mean()),
                "coarse errors %": float((new_felt[1] / felt[1]).log().mean() * 100),
            }
        )
    return rows


def main(images: str, out: str, minutes: str) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = load_start(Path("weights/fast.safetensors")).model.requires_grad_(False)
    training, held_out = load_training_and_validation(Path(images), 128, torch.device("cpu"))
    network = Feedback(model.analysis, model.architecture.eighth, model.architecture.latents)
    optimizers, average = build_optimizers(network, 1e-3), WeightAverage(network)
    generator, rng = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    record: list[dict[str, object]] = []
    began, steps = time.time(), 0
    while (progress := (time.time() - began) / 60 / float(minutes)) < 1:
        x = training.crops(8, 128, generator).contiguous(memory_format=torch.channels_last)
        quality = torch.rand(8, generator=generator) * 100
        output = trained_on(model, network, x, quality, WARM * (COLD / WARM) ** progress, rng)
        felt = list(zip(SHARES, ForEyes(x).distortions(output.reconstruction), strict=True))
        network.zero_grad()
        rate_distortion_loss(output, x, quality, for_eyes=felt).total.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimizer in optimizers:
            scale_learning_rates(optimizer, min(1, (steps + 1) / 50) * min(1, (1 - progress) / 0.6))
            optimizer.step()
        average.update_parameters(network)
        steps += 1
        if (time.time() - began) / 300 > len(record) + 1:
            record.append({"steps": steps, "held out": judged(model, average.module, held_out)})
    record.append({"steps": steps, "held out": judged(model, average.module, held_out)})
    Path(out).write_text(json.dumps(record, indent=1) + "\n")


main(*sys.argv[1:])
