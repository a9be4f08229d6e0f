"""The loop around every kind of training: pace, reports, checkpoints, resuming, giving up.

It optimises an `Objective` (`fidelity`, `realism`); nothing here knows about codecs. With torch.distributed
initialised, the first process reports, saves and decides when the run ends.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from rdpcodec.errors import RdpError, UsageError, reason
from rdpcodec.training.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from rdpcodec.training.descent.schedule import Budget, rate_factor
from rdpcodec.training.settings import RunSettings

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
REPORT_SECONDS = 60.0
# Figures of a step that must be finite. Before a checkpoint is written, the weights are checked, too.
CHECKED = ("loss", "gradient_norm")
# Settings that a resumed run may change.
MAY_CHANGE = ("seed", "minutes", "gigapixels")
# A run has diverged when its mean loss between two reports is more than this many times that of its best
# report. Noise from the crops moves the mean by a few per cent.
DIVERGED = 3.0


class Diverged(RdpError):
    """A run whose loss or gradient is no longer worth following."""


class Interrupted(RdpError):
    """A run that was told to stop, and has saved its state."""


class Objective(Protocol):
    """What a run optimises, with the state of the optimisation."""

    device: torch.device

    @property
    def settings(self) -> RunSettings:
        """What defines the run. A resumed run must agree, except in what `MAY_CHANGE`."""

    def train_step(self, factor: float, progress: float) -> dict[str, float]:
        """Take a step with the peak learning rates times `factor`; `progress` is the budget's spent share.

        Returns figures for the log, including those in `CHECKED`, all for the weights before the step. The
        step is not taken if a figure in `CHECKED` is not finite.
        """

    def parameters(self) -> list[nn.Parameter]:
        """All weights that must be finite in a checkpoint."""

    def validate(self) -> dict[str, Any]:
        """Figures for the log on images that are not trained on."""

    def state(self) -> dict[str, Any]:
        """Tensors and plain values from which `load` goes on exactly."""

    def load(self, state: dict[str, Any]) -> None:
        """Take over a state."""


def process_rank() -> int:
    """This process's number among those that train together, 0 if it is alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def process_count() -> int:
    """The number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def averaging_gradients(module: nn.Module) -> nn.Module:
    """The module, made to average its gradients over all processes if several train."""
    return DistributedDataParallel(module) if dist.is_initialized() else module


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a value over all processes that train together."""
    if not dist.is_initialized():
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def device_name(device: torch.device) -> str:
    """The training device, for the record: the GPU's name, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def norm_of(parameters: list[nn.Parameter]) -> float:
    """The norm of all parameters together."""
    return float(torch.stack(torch._foreach_norm([p.detach() for p in parameters])).norm())


class Loop:
    """One run in one folder: `checkpoint.pt`, and `log.jsonl` with a line per report."""

    def __init__(self, objective: Objective, out: Path) -> None:
        self.objective, self.out = objective, out
        self.budget = Budget(objective.settings)
        # In one step, over all processes.
        self.pixels_a_step = process_count() * objective.settings.batch * objective.settings.crop**2
        self.step = 0
        self.best_loss = math.inf
        self._stopped = False

    def resume(self) -> None:
        """Go on from the folder's checkpoint.

        The seed and the budget may have changed: a new seed draws other numbers from here on. Raises
        `UsageError` when there is no checkpoint, or when a run with other settings made it.
        """
        path = self.out / CHECKPOINT
        if not path.exists():
            raise UsageError(f"{path}: there is no checkpoint to resume from")
        # Not onto the device: optimizers keep step counts, and there each read would wait for the device.
        state = load_checkpoint(path, torch.device("cpu"))
        try:
            self._check_settings(state["settings"])
            self.objective.load(state)
        except (RuntimeError, LookupError, TypeError, AttributeError) as error:
            raise UsageError(f"{path}: is of another run than this: {reason(error)}") from error
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error
        self.step, self.best_loss = state["step"], state["best_loss"]
        self.budget.restart(state["seconds"], state["pixels"])

    def _check_settings(self, made: dict[str, Any]) -> None:
        asked = asdict(self.objective.settings)
        others = sorted(name for name in made.keys() | asked.keys() if made.get(name) != asked.get(name))
        if differing := [name for name in others if name not in MAY_CHANGE]:
            told = (f"{name} was {made.get(name)} and is {asked.get(name)}" for name in differing)
            raise UsageError(f"the checkpoint was made with other settings: {'; '.join(told)}")

    def stop(self) -> None:
        """End after this step, as if the budget were spent, and save."""
        self._stopped = True

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            **self.objective.state(),
            "settings": asdict(self.objective.settings),
            "step": self.step,
            "best_loss": self.best_loss,
            "seconds": self.budget.seconds,
            "pixels": self.budget.spent_pixels,
            "device": device_name(self.objective.device),
        }
        save_checkpoint(self.out / CHECKPOINT, state)

    def train(self, checkpoint_minutes: float) -> None:
        """Train until the budget is spent.

        Raises `Diverged` when the loss is not finite or keeps growing; the last good checkpoint is kept.
        Raises `Interrupted` after `stop`, once everything is saved.
        """
        first = process_rank() == 0
        if not self.step:
            self.budget.restart(0.0, 0.0)  # reading images is not training
        window: list[dict[str, float]] = []
        reported = saved = self.budget.seconds
        while (progress := self._progress()) < 1:
            window.append(self._step(progress))
            if not first:
                window.clear()
                continue
            now = self.budget.seconds
            due = now - saved > checkpoint_minutes * 60
            if due or now - reported > REPORT_SECONDS:
                self._report(window, now - reported, self.objective.validate() if due else {})
                window, reported = [], now
            if due:
                self.save()
                saved = now
        if first:
            self._report(window, self.budget.seconds - reported, self.objective.validate())
            self.save()
        if dist.is_initialized():
            # Gloo's worker takes Python's lock to release the last step's tensors. A process that has ended
            # by then crashes, and torchrun ends the others, even while the first one writes its checkpoint.
            dist.barrier()
        if self._stopped:
            raise Interrupted(
                f"{self.out}: stopped at step {self.step}, and saved: give --resume to continue"
            )

    def _step(self, progress: float) -> dict[str, float]:
        factor = rate_factor(self.step, progress, self.objective.settings.decay)
        figures = self.objective.train_step(factor, progress)
        for name in CHECKED:
            self._check(name, figures[name])
        self.step += 1
        self.budget.spent_pixels += self.pixels_a_step
        return figures

    def _report(self, window: list[dict[str, float]], seconds: float, validation: dict[str, Any]) -> None:
        record: dict[str, Any] = {"step": self.step, "minutes": round(self.budget.seconds / 60, 2)}
        if window:
            for name in window[0]:
                record[name] = float(f"{statistics.fmean(figures[name] for figures in window):.5g}")
            pixels = self.pixels_a_step * len(window)
            record["weight_norm"] = float(f"{norm_of(self.objective.parameters()):.5g}")
            record["megapixels_per_second"] = round(pixels / 1e6 / max(seconds, 1e-9), 3)
        record["gigapixels"] = round(self.budget.spent_pixels / 1e9, 4)
        record |= validation
        self.out.mkdir(parents=True, exist_ok=True)
        with (self.out / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")
        shown = "  ".join(f"{name} {value}" for name, value in record.items() if not isinstance(value, list))
        print(f"{_duration(self.budget.seconds_left)} left  {shown}", file=sys.stderr, flush=True)
        if window:
            self._check("weight_norm", record["weight_norm"])
            if record["loss"] > DIVERGED * self.best_loss:
                self._give_up(f"the loss grew from {self.best_loss} to {record['loss']}")
            self.best_loss = min(self.best_loss, record["loss"])

    def _check(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            self._give_up(f"the {name.replace('_', ' ')} became {value}")

    def _give_up(self, what: str) -> None:
        raise Diverged(
            f"{self.out}: {what} at step {self.step + 1}; the last good checkpoint is kept: resume from it "
            "with another --seed, or start again with a lower --learning-rate"
        )

    def _progress(self) -> float:
        """Share of the budget that is spent, 1 after `stop`. The first process decides for all."""
        spent = 1.0 if self._stopped else self.budget.progress
        if not dist.is_initialized():
            return spent
        progress = torch.tensor(spent, device=self.objective.device)
        dist.broadcast(progress, 0)
        return float(progress)


def _duration(seconds: float) -> str:
    seconds = max(seconds, 0.0)
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.0f} min"
