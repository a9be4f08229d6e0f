"""Short runs for squared error, and what they leave."""

from __future__ import annotations

from pathlib import Path

import torch

from rdpcodec.training.loop import Loop
from rdpcodec.training.objectives.fidelity import Fidelity
from rdpcodec.training.settings import FidelitySettings

CPU = torch.device("cpu")


PIXELS_A_STEP = 4 * 64**2


def run_of(steps: int, **changes: object) -> FidelitySettings:
    """A short run for squared error on photographs; eyes and graphics have tests of their own."""
    settings = {
        "gigapixels": steps * PIXELS_A_STEP / 1e9,
        "batch": 4,
        "crop": 64,
        "eyes": 0.0,
        "coarse": 0.0,
        "graphics": 0.0,
        **changes,
    }
    return FidelitySettings(**settings)  # type: ignore[arg-type]


def loop_of(run: FidelitySettings, data: Path, out: Path, init: Path, lpips: Path | None = None) -> Loop:
    return Loop(Fidelity(run, data, CPU, init=init, lpips=lpips), out)
