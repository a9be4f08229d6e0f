"""`python -m bench ablation`: variants of model and training at equal processor time.

A variant is what it changes: settings of the run, sizes of the model, or a part of the package that is
replaced while it trains. What lost lives here and not in the package. One process, one thread; budgets count
processor time, so that other work on the machine changes no result. Several processes may run at once.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from scipy.fft import dct
from torch import Tensor, nn

from bench.measure.rd import bd_rate
from rdpcodec.errors import UsageError
from rdpcodec.model.blocks import Depthwise, Pointwise
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.transforms import PATCH, Analysis, Architecture, Synthesis, separable_basis
from rdpcodec.training.fidelity import Fidelity, FidelityRun, make_optimizers
from rdpcodec.training.loop import Diverged, Loop
from rdpcodec.training.schedule import Budget

REFERENCE = FidelityRun(batch=7, crop=192, learning_rate=2e-3, bfloat16=True)
_FIDELITY = "rdpcodec.training.fidelity"
_SOAP = "rdpcodec.training.soap"


class GatedBlock(nn.Module):
    """The codec's block with a plain gated second half, a ⊙ WSiLU(b), of as many multiplications."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # 3·C·H multiplications against 5·C².
        hidden = round(channels * 5 / 3 / 8) * 8
        self.spatial_in = Pointwise(channels, channels, gain=4.0)
        self.depthwise = Depthwise(channels)
        self.spatial_out = Pointwise(channels, channels, gain=0.25, init=0.3)
        self.value = Pointwise(channels, hidden)
        self.gate = Pointwise(channels, hidden, gain=4.0)
        self.narrow = Pointwise(hidden, channels, gain=0.25, init=0.3)

    def forward(self, x: Tensor) -> Tensor:
        """x: `[B, C, H, W]` → the same shape."""
        x = x + self.spatial_out(self.depthwise(F.silu(self.spatial_in(x))))
        return x + self.narrow(self.value(x) * F.silu(self.gate(x)))


def klt_basis(patches: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray]:
    """In place of `haar_basis`: the leading principal components of the patches."""
    mean = patches.mean(axis=0)
    centred = patches - mean
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return mean, np.ascontiguousarray(vectors[:, ::-1].T[:components])


def dct_basis(patches: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray]:
    """In place of `haar_basis`: the two-dimensional cosine transform."""
    return separable_basis(dct(np.eye(PATCH), axis=0, norm="ortho"), patches, components)


def start_without_bypass(analysis: Analysis, synthesis: Synthesis, *_: np.ndarray) -> None:
    """In place of `start_from_basis`: no bypass, and the networks start as loud as it would have."""
    with torch.no_grad():
        for bypass in (analysis.bypass, synthesis.bypass):
            bypass.weight.zero_()
            bypass.requires_grad_(False)
        analysis.leave.weight.mul_(10)
        synthesis.leave.mix.weight.mul_(10)


def muon(model: RdpModel, run: FidelityRun) -> list[torch.optim.Optimizer]:
    """In place of `make_optimizers`: Muon for the matrices of the blocks, AdamW for the rest."""
    (adamw,) = make_optimizers(model, run)
    matrices = [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.ndim == 2 and name.endswith("weight")
        if "bypass" not in name and "scale_network" not in name
    ]
    for group in adamw.param_groups:
        group["params"] = [p for p in group["params"] if all(p is not matrix for matrix in matrices)]
    rate = run.learning_rate
    return [adamw, torch.optim.Muon(matrices, rate, 0.0, adjust_lr_fn="match_rms_adamw", ns_steps=4)]


@dataclass(frozen=True)
class Variant:
    """What differs from the reference."""

    description: str
    run: dict[str, Any] = field(default_factory=dict)
    architecture: dict[str, Any] = field(default_factory=dict)
    replaced: dict[str, Any] = field(default_factory=dict)
    runs: int = 1  # the budget is divided among so many, each starting from the one before


VARIANTS = {
    "reference": Variant("Haar bypass, AdamW 2e-3, C = 128, blocks 2+3, crops of 192², one schedule"),
    "bypass-klt": Variant(
        "the bypass starts as a KLT of the pictures", replaced={f"{_FIDELITY}.haar_basis": klt_basis}
    ),
    "bypass-klt-soap": Variant(
        "KLT and SOAP, all sides of matrices",
        {"optimizer": "soap"},
        replaced={f"{_FIDELITY}.haar_basis": klt_basis, f"{_SOAP}.LONGEST_SIDE": 1024},
    ),
    "bypass-dct": Variant(
        "the bypass starts as a cosine transform", replaced={f"{_FIDELITY}.haar_basis": dct_basis}
    ),
    "bypass-none": Variant("no bypass", replaced={f"{_FIDELITY}.start_from_basis": start_without_bypass}),
    "muon": Variant("Muon for the blocks' matrices", replaced={f"{_FIDELITY}.make_optimizers": muon}),
    "soap": Variant("SOAP, sides up to 400", {"optimizer": "soap"}),
    "soap-256": Variant(
        "SOAP, sides up to 256", {"optimizer": "soap"}, replaced={f"{_SOAP}.LONGEST_SIDE": 256}
    ),
    "channels-96": Variant("C = 96", architecture={"eighth": 96}),
    "channels-160": Variant("C = 160", architecture={"eighth": 160}),
    "blocks-deep": Variant(
        "blocks 1+5 on both sides: a 1/8 block costs four times one at 1/16 per channel",
        architecture={"analysis_blocks": (1, 5), "synthesis_blocks": (1, 5)},
    ),
    "blocks-shallow": Variant(
        "blocks 3+1 on both sides", architecture={"analysis_blocks": (3, 1), "synthesis_blocks": (3, 1)}
    ),
    "blocks-decoder": Variant(
        "encoder 1+2, decoder 3+4", architecture={"analysis_blocks": (1, 2), "synthesis_blocks": (3, 4)}
    ),
    "blocks-encoder": Variant(
        "encoder 3+4, decoder 1+2", architecture={"analysis_blocks": (3, 4), "synthesis_blocks": (1, 2)}
    ),
    "crop-128": Variant("16 crops of 128²", {"batch": 16, "crop": 128}),
    "crop-256": Variant("4 crops of 256²", {"batch": 4, "crop": 256}),
    "short-runs": Variant("three schedules, each from the last one's weights", runs=3),
    "gated-ffn": Variant(
        "plain gated FFN of equal cost",
        replaced={
            "rdpcodec.model.blocks.ConvBlock": GatedBlock,
            "rdpcodec.model.prior.ConvBlock": GatedBlock,
        },
    ),
}


@contextlib.contextmanager
def replacing(parts: dict[str, Any]) -> Iterator[None]:
    """Replace parts of the package by name."""
    with contextlib.ExitStack() as stack:
        for name, part in parts.items():
            stack.enter_context(patch(name, part))
        yield


def train_variant(name: str, data: Path, out: Path, minutes: float) -> None:
    """Train one variant; its log becomes `out/<name>.jsonl`, which ends where the run diverged, if it did."""
    variant = VARIANTS[name]
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.jsonl"
    log.unlink(missing_ok=True)
    checkpoint = folder / "checkpoint.pt"
    checkpoint.unlink(missing_ok=True)
    with replacing(variant.replaced), contextlib.suppress(Diverged):
        for _ in range(variant.runs):
            run = replace(REFERENCE, minutes=minutes / variant.runs, **variant.run)
            architecture = Architecture(**variant.architecture)
            init = checkpoint if checkpoint.exists() else None
            objective = Fidelity(run, data, torch.device("cpu"), init=init, architecture=architecture)
            loop = Loop(objective, folder, Budget(run.minutes, None, clock=time.process_time))
            loop.train(checkpoint_minutes=minutes / 5)
    log.replace(out / f"{name}.jsonl")


def summary(out: Path) -> list[dict[str, Any]]:
    """The end of every finished variant's log in `out`, compared with the reference; inf if it diverged."""
    rows = {path.stem: json.loads(path.read_text().splitlines()[-1]) for path in sorted(out.glob("*.jsonl"))}
    if "reference" not in rows:
        raise UsageError(f"{out}: the reference has not been trained")

    measured = [row["validation_rd"] for row in rows.values() if "validation_rd" in row]
    # Older logs have no geometric means, which are the better ones (`Fidelity.validate`).
    rate = 2 if all(len(point) > 2 for points in measured for point in points) else 0

    def curve(row: dict[str, Any]) -> dict[str, Any]:
        points = row["validation_rd"]
        return {"results": {"bpp": [p[rate] for p in points], "psnr-rgb": [p[1] for p in points]}}

    reference = curve(rows["reference"])
    return [
        {
            "variant": name,
            "description": VARIANTS[name].description,
            "steps": sum(_run_ends(out / f"{name}.jsonl")),
            "validation_loss": row.get("validation_loss", float("inf")),
            "bd_rate": round(bd_rate(reference, curve(row), "psnr-rgb"), 2)
            if "validation_rd" in row
            else float("nan"),
        }
        for name, row in rows.items()
        if name in VARIANTS
    ]


def _run_ends(log: Path) -> list[int]:
    """The last step of each run in a log: the step number falls where the next one starts."""
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    return [step for step, after in zip(steps, [*steps[1:], 0], strict=True) if after < step]


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(VARIANTS)))
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="Folder of training pictures.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the logs.")
@click.option("--minutes", default=20.0, show_default=True, help="Processor time for each variant.")
def ablation(names: tuple[str, ...], data: Path | None, out: Path, minutes: float) -> None:
    """Train variants of the model at equal processor time, and compare those trained so far."""
    torch.set_num_threads(1)
    if names and data is None:
        raise click.UsageError("--data is needed to train")
    for name in names:
        assert data is not None
        train_variant(name, data, out, minutes)
    table = Table("variant", "what", "steps", "loss", "BD-rate")
    for row in sorted(summary(out), key=lambda row: float(row["validation_loss"])):
        table.add_row(
            row["variant"],
            row["description"],
            str(row["steps"]),
            f"{row['validation_loss']:.4f}",
            f"{row['bd_rate']:+.1f} %",
        )
    Console(width=140).print(table)
