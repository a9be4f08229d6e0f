"""Train the released model on with a distortion, for minutes of processor time.

python train_variant.py DATA OUT DISTORTION SHARE MINUTES
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from distortions import ms_ssim_distortion, wasserstein_distortion
from torch import Tensor

from rdpcodec.metrics.eyes import ssimulacra2_distortion
from rdpcodec.training import fidelity, schedule
from rdpcodec.training.loop import Loop
from rdpcodec.training.recipes import FidelityRun
from rdpcodec.training.speed.allocator import keep_all_memory

DISTORTIONS = {
    "ssimulacra2": ssimulacra2_distortion,
    "ms-ssim": ms_ssim_distortion,
    "wasserstein": wasserstein_distortion,
}


class ForEyes:
    """`rdpcodec.metrics.eyes.ForEyes` with one of the distortions alone."""

    distortion = staticmethod(ssimulacra2_distortion)

    def __init__(self, reference: Tensor) -> None:
        self.reference = reference

    def distortions(self, decoded: Tensor) -> tuple[Tensor, Tensor]:
        found = self.distortion(self.reference, decoded)
        return found, torch.zeros_like(found)


class ProcessorTime(schedule.Budget):
    """A budget of processor time, for comparisons beside other work on the machine."""

    def restart(self, spent_seconds: float, spent_pixels: float) -> None:
        self.spent_pixels = spent_pixels
        self._began = time.process_time() - spent_seconds

    @property
    def seconds(self) -> float:
        return time.process_time() - self._began


def main(data: str, out: str, distortion: str, share: str, minutes: str) -> None:
    keep_all_memory()
    torch.set_num_threads(1)
    # Runs of a few hundred steps cannot spend 200 of them on warming up.
    schedule.WARMUP_STEPS = 30
    ForEyes.distortion = staticmethod(DISTORTIONS[distortion])
    fidelity.ForEyes = ForEyes
    run = FidelityRun(
        minutes=float(minutes),
        batch=8,
        crop=192,
        learning_rate=6e-4,
        decay=1.0,
        bfloat16=True,
        eyes=float(share),
        coarse=0.0,
    )
    objective = fidelity.Fidelity(run, Path(data), torch.device("cpu"), init=Path("weights/fast.safetensors"))
    Path(out).mkdir(parents=True, exist_ok=True)
    budget = ProcessorTime(run.minutes, None, run.decay)
    Loop(objective, Path(out), budget).train(checkpoint_minutes=60)


main(*sys.argv[1:])
