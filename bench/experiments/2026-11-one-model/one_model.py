"""Train the released weights for a part of the quality setting, or with blocks that are told the quality.

python one_model.py IMAGES OUT.json MINUTES LOW HIGH [gains|gains-and-offsets]

IMAGES: a folder of training images, every 40th of which is held out. OUT.json: what held-out crops cost and
lose at several qualities, before and after. MINUTES: of processor time of one thread. LOW, HIGH: the qualities
that are trained.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rdpcodec.entropy.tables import KNOTS
from rdpcodec.metrics.eyes import ssimulacra2_distortion
from rdpcodec.model.blocks import ConvBlock
from rdpcodec.model.rate import interpolate_knots
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.transforms import Analysis, AnalysisFeatures, Synthesis
from rdpcodec.training.average import WeightAverage
from rdpcodec.training.fidelity import Fidelity
from rdpcodec.training.losses import rate_distortion_loss
from rdpcodec.training.optimizers import build_optimizers
from rdpcodec.training.schedule import rate_factor
from rdpcodec.training.settings import FidelitySettings

QUALITIES = (2, 5, 10, 15, 20, 25, 30, 35, 40, 45, 55, 65, 75, 85, 95)
_quality: Tensor  # of the transform that runs


def told(block: ConvBlock, offsets: bool) -> list[nn.Parameter]:
    """Give a block gains for what its two halves add, and offsets before its activations, by quality."""
    channels = block.spatial_in.weight.shape[0]
    block.by_quality = nn.Parameter(torch.zeros(KNOTS, 7 * channels))

    def forward(self: ConvBlock, x: Tensor) -> Tensor:
        found = interpolate_knots(self.by_quality, _quality)[:, :, None, None].to(x.dtype)
        first, second, *moved = found.split(channels, dim=1)
        h = self.spatial_in(x)
        h = h + moved[0] if offsets else h
        x = x + self.spatial_out(self.depthwise(F.silu(h)) * first.exp())
        total = torch.zeros_like(x)
        for quarter in range(4):
            h = self.widen.part(x, quarter, 4)
            total = total + F.silu(h + moved[1 + quarter] if offsets else h)
        return x + self.narrow(total * second.exp())

    block.forward = MethodType(forward, block)
    return [block.by_quality]


def tell_blocks(objective: Fidelity, offsets: bool) -> None:
    """Do so with all blocks behind the first gain: what stands before it serves all qualities at once."""
    model, added = objective.model, []
    for stack in (model.analysis.sixteenth, model.synthesis.sixteenth, model.synthesis.eighth):
        for block in stack:
            assert isinstance(block, ConvBlock)
            added += told(block, offsets)
    analyse, synthesise = Analysis.latents, Synthesis.forward

    def latents(self: Analysis, features: AnalysisFeatures, quality: Tensor) -> Tensor:
        global _quality
        _quality = quality
        return analyse(self, features, quality)

    def synthesis(self: Synthesis, y: Tensor, quality: Tensor) -> Tensor:
        global _quality
        _quality = quality
        return synthesise(self, y, quality)

    Analysis.latents, Synthesis.forward = latents, synthesis  # type: ignore[method-assign]
    fast = [*model.hyper_prior.parameters(), *model.residual_density.parameters(), *added]
    objective.optimizers = build_optimizers(model, objective.settings.learning_rate, fast)
    objective.average = WeightAverage(model)


@torch.no_grad()
def judged(model: RdpModel, crops: Tensor) -> list[dict[str, Any]]:
    """Each crop at each quality, rounded as the encoder rounds: log bits per pixel, PSNR, SSIMULACRA2's distortion."""
    rows = []
    for quality in QUALITIES:
        at = torch.full((len(crops),), float(quality))
        output = model(crops, at, by_rate=True)
        decoded = output.reconstruction.clamp(0, 1)
        mse = (decoded - crops).square().mean((1, 2, 3))
        found = {
            "log_bpp": rate_distortion_loss(output, crops, at).bpp.log(),
            "psnr": -10 * mse.log10(),
            "ssimulacra2_distortion": ssimulacra2_distortion(crops, decoded),
        }
        rounded = {name: [round(float(v), 4) for v in values] for name, values in found.items()}
        rows.append({"quality": quality, **rounded})
    return rows


def main(images: str, out: str, minutes: str, low: str, high: str, variant: str = "") -> None:
    torch.set_num_threads(1)
    recipe = {"crop": 192, "batch": 8, "decay": 1.0, "bfloat16": True, "learning_rate": 6e-4, "seed": 5}
    settings = FidelitySettings(minutes=float(minutes), qualities=(float(low), float(high)), **recipe)
    objective = Fidelity(settings, Path(images), torch.device("cpu"), init=Path("weights/fast.safetensors"))
    if variant:
        tell_blocks(objective, offsets=variant == "gains-and-offsets")
    crops = objective.validation_crops
    record: dict[str, Any] = {"before": judged(objective.average.module, crops)}
    began, step = time.process_time(), 0
    while (progress := (time.process_time() - began) / 60 / float(minutes)) < 1:
        objective.train_step(rate_factor(step, progress, settings.decay))
        step += 1
    record |= {"steps": step, "after": judged(objective.average.module, crops)}
    Path(out).write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
