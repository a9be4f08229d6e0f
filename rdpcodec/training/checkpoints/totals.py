"""How much training is behind some weights: hours by device, gigapixels of crops, and number of runs."""

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

    @classmethod
    def of(cls, record: dict[str, Any]) -> Totals:
        """The totals of a `record`. Those of version 0.1 list the runs instead."""
        if not isinstance(record.get("runs"), list):
            return cls(**record)
        totals = cls()
        for run in record["runs"]:
            totals = totals.plus(run.get("device", "cpu"), run["hours"], run["gigapixels"])
        return totals

    def plus(self, device: str, hours: float, gigapixels: float) -> Totals:
        """These totals with one more run."""
        name = "CPU" if device == "cpu" else device
        by_device = self.hours | {name: round(self.hours.get(name, 0.0) + hours, 3)}
        return Totals(by_device, round(self.gigapixels + gigapixels, 3), self.runs + 1)

    def record(self) -> dict[str, Any]:
        """As JSON, for checkpoints and the manifest."""
        return asdict(self)


def totals_of(state: dict[str, Any], kind: str = "totals") -> Totals:
    """The totals of a checkpoint: of the run that made it and of those that it built on.

    kind: "totals", or "realism_totals" for the realism synthesis that learnt in the same run, which are
    empty if none did. Checkpoints of version 0.1 list their runs as "history" and "realism_history".
    """
    history = kind.replace("totals", "history")
    if kind in state:
        before = Totals.of(state[kind])
    elif history in state:
        before = Totals.of({"runs": state[history]})
    else:
        return Totals()
    hours, gigapixels = state["seconds"] / 3600, state["pixels"] / 1e9
    return before.plus(state.get("device", "cpu"), hours, gigapixels)
