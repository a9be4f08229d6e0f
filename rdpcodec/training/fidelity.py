"""Training for fidelity: rate + λ·squared error over all qualities at once.

`rdpcodec train fidelity`, or `python -m rdpcodec.training.fidelity` on a machine that has only torch, NumPy,
Pillow and safetensors; several processes or machines: `torchrun --nproc_per_node=N -m …`. Each process takes
its own crops; gradients are averaged, so N processes with batch B do what one does with batch N·B.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from rdpcodec.model.rate import LAMBDA_MIDDLE, lambda_of
from rdpcodec.model.rdp_model import RdpModel, TrainingOutput
from rdpcodec.model.transforms import PATCH, Architecture, haar_basis, start_from_basis
from rdpcodec.training.checkpoint import ExponentialAverage, load_start, start_history
from rdpcodec.training.command import parse_run, train, training_parser
from rdpcodec.training.data import load_pictures, random_patches
from rdpcodec.training.loop import process_count
from rdpcodec.training.optimizers import OPTIMIZERS, build_optimizers
from rdpcodec.training.randomness import Randomness
from rdpcodec.training.schedule import remember_peaks, set_rates

# A file at λ costs about λ^0.5 in the loss's own units; dividing by most of that keeps the low rates, where
# BD-rates are measured in per cent of few bits, from being drowned by the high ones.
LOSS_EXPONENT = -0.4
VALIDATION_QUALITIES = (5.0, 25.0, 45.0, 65.0, 85.0)
# One size for all runs, so that their validation losses can be compared.
VALIDATION_SIDE = 256
VALIDATION_CROPS = 24
GRADIENT_CLIP = 1.0
# Enough to order 768 variances; more would exchange a few of the last rows that are kept.
BASIS_PATCHES = 40_000


# What a run may train, and the parts of `RdpModel` that are frozen then. The decoder is all that bitstream
# and picture depend on.
FROZEN: dict[str, tuple[str, ...]] = {
    "everything": (),
    "decoder": ("analysis", "hyper_analysis"),
    "synthesis": (
        "analysis",
        "hyper_analysis",
        "hyper_prior",
        "scale_network",
        "mean_network",
        "residual_density",
    ),
}


@dataclass(frozen=True)
class FidelityRun:
    """What defines a run besides its pictures and its start."""

    minutes: float | None = None
    gigapixels: float | None = None
    batch: int = 16
    crop: int = 128
    learning_rate: float = 1e-3
    optimizer: str = "adamw"
    seed: int = 0
    bfloat16: bool = False
    trains: str = "everything"

    @property
    def by_rate(self) -> bool:
        """Whether latents are rounded as the encoder rounds them, and counted so, which needs no noise."""
        return self.trains != "everything"


class Loss(NamedTuple):
    """The mean over a batch that is minimised, and its parts for each picture, `[B]`."""

    total: Tensor
    bpp: Tensor
    mse: Tensor

    @property
    def psnr(self) -> Tensor:
        """Mean over the batch, dB."""
        return (-10 * self.mse.log10()).mean()


def rate_distortion_loss(output: TrainingOutput, x: Tensor, quality: Tensor) -> Loss:
    """Σ weight(λ) · (bpp + λ·255²·MSE) / B for pictures x `[B, 3, H, W]` coded at `quality` `[B]`."""
    lambdas = lambda_of(quality)
    weight = (lambdas / LAMBDA_MIDDLE) ** LOSS_EXPONENT
    mse = (output.reconstruction - x).square().mean((1, 2, 3))
    bpp = (output.latent_bits + output.hyper_bits) / (x.shape[2] * x.shape[3])
    return Loss((weight * (bpp + lambdas * 255**2 * mse)).mean(), bpp, mse)


def make_optimizers(model: RdpModel, run: FidelityRun) -> list[torch.optim.Optimizer]:
    """The run's optimisers."""
    densities = [*model.hyper_prior.parameters(), *model.residual_density.parameters()]
    return build_optimizers(run.optimizer, model, run.learning_rate, densities)


class Fidelity:
    """The objective of a fidelity run: model, optimisers, averaged weights and pictures."""

    def __init__(
        self,
        run: FidelityRun,
        data: Path,
        device: torch.device,
        *,
        init: Path | None = None,
        architecture: Architecture | None = None,
        compile_model: bool = False,
    ) -> None:
        """Load the pictures below `data` and the starting weights: `init`, or a Haar transform."""
        self.run, self.device = run, device
        self.settings = asdict(run)
        self.pixels_a_step = process_count() * run.batch * run.crop**2
        self.randomness = Randomness(run.seed)
        self.training, self.validation = load_pictures(data, max(run.crop, VALIDATION_SIDE), device)
        self.history = start_history(init) if init else []
        if init is not None:
            self.model = load_start(init, architecture).to(device)
        else:
            self.model = RdpModel(architecture).to(device)
            patches = random_patches(self.training, BASIS_PATCHES, PATCH, self.randomness.generator)
            mean, basis = haar_basis(patches.cpu().double().numpy(), self.model.architecture.latents)
            start_from_basis(self.model.analysis, self.model.synthesis, mean, basis)
        for part in FROZEN[run.trains]:
            self.model.get_submodule(part).requires_grad_(False)
        self.optimizers = make_optimizers(self.model, run)
        remember_peaks(self.optimizers)
        self.average = ExponentialAverage(self.model, decay=0.999)
        self.randomness.part_ways()
        module: nn.Module = DistributedDataParallel(self.model) if dist.is_initialized() else self.model
        self.forward = torch.compile(module) if compile_model else module
        held_out = torch.Generator().manual_seed(1)
        self.validation_crops = self.validation.crops(VALIDATION_CROPS, VALIDATION_SIDE, held_out)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Fresh crops `[B, 3, H, W]` and as many qualities, uniform over the dial."""
        generator = self.randomness.generator
        x = self.training.crops(self.run.batch, self.run.crop, generator)
        quality = torch.rand(self.run.batch, generator=generator) * 100
        return x.contiguous(memory_format=torch.channels_last), quality.to(self.device)

    def train_step(self, factor: float, progress: float = 0.0) -> dict[str, float]:
        """See `Objective`."""
        x, quality = self.batch()
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.run.bfloat16):
            output = self.forward(x, quality, by_rate=self.run.by_rate)
        loss = rate_distortion_loss(output, x, quality)
        loss.total.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_CLIP, foreach=True)
        figures = {
            "loss": float(loss.total.detach()),
            "bpp": float(loss.bpp.detach().mean()),
            "psnr": float(loss.psnr.detach()),
            "gradient_norm": float(norm),
        }
        if all(torch.isfinite(value) for value in (loss.total, norm)):
            for optimizer in self.optimizers:
                set_rates(optimizer, factor)
                optimizer.step()
            self.average.update(self.model)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        norms = torch._foreach_norm([p.detach() for p in self.model.parameters()])
        figures["weight_norm"] = float(torch.stack(norms).norm())
        return figures

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """Loss, and rate and PSNR at a few qualities, of the averaged weights on held-out crops, whose
        latents are rounded as the encoder rounds them.
        """
        model = copy.deepcopy(self.model)
        self.average.copy_to(model)
        points, total = [], 0.0
        x = self.validation_crops
        for quality in VALIDATION_QUALITIES:
            q = torch.full((len(x),), quality, device=self.device)
            loss = rate_distortion_loss(model(x, q, by_rate=True), x, q)
            points.append([round(float(loss.bpp.mean()), 4), round(float(loss.psnr), 3)])
            total += float(loss.total) / len(VALIDATION_QUALITIES)
        return {"validation_loss": round(total, 5), "validation_rd": points}

    def state(self) -> dict[str, Any]:
        """See `Objective`."""
        return {
            "architecture": asdict(self.model.architecture),
            "history": self.history,
            "model": self.model.state_dict(),
            "average": self.average.values,
            "average_steps": self.average.steps,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            **self.randomness.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """See `Objective`."""
        self.history = state["history"]
        self.model.load_state_dict(state["model"])
        self.average.values, self.average.steps = state["average"], state["average_steps"]
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.randomness.load(state, state["average_steps"])


def main(arguments: list[str] | None = None, prog: str = "python -m rdpcodec.training.fidelity") -> None:
    """The command line."""
    defaults = FidelityRun()
    parser = training_parser(prog, "Train for fidelity: rate + λ·squared error.", defaults)
    parser.add_argument(
        "--init", type=Path, help="start from weights (.safetensors) or a run's checkpoint.pt"
    )
    parser.add_argument(
        "--trains",
        choices=FROZEN,
        default=defaults.trains,
        help="the decoder is prior and synthesis; without the encoder, both learn from what it rounds to",
    )
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default=defaults.optimizer)
    parser.add_argument("--compile", action="store_true", help="torch.compile, for long runs on a GPU")
    run, options = parse_run(parser, arguments, FidelityRun)
    train(
        options,
        lambda device: Fidelity(run, options.data, device, init=options.init, compile_model=options.compile),
    )


if __name__ == "__main__":
    main()
