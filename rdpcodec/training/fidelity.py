"""Training for fidelity: rate + λ·squared error over all qualities at once.

`python -m rdpcodec.training.fidelity --help`; several processes or machines: `torchrun --nproc_per_node=N -m
…`. Each process takes its own crops; gradients are averaged, so N processes with batch B do what one does
with batch N·B.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from rdpcodec.errors import RdpError, UsageError
from rdpcodec.model.rate import LAMBDA_MIDDLE, RateGain, lambda_of
from rdpcodec.model.rdp_model import RdpModel, TrainingOutput
from rdpcodec.model.transforms import PATCH, Architecture, klt_basis, start_from_klt
from rdpcodec.release import training_state
from rdpcodec.training.checkpoint import ExponentialAverage, load_checkpoint, save_checkpoint
from rdpcodec.training.data import load_pictures, random_patches
from rdpcodec.training.schedule import Budget, rate_factor

# A file at λ costs about λ^0.5 in the loss's own units; dividing by most of that keeps the low rates, where
# BD-rates are measured in per cent of few bits, from being drowned by the high ones.
LOSS_EXPONENT = -0.4
# Gains and densities are few, see every pixel and live in the log domain: they can and should move faster
# (measured in the design).
FAST_PARAMETERS = 5.0
VALIDATION_QUALITIES = (5.0, 25.0, 45.0, 65.0, 85.0)
GRADIENT_CLIP = 1.0
# Enough for 768 dimensions; more patches move the basis by less than training does in a minute.
KLT_PATCHES = 40_000
CPU = torch.device("cpu")


@dataclass(frozen=True)
class FidelityRun:
    """What defines a run. Stored with its checkpoints; a resumed run must agree."""

    minutes: float | None = None
    gigapixels: float | None = None
    batch: int = 16
    crop: int = 128
    learning_rate: float = 1e-3
    optimizer: str = "adamw"
    seed: int = 0
    compile: bool = True
    bfloat16: bool = False


class Loss(NamedTuple):
    """Means over a batch: what is minimised, and its parts."""

    total: Tensor
    bpp: Tensor
    mse: Tensor


def rate_distortion_loss(output: TrainingOutput, x: Tensor, quality: Tensor) -> Loss:
    """Σ weight(λ) · (bpp + λ·255²·MSE) / B for pictures x `[B, 3, H, W]` coded at `quality` `[B]`."""
    lambdas = lambda_of(quality)
    weight = (lambdas / LAMBDA_MIDDLE) ** LOSS_EXPONENT
    mse = (output.reconstruction - x).square().mean((1, 2, 3))
    bpp = (output.latent_bits + output.hyper_bits) / (x.shape[2] * x.shape[3])
    return Loss((weight * (bpp + lambdas * 255**2 * mse)).mean(), bpp, mse)


def make_optimizers(model: RdpModel, run: FidelityRun) -> list[torch.optim.Optimizer]:
    """AdamW for everything, or Muon for the matrices of the blocks and AdamW for the rest."""
    fast: list[nn.Parameter] = []
    for module in model.modules():
        if isinstance(module, RateGain):
            fast += module.parameters()
    fast += [*model.hyper_prior.parameters(), *model.residual_density.parameters()]
    fast_ids = {id(p) for p in fast}
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if id(parameter) in fast_ids:
            continue
        is_matrix = parameter.ndim == 2 and name.endswith("weight")
        muon = run.optimizer == "muon" and is_matrix and "bypass" not in name and "scale_network" not in name
        (matrices if muon else rest).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": rest},
        {"params": fast, "lr": run.learning_rate * FAST_PARAMETERS},
    ]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=run.learning_rate, betas=(0.9, 0.98), weight_decay=0.0, foreach=True)
    ]
    if matrices:
        optimizers.append(
            torch.optim.Muon(
                matrices, lr=run.learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw", ns_steps=4
            )
        )
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


class Trainer:
    """One training run in one folder: `checkpoint.pt`, `log.jsonl`."""

    def __init__(
        self,
        run: FidelityRun,
        data: Path,
        out: Path,
        device: torch.device = CPU,
        *,
        init: Path | None = None,
        architecture: Architecture | None = None,
    ) -> None:
        """Load the pictures below `data` and the starting weights: `init`, or a KLT of the pictures."""
        self.run, self.out, self.device = run, out, device
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.processes = dist.get_world_size() if dist.is_initialized() else 1
        torch.manual_seed(run.seed)
        self.generator = torch.Generator().manual_seed(run.seed)
        self.training, self.validation = load_pictures(data, run.crop, device)
        self.model = RdpModel(architecture).to(device)
        if init is not None:
            self.model.load_state_dict(training_state(load_file(init)))
        else:
            patches = random_patches(self.training, KLT_PATCHES, PATCH, self.generator).cpu().double().numpy()
            mean, basis = klt_basis(patches, self.model.architecture.latents)
            start_from_klt(self.model.analysis, self.model.synthesis, mean, basis)
        self.optimizers = make_optimizers(self.model, run)
        self.average = ExponentialAverage(self.model, decay=0.999)
        self.budget = Budget(run.minutes, run.gigapixels)
        self.step = 0
        # From here on every process draws its own crops and noise; the weights above are the same in all.
        self.generator.manual_seed(run.seed + 1000 * self.rank)
        torch.manual_seed(run.seed + 1000 * self.rank)
        module: nn.Module = DistributedDataParallel(self.model) if dist.is_initialized() else self.model
        self.forward = torch.compile(module) if run.compile else module
        held_out = torch.Generator().manual_seed(1)
        self.validation_crops = self.validation.crops(32, run.crop, held_out)

    def state(self) -> dict[str, Any]:
        return {
            "run": asdict(self.run),
            "architecture": asdict(self.model.architecture),
            "model": self.model.state_dict(),
            "average": self.average.values,
            "average_steps": self.average.steps,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "seconds": self.budget.seconds,
            "pixels": self.budget.spent_pixels,
            "generator": self.generator.get_state(),
            "torch_generator": torch.get_rng_state(),
        }

    def resume(self) -> None:
        """Go on from the folder's checkpoint.

        Raises `UsageError` if it was made by a run with other settings.
        """
        state = load_checkpoint(self.out / "checkpoint.pt", self.device)
        if {**state["run"], "compile": 0} != {**asdict(self.run), "compile": 0}:
            raise UsageError(f"{self.out}: the checkpoint was made with other settings: {state['run']}")
        self.model.load_state_dict(state["model"])
        self.average.values, self.average.steps = state["average"], state["average_steps"]
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step = state["step"]
        self.budget.restart(state["seconds"], state["pixels"])
        self.generator.set_state(state["generator"].cpu())
        torch.set_rng_state(state["torch_generator"].cpu())

    def progress(self) -> float:
        """Share of the budget that is spent; the first process decides for all."""
        progress = torch.tensor(self.budget.progress)
        if dist.is_initialized():
            dist.broadcast(progress, 0)
        return float(progress)

    def train_step(self, progress: float) -> tuple[Loss, Tensor]:
        """One step of the optimisers. Returns the loss and the gradient norm before clipping."""
        factor = rate_factor(self.step, progress)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * factor
        x = self.training.crops(self.run.batch, self.run.crop, self.generator)
        quality = (torch.rand(self.run.batch, generator=self.generator) * 100).to(self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.run.bfloat16):
            output = self.forward(x.contiguous(memory_format=torch.channels_last), quality)
        loss = rate_distortion_loss(output, x, quality)
        loss.total.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_CLIP, foreach=True)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.average.update(self.model)
        self.step += 1
        self.budget.spent_pixels += self.processes * self.run.batch * self.run.crop**2
        return loss, norm

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """Rate and PSNR of the averaged weights on crops of pictures held out of training, at a few
        qualities.
        """
        model = copy.deepcopy(self.model)
        self.average.copy_to(model)
        points, total = [], 0.0
        x = self.validation_crops
        # The rate is estimated with noise; the same noise every time makes the curve comparable from point to
        # point.
        state = torch.get_rng_state()
        torch.manual_seed(2)
        for quality in VALIDATION_QUALITIES:
            q = torch.full((len(x),), quality, device=self.device)
            loss = rate_distortion_loss(model(x, q), x, q)
            psnr = (-10 * loss.mse.log10()).mean()
            points.append((round(float(loss.bpp.mean()), 4), round(float(psnr), 3)))
            total += float(loss.total) / len(VALIDATION_QUALITIES)
        torch.set_rng_state(state)
        return {"validation_loss": round(total, 5), "validation_rd": points}

    def report(self, record: dict[str, Any]) -> None:
        record = {"step": self.step, "minutes": round(self.budget.seconds / 60, 2), **record}
        with (self.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(record) + "\n")
        print(json.dumps(record), flush=True)

    def train(self, checkpoint_minutes: float) -> None:
        """Train until the budget is spent.

        Raises `RdpError` at a loss that is not finite, keeping the last checkpoint.
        """
        losses: list[float] = []
        bpps: list[float] = []
        norms: list[float] = []
        last_report = last_checkpoint = time.monotonic()
        pixels = self.budget.spent_pixels
        while (progress := self.progress()) < 1:
            loss, norm = self.train_step(progress)
            losses.append(float(loss.total.detach()))
            bpps.append(float(loss.bpp.detach().mean()))
            norms.append(float(norm))
            if not math.isfinite(losses[-1]):
                raise RdpError(
                    f"{self.out}: the loss became {losses[-1]} at step {self.step}; "
                    "the last checkpoint is kept"
                )
            now = time.monotonic()
            if self.rank:
                continue
            if now - last_report > 60:
                speed = (self.budget.spent_pixels - pixels) / 1e6 / (now - last_report)
                self.report(
                    {
                        "loss": round(sum(losses) / len(losses), 5),
                        "bpp": round(sum(bpps) / len(bpps), 4),
                        "gradient_norm": round(sum(norms) / len(norms), 4),
                        "megapixels_per_second": round(speed, 3),
                        "gigapixels": round(self.budget.spent_pixels / 1e9, 4),
                        **self.validate(),
                    }
                )
                losses, bpps, norms = [], [], []
                last_report, pixels = time.monotonic(), self.budget.spent_pixels
            if now - last_checkpoint > checkpoint_minutes * 60:
                save_checkpoint(self.out / "checkpoint.pt", self.state())
                last_checkpoint = now
        if not self.rank:
            self.report(self.validate())
            save_checkpoint(self.out / "checkpoint.pt", self.state())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m rdpcodec.training.fidelity", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of training pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--init", type=Path, help="weights (safetensors) to start from")
    parser.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")
    parser.add_argument("--checkpoint-minutes", type=float, default=4)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    defaults = FidelityRun()
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--gigapixels", type=float)
    parser.add_argument("--batch", type=int, default=defaults.batch)
    parser.add_argument("--crop", type=int, default=defaults.crop)
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--optimizer", choices=("adamw", "muon"), default=defaults.optimizer)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=defaults.compile)
    parser.add_argument("--bfloat16", action="store_true")
    options = parser.parse_args(arguments)
    if (options.minutes is None) == (options.gigapixels is None):
        parser.error("give --minutes or --gigapixels")
    run = FidelityRun(**{field.name: getattr(options, field.name) for field in fields(FidelityRun)})
    options.out.mkdir(parents=True, exist_ok=True)
    if "RANK" in os.environ:  # started by torchrun
        dist.init_process_group("nccl" if options.device.startswith("cuda") else "gloo")
    try:
        trainer = Trainer(run, options.data, options.out, torch.device(options.device), init=options.init)
        if options.resume:
            trainer.resume()
        trainer.train(options.checkpoint_minutes)
    except RdpError as error:
        sys.exit(f"error: {error}")
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
