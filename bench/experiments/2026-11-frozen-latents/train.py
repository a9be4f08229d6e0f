"""Train a synthesis that has or sees more than the released one, on frozen latents.

python train.py IMAGES OUT VARIANT MINUTES SEED

VARIANT: control; deep (two more blocks at 1/8, three more at 1/16); quarter (two blocks at 1/4 of the sides
after it); side (it also sees the tables of the latents and the features of the hyper-latents); points (it
learns a point of reconstruction for each table and size of a residual). All start as the released synthesis.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rdpcodec.training.fidelity as fidelity
from rdpcodec.model.blocks import ConvBlock, Pointwise, Upsample
from rdpcodec.model.rdp_model import RdpModel, TrainingOutput
from rdpcodec.model.transforms import Synthesis
from rdpcodec.format.tiles import PATCH
from rdpcodec.training.recipes import FidelityRun, Launch
from rdpcodec.training.run import train
from rdpcodec.training.start import Start, load_start
from rdpcodec.weights.architecture import Architecture

CHANNELS_AT_A_QUARTER = 64
SIZES_OF_RESIDUALS = 9


def quiet(block: ConvBlock) -> ConvBlock:
    """A block that adds nothing at first."""
    nn.init.zeros_(block.spatial_out.weight)
    nn.init.zeros_(block.narrow.weight)
    return block


class Quarter(Synthesis):
    def __init__(self, size: Architecture) -> None:
        super().__init__(size)
        c = CHANNELS_AT_A_QUARTER
        self.quarter_image = Pointwise(48, c)
        self.quarter_up = Upsample(size.eighth, c)
        self.quarter = nn.Sequential(ConvBlock(c), ConvBlock(c))
        self.quarter_leave = Pointwise(c, 48)
        nn.init.zeros_(self.quarter_leave.weight)

    def forward(self, y: Tensor, quality: Tensor) -> Tensor:
        y = self.gain(y, quality)
        h = self.sixteenth(self.sixteenth_gain(self.enter(y), quality))
        h = self.eighth(self.eighth_gain(self.up(h), quality))
        image = self.leave(h) + F.pixel_shuffle(self.bypass(y), PATCH)
        h = self.quarter(self.quarter_image(F.pixel_unshuffle(image, 4)) + self.quarter_up(h))
        return image + F.pixel_shuffle(self.quarter_leave(h), 4) + 0.5


class Side(Synthesis):
    def __init__(self, size: Architecture) -> None:
        super().__init__(size)
        self.table_enter = Pointwise(size.latents, size.sixteenth)
        self.feature_enter = Pointwise(size.prior, size.sixteenth)
        nn.init.zeros_(self.table_enter.weight)
        nn.init.zeros_(self.feature_enter.weight)

    def forward(self, y: Tensor, quality: Tensor, *known: Tensor) -> Tensor:
        table, features, _ = known
        y = self.gain(y, quality)
        h = self.enter(y) + self.table_enter((table - 24) / 8) + self.feature_enter(features)
        h = self.up(self.sixteenth(self.sixteenth_gain(h, quality)))
        h = self.eighth(self.eighth_gain(h, quality))
        return self.leave(h) + F.pixel_shuffle(self.bypass(y), PATCH) + 0.5


class Points(Synthesis):
    def __init__(self, size: Architecture) -> None:
        super().__init__(size)
        self.moved = nn.Parameter(torch.zeros(64 * SIZES_OF_RESIDUALS, 1))

    def forward(self, y: Tensor, quality: Tensor, *known: Tensor) -> Tensor:
        table, _, residual = known
        place = table.long() * SIZES_OF_RESIDUALS + residual.abs().clamp(max=SIZES_OF_RESIDUALS - 1).long()
        moved = 4 * self.moved.view(-1).expand(len(place), -1).gather(1, place.flatten(1)).view_as(residual)
        return super().forward(y + moved * residual.sign(), quality)


KINDS = {"quarter": Quarter, "side": Side, "points": Points}


def grown(model: RdpModel, variant: str) -> RdpModel:
    """The model with the variant's synthesis, which does what its own did."""
    size, own = model.architecture, model.synthesis
    if variant == "deep":
        own.eighth.extend(quiet(ConvBlock(size.eighth)) for _ in range(2))
        own.sixteenth.extend(quiet(ConvBlock(size.sixteenth)) for _ in range(3))
    elif variant in KINDS:
        model.synthesis = KINDS[variant](size)
        model.synthesis.load_state_dict(own.state_dict(), strict=False)
    if variant in ("side", "points"):
        RdpModel.forward = told  # type: ignore[method-assign]
    return model


def told(self: RdpModel, x: Tensor, quality: Tensor, *, by_rate: bool = False) -> TrainingOutput:
    """`RdpModel.forward`, whose synthesis also sees tables, features and residuals."""
    latents = self.analyse(x, quality, by_rate=by_rate)
    features = self.mean_network.features(latents.hyper_rounded, quality)
    known = latents.table, features, latents.residual.detach()
    reconstruction = self.synthesis(latents.rounded, quality, *known).float()
    latent_bits, hyper_bits = self.information(latents, quality, noisy=not by_rate)
    sums = latent_bits.sum((1, 2, 3)), hyper_bits.sum((1, 2, 3))
    return TrainingOutput(latents.rounded, reconstruction, *sums)


def main(images: str, out: str, variant: str, minutes: str, seed: str) -> None:
    released = Path("weights/fast.safetensors")

    def start(path: Path, previous: Path | None = None) -> Start:
        torch.manual_seed(int(seed))
        found = load_start(path, previous)
        return found._replace(model=grown(found.model, variant))

    fidelity.load_start = start  # type: ignore[assignment]
    recipe = {"crop": 192, "batch": 8, "decay": 1.0, "bfloat16": True, "learning_rate": 8e-4}
    run = FidelityRun(
        minutes=float(minutes), seed=int(seed), trains="synthesis", eyes=0.45, coarse=0.25, **recipe
    )
    objectives: list[fidelity.Fidelity] = []

    def objective(device: torch.device) -> fidelity.Fidelity:
        objectives.append(fidelity.Fidelity(run, Path(images), device, init=released))
        return objectives[0]

    train(objective, Launch(Path(out), device="cpu", checkpoint_minutes=60))
    torch.save(objectives[0].average.module.synthesis.state_dict(), Path(out) / "synthesis.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
