"""The learning rate over a run, as a function of the share of the budget that is spent."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

WARMUP_STEPS = 200
# Decay over the last 35 %: the usual range for warm-up → stable → decay is 20-40 %, short runs want the
# longer end.
DECAY_SHARE = 0.35


def rate_factor(step: int, progress: float) -> float:
    """Factor on the peak rate: linear warm-up, stable, then linear decay to zero at `progress` = 1."""
    warmup = min(1.0, (step + 1) / WARMUP_STEPS)
    decay = min(1.0, max(0.0, 1.0 - progress) / DECAY_SHARE)
    return warmup * decay


@dataclass
class Budget:
    """A budget of wall-clock minutes or of pixels, whichever is given; what was spent survives a restart."""

    minutes: float | None
    gigapixels: float | None
    spent_seconds: float = 0.0
    spent_pixels: float = 0.0
    _started: float = field(default_factory=time.monotonic)

    def restart(self, spent_seconds: float, spent_pixels: float) -> None:
        """Go on from what an earlier process spent."""
        self.spent_seconds, self.spent_pixels = spent_seconds, spent_pixels
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training so far, over all processes."""
        return self.spent_seconds + time.monotonic() - self._started

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0..1 and beyond."""
        if self.gigapixels is not None:
            return self.spent_pixels / (self.gigapixels * 1e9)
        assert self.minutes is not None
        return self.seconds / (self.minutes * 60)
