"""The learning rate over a run, as a function of the share of the budget that is spent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rdpcodec.training.settings import RunSettings

if TYPE_CHECKING:
    from torch.optim import Optimizer

WARMUP_STEPS = 200


def rate_factor(step: int, progress: float, decay_share: float) -> float:
    """Factor on the peak rate: linear warm-up, stable, then linear decay to zero at `progress` = 1.

    step: from 0 on. decay_share: of the budget, 0..1. With 0 the rate does not fall, and another run can go
    on from there.
    """
    warmup = min(1.0, (step + 1) / WARMUP_STEPS)
    if not decay_share:
        return warmup
    decay = min(1.0, max(0.0, 1.0 - progress) / decay_share)
    return warmup * decay


def scale_learning_rates(optimizer: Optimizer, factor: float) -> None:
    """Set the learning rates to `factor` times those that the optimizer was made with."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor


class Budget:
    """How much of a run's budget is spent: of its minutes or of its pixels, whichever it has."""

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self.restart(0.0, 0.0)

    def restart(self, spent_seconds: float, spent_pixels: float) -> None:
        """Go on from what an earlier process spent."""
        self.spent_pixels = spent_pixels
        self._began = time.monotonic() - spent_seconds

    @property
    def seconds(self) -> float:
        """Seconds of training so far, with those of earlier processes of the run."""
        return time.monotonic() - self._began

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0..1 and beyond."""
        if self._settings.gigapixels is not None:
            return self.spent_pixels / (self._settings.gigapixels * 1e9)
        assert self._settings.minutes is not None
        return self.seconds / (self._settings.minutes * 60)

    @property
    def seconds_left(self) -> float:
        """Seconds until the budget is spent, at the speed so far."""
        return self.seconds * (1 / self.progress - 1) if self.progress else float("inf")
