"""Train the released model on with a distortion, for minutes of processor time.

python train_variant.py DATA OUT DISTORTION SHARE MINUTES
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from rdpcodec.training.speed.allocator import keep_freed_memory
from rdpcodec.metrics import eyes
from rdpcodec.training import fidelity, schedule
from rdpcodec.training.loop import Loop
from rdpcodec.training.recipes import FidelityRun

DISTORTIONS = {
    "ssimulacra2": eyes.ssimulacra2_distortion,
    "ms-ssim": eyes.ms_ssim_distortion,
    "wasserstein": eyes.wasserstein_distortion,
}


class ProcessorTime(schedule.Budget):
    """A budget of processor time, for comparisons beside other work on the machine."""

    def restart(self, spent_seconds: float, spent_pixels: float) -> None:
        self.spent_pixels = spent_pixels
        self._began = time.process_time() - spent_seconds

    @property
    def seconds(self) -> float:
        return time.process_time() - self._began


def main(data: str, out: str, distortion: str, share: str, minutes: str) -> None:
    keep_freed_memory()
    torch.set_num_threads(1)
    # Runs of a few hundred steps cannot spend 200 of them on warming up.
    schedule.WARMUP_STEPS = 30
    fidelity.ssimulacra2_distortion = DISTORTIONS[distortion]  # type: ignore[attr-defined]
    run = FidelityRun(
        minutes=float(minutes),
        batch=8,
        crop=192,
        learning_rate=6e-4,
        decay=1.0,
        bfloat16=True,
        eyes=float(share),
    )
    objective = fidelity.Fidelity(run, Path(data), torch.device("cpu"), init=Path("weights/fast.safetensors"))
    Path(out).mkdir(parents=True, exist_ok=True)
    budget = ProcessorTime(run.minutes, None, run.decay)
    Loop(objective, Path(out), budget).train(checkpoint_minutes=60)


main(*sys.argv[1:])
