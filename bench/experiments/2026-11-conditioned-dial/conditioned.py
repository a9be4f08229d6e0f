"""`python -m bench conditioned`: what the realism dial mixes, against one synthesis that is told the realism.

The codec decodes twice and mixes the pictures. The alternative, of MRIC and CRDR, decodes once with a network
that knows the realism β: features are scaled and shifted before each block by functions of β, and training
draws β at random. Both start from the fidelity synthesis, see the same latents and get equal processor time;
neither gets an adversary. One process, one thread, as in `ablation`.
"""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import click
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from bench.measure.rd import data_option
from rdpcodec.metrics.lpips import load_lpips
from rdpcodec.model.transforms import PATCH, Architecture, Synthesis
from rdpcodec.training.checkpoint import ExponentialAverage
from rdpcodec.training.loop import Loop
from rdpcodec.training.losses import LPIPS_UNIT, PerceptualDistortion
from rdpcodec.training.optimizers import build_optimizers
from rdpcodec.training.realism import Realism, RealismRun
from rdpcodec.training.schedule import Budget, remember_peaks

RUN = RealismRun(batch=8, crop=128, learning_rate=7e-4, bfloat16=True, seed=1)
QUALITIES = (5.0, 25.0, 45.0)
REALISMS = (0.0, 0.25, 0.5, 0.75, 1.0)
POWERS = 3  # of β, of which scales and shifts are linear functions


class ConditionedSynthesis(Synthesis):
    """A synthesis whose features are scaled and shifted before each block by polynomials of the realism.

    realism: that of the pictures to be decoded next, `[B]` in 0..1.
    """

    realism: Tensor

    def __init__(self, size: Architecture, start: Synthesis) -> None:
        """Decodes as `start` does, at every realism, until it is trained."""
        super().__init__(size)
        self.load_state_dict(start.state_dict())
        self.at_sixteenth = nn.ModuleList(_silent(size.sixteenth) for _ in self.sixteenth)
        self.at_eighth = nn.ModuleList(_silent(size.eighth) for _ in self.eighth)

    def forward(self, y: Tensor, quality: Tensor) -> Tensor:
        """See `Synthesis`."""
        powers = self.realism[:, None] ** torch.arange(1.0, POWERS + 1)
        y = self.gain(y, quality)
        h = self.sixteenth_gain(self.enter(y), quality)
        h = _modulated(h, self.sixteenth, self.at_sixteenth, powers)
        h = self.eighth_gain(self.up(h), quality)
        h = _modulated(h, self.eighth, self.at_eighth, powers)
        return self.leave(h) + F.pixel_shuffle(self.bypass(y), PATCH) + 0.5


def _silent(channels: int) -> nn.Linear:
    """Powers of the realism → scales and shifts of so many channels, all zero at the start."""
    modulation = nn.Linear(POWERS, 2 * channels, bias=False)
    nn.init.zeros_(modulation.weight)
    return modulation


def _modulated(h: Tensor, stack: nn.Module, modulations: nn.Module, powers: Tensor) -> Tensor:
    for block, modulation in zip(stack.children(), modulations.children(), strict=True):
        scale, shift = modulation(powers)[:, :, None, None].to(h.dtype).chunk(2, dim=1)
        h = block(h * (1 + scale) + shift)
    return h


class Mixed(Realism):
    """Two pictures, of which one is as near as can be and the other is trained to look natural.

    A realism run whose adversary never joins; realism 0 is the fidelity synthesis, so only 1 is learnt.
    """

    def __init__(self, run: RealismRun, data: Path, init: Path, lpips: Path | None) -> None:
        super().__init__(run, data, torch.device("cpu"), init=init, lpips=lpips)
        self.lpips_alex = load_lpips("alex", lpips)
        self.synthesis = self.start()
        self.decode = self.synthesis
        self.synthesis_optimizers = build_optimizers(run.optimizer, self.synthesis, run.learning_rate)
        self.optimizers = [*self.synthesis_optimizers, self.discriminator_optimizer]
        remember_peaks(self.optimizers)
        self.average = ExponentialAverage(self.synthesis, decay=0.999)

    def start(self) -> Synthesis:
        """What is trained, as it is before training."""
        return copy.deepcopy(self.codec.synthesis).requires_grad_(True)

    def picture(self, synthesis: Synthesis, latents: Tensor, quality: Tensor, realism: float) -> Tensor:
        """What a user would see, all pictures at one realism."""
        return torch.lerp(self.codec.synthesis(latents, quality), synthesis(latents, quality), realism)

    def train_step(self, factor: float, progress: float) -> dict[str, float]:
        """See `Objective`."""
        return super().train_step(factor, 0.0)

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """PSNR, LPIPS-squeeze and LPIPS-alex at each of `QUALITIES` and `REALISMS`, on held-out crops."""
        synthesis = copy.deepcopy(self.synthesis)
        self.average.copy_to(synthesis)
        x, rows = self.validation_crops, []
        for level in QUALITIES:
            quality = torch.full((len(x),), level)
            latents = self.codec.analyse(x, quality, by_rate=True).rounded
            for realism in REALISMS:
                decoded = self.picture(synthesis, latents, quality, realism).clamp(0, 1)
                psnr = -10 * (decoded - x).square().mean((1, 2, 3)).log10()
                distances = [float(network(decoded, x).mean()) for network in (self.lpips, self.lpips_alex)]
                rows.append([level, realism, round(float(psnr.mean()), 3), *(round(d, 4) for d in distances)])
        return {"quality_realism_psnr_squeeze_alex": rows}


class Conditioned(Mixed):
    """One synthesis for all realisms, which is told which one is wanted.

    A picture at realism β is to be near its original in (1 - β) · squared error + β · (squared error +
    LPIPS), in the units in which joint training adds them up.
    """

    def start(self) -> Synthesis:
        """See `Mixed`."""
        return ConditionedSynthesis(self.codec.architecture, self.codec.synthesis)

    def picture(self, synthesis: Synthesis, latents: Tensor, quality: Tensor, realism: float) -> Tensor:
        """See `Mixed`."""
        assert isinstance(synthesis, ConditionedSynthesis)
        synthesis.realism = torch.full_like(quality, realism)
        return synthesis(latents, quality)

    def train_step(self, factor: float, progress: float) -> dict[str, float]:
        """See `Objective`."""
        assert isinstance(self.synthesis, ConditionedSynthesis)
        self.synthesis.realism = torch.rand(self.run.batch, generator=self.randomness.generator)
        return super().train_step(factor, progress)

    def _distortion(self, decoded: Tensor, x: Tensor, phase: Tensor) -> PerceptualDistortion:
        assert isinstance(self.synthesis, ConditionedSynthesis)
        looks, realism = super()._distortion(decoded, x, phase), self.synthesis.realism
        return looks._replace(total=(1 - realism) * LPIPS_UNIT * looks.mse + realism * looks.total)


KINDS = {"mixed": Mixed, "conditioned": Conditioned}


def train_kind(kind: str, data: Path, init: Path, out: Path, minutes: float, lpips: Path | None) -> None:
    """Train one kind; its log becomes `out/realism-<kind>.jsonl`."""
    folder = out / kind
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.jsonl"
    log.unlink(missing_ok=True)
    objective = KINDS[kind](RUN, data, init, lpips)
    loop = Loop(objective, folder, Budget(minutes, None, clock=time.process_time))
    loop.train(checkpoint_minutes=2 * minutes)
    log.replace(out / f"realism-{kind}.jsonl")


def comparison(out: Path) -> Table:
    """The ends of both logs, side by side."""
    ends = {}
    for kind in KINDS:
        last = (out / f"realism-{kind}.jsonl").read_text(encoding="utf-8").splitlines()[-1]
        ends[kind] = json.loads(last)["quality_realism_psnr_squeeze_alex"]
    table = Table("quality", "realism", *(f"{kind}: PSNR, LPIPS-squeeze, -alex" for kind in KINDS))
    for rows in zip(*ends.values(), strict=True):
        quality, realism = rows[0][:2]
        table.add_row(
            f"{quality:g}",
            f"{realism:g}",
            *(f"{psnr:.2f} dB, {squeeze:.4f}, {alex:.4f}" for _, _, psnr, squeeze, alex in rows),
        )
    return table


@click.command()
@click.argument("kinds", nargs=-1, type=click.Choice(list(KINDS)))
@data_option
@click.option(
    "--init", type=click.Path(exists=True, path_type=Path), default=Path("weights/fast.safetensors")
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the logs.")
@click.option("--minutes", default=12.0, show_default=True, help="Processor time for each kind.")
@click.option("--lpips-weights", type=click.Path(path_type=Path, exists=True), help="Folder of the networks.")
def conditioned(
    kinds: tuple[str, ...], data: Path, init: Path, out: Path, minutes: float, lpips_weights: Path | None
) -> None:
    """Train KINDS of the realism dial at equal processor time, both by default, and compare them."""
    torch.set_num_threads(1)
    for kind in kinds or KINDS:
        train_kind(kind, data, init, out, minutes, lpips_weights)
    if all((out / f"realism-{kind}.jsonl").exists() for kind in KINDS):
        Console(width=140).print(comparison(out))
