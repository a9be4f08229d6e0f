"""How much training there is behind weights: hours by device, gigapixels of crops, and the number of runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Totals:
    """Sums over all runs behind some weights."""

    hours: dict[str, float] = field(default_factory=dict)
    """By device: "CPU", or the name of a GPU."""
    gigapixels: float = 0.0
    runs: int = 0

    def plus(self, device: str, hours: float, gigapixels: float) -> Totals:
        """With one more run."""
        name = "CPU" if device == "cpu" else device
        by_device = self.hours | {name: round(self.hours.get(name, 0.0) + hours, 3)}
        return Totals(by_device, round(self.gigapixels + gigapixels, 3), self.runs + 1)

    def record(self) -> dict[str, Any]:
        """As JSON, for checkpoints and the manifest."""
        return asdict(self)


def totals_of(state: dict[str, Any], kind: str = "totals") -> Totals:
    """The totals of a checkpoint: of the run that made it and of those that it built on.

    kind: "totals", or "realism_totals" for the realism synthesis that learnt in the same run.
    """
    hours, gigapixels = state["seconds"] / 3600, state["pixels"] / 1e9
    return Totals(**state[kind]).plus(state.get("device", "cpu"), hours, gigapixels)
