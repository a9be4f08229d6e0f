"""The learning rate over a run, as a function of the share of the budget that is spent."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.optim import Optimizer

WARMUP_STEPS = 200
# The share of a run over which the rate decays. The usual range for warm-up → stable → decay is 20-40 %;
# short runs want the longer end.
DECAY_SHARE = 0.35


def rate_factor(step: int, progress: float, decay_share: float = DECAY_SHARE) -> float:
    """Factor on the peak rate: linear warm-up, stable, then linear decay to zero at `progress` = 1.

    decay_share: of the budget. With 0 the rate does not fall, and another run can go on from there.
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


@dataclass
class Budget:
    """A budget of wall-clock minutes or of pixels, whichever is given.

    The amount spent survives a restart.
    """

    minutes: float | None
    gigapixels: float | None
    # The share of the budget, at its end, in which the learning rate decays, 0..1.
    decay: float = DECAY_SHARE

    def __post_init__(self) -> None:
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
        if self.gigapixels is not None:
            return self.spent_pixels / (self.gigapixels * 1e9)
        assert self.minutes is not None
        return self.seconds / (self.minutes * 60)

    @property
    def seconds_left(self) -> float:
        """Seconds until the budget is spent, at the speed so far."""
        return self.seconds * (1 / self.progress - 1) if self.progress else float("inf")
