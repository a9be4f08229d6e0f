"""Where the time of a training step goes: on any device, with the same objective that a run trains.

The stages are timed one by one, waiting for the device after each. A run does not wait, and on a GPU it
replays a recorded step. Its speed is measured separately, and is what counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rdpcodec.training.launch import prepare, training_device
from rdpcodec.training.loop import device_name
from rdpcodec.training.objectives.fidelity import Fidelity
from rdpcodec.training.settings import FidelitySettings
from rdpcodec.training.speed.cost import training_multiply_adds

# The first steps find the optimizers' bases and, on a GPU, record and compile.
WARMUPS = 3
STAGES = ("data", "forward", "losses", "backward", "optimizer")


@dataclass(frozen=True)
class Profile:
    """Seconds of a step by stage, seconds of a step as in a run, and how much work a step is."""

    what: str
    stages: dict[str, float]
    step: float
    megapixels: float
    multiply_adds: float
    """Of the networks in a step, forward and backward, without a realism synthesis or losses."""
    reading: float
    """Seconds to read and decode the images, once per run."""

    def record(self, peak: float | None = None) -> dict[str, Any]:
        """As JSON. peak: of the device, in TFLOP/s."""
        teraflops = 2 * self.multiply_adds / self.step / 1e12
        found = {
            "what": self.what,
            "stages_ms": {name: round(1e3 * seconds, 3) for name, seconds in self.stages.items()},
            "step_ms": round(1e3 * self.step, 3),
            "megapixels_per_second": round(self.megapixels / self.step, 3),
            "teraflops": round(teraflops, 3),
            "reading_s": round(self.reading, 2),
        }
        return found | ({"share_of_peak": round(teraflops / peak, 4)} if peak else {})

    def table(self, peak: float | None = None) -> str:
        """As text for people. peak: see `record`."""
        record, whole = self.record(peak), sum(self.stages.values())
        lines = [self.what]
        for name, seconds in self.stages.items():
            lines.append(f"{name:<10} {1e3 * seconds:>10.2f} ms {seconds / whole:>6.1%}")
        used = f", {record['share_of_peak']:.1%} of the peak" if peak else ""
        lines.append(
            f"as trained {record['step_ms']:>10.2f} ms: "
            f"{record['megapixels_per_second']} megapixels a second, {record['teraflops']} TFLOP/s{used}"
        )
        return "\n".join([*lines, f"the images were read in {record['reading_s']} s, once a run"])


class _Stopwatch:
    """Adds up the time between its marks, each taken when the device has finished its work."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, dict.fromkeys(STAGES, 0.0)
        self.last = self.now()

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def mark(self, stage: str) -> None:
        """Count the time since the last mark as `stage`."""
        now = self.now()
        self.seconds[stage] += now - self.last
        self.last = now


def profile_steps(
    settings: FidelitySettings,
    data: Path,
    steps: int,
    *,
    device: str | None = None,
    compiled: str | None = None,
    lpips: Path | None = None,
) -> Profile:
    """Measure `steps` steps of a run on the images below `data`. Its budget is ignored.

    The other arguments are those of `Fidelity`. Raises what `Fidelity` raises.
    """
    where = training_device(device)
    prepare()
    began = time.perf_counter()
    objective = Fidelity(settings, data, where, compiled=compiled, lpips=lpips)
    reading = time.perf_counter() - began
    for _ in range(WARMUPS):
        objective.train_step(0.0)
    watch = _Stopwatch(where)
    for _ in range(steps):
        objective.train_step(0.0)
    step = (watch.now() - watch.last) / steps
    pixels = settings.batch * settings.crop**2
    arithmetic = ", bfloat16" if settings.bfloat16 else ""
    crops = f"{settings.batch} crops of {settings.crop}²"
    what = f"{settings.size or 'fast'}, {crops}{arithmetic}, {device_name(where)}"
    return Profile(
        what,
        _stages(objective, steps),
        step,
        pixels / 1e6,
        training_multiply_adds(objective.model.architecture, settings) * pixels,
        reading,
    )


def _stages(objective: Fidelity, steps: int) -> dict[str, float]:
    """Seconds of a step by stage. A loss that is compiled as a whole counts entirely as forward pass."""
    _timed_step(objective, _Stopwatch(objective.device))
    watch = _Stopwatch(objective.device)
    for _ in range(steps):
        _timed_step(objective, watch)
    return {name: seconds / steps for name, seconds in watch.seconds.items()}


def _timed_step(objective: Fidelity, watch: _Stopwatch) -> None:
    watch.last = watch.now()
    inputs = objective.batch()
    watch.mark("data")
    objective.forget_gradients()
    with _marking(objective, watch):
        total, _ = objective.loss(*inputs)
    total.backward()
    watch.mark("backward")
    objective.clip_gradients()
    objective.update(0.0)
    watch.mark("optimizer")


@contextmanager
def _marking(objective: Fidelity, watch: _Stopwatch) -> Iterator[None]:
    """Mark the end of the networks' part of a loss, and the end of the whole loss."""
    if objective.compiled == "loss":
        yield
        watch.mark("forward")
        return

    def ended(module: nn.Module, inputs: Any, output: Any) -> None:
        watch.mark("forward")

    hook = objective.forward.register_forward_hook(ended)
    try:
        yield
        watch.mark("losses")
    finally:
        hook.remove()
