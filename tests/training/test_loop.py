"""What a run writes and when it ends, by the test's own clock and for an objective of one weight."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from short_runs import CPU
from torch import nn

from rdpcodec.training import loop as looping
from rdpcodec.training.descent import schedule
from rdpcodec.training.descent.schedule import Budget
from rdpcodec.training.launch import stopped_by_signals
from rdpcodec.training.loop import Diverged, Interrupted, Loop
from rdpcodec.training.settings import RunSettings

PIXELS = 2 * 1000**2  # a step


class Clocked:
    """An objective whose steps take `seconds` each, with losses given by `loss_of`.

    taken: the learning rate's factor and the progress of every step.
    """

    device = CPU

    def __init__(self, clock: SimpleNamespace, seconds: float, minutes: float) -> None:
        self.settings = RunSettings(minutes=minutes, batch=2, crop=1000)
        self.clock, self.seconds = clock, seconds
        self.weight = nn.Parameter(torch.ones(2))
        self.loss_of: Callable[[int], float] = lambda step: 1.0
        self.steps, self.taken = 0, list[tuple[float, float]]()

    def train_step(self, factor: float, progress: float) -> dict[str, float]:
        self.steps += 1
        self.taken.append((factor, progress))
        self.clock.now += self.seconds
        return {"loss": self.loss_of(self.steps), "gradient_norm": 1.0}

    def parameters(self) -> list[nn.Parameter]:
        return [self.weight]

    def validate(self) -> dict[str, Any]:
        return {"validation_loss": 0.5}

    def state(self) -> dict[str, Any]:
        return {"weight": self.weight.detach(), "steps": self.steps}

    def load(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock of budgets, in seconds; it advances only in steps."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(schedule, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def loop_of(clock: SimpleNamespace, out: Path, *, minutes: float, seconds: float) -> tuple[Loop, Clocked]:
    objective = Clocked(clock, seconds, minutes)
    return Loop(objective, out), objective


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_minutes_are_those_of_all_processes_that_a_run_was(clock: SimpleNamespace, tmp_path: Path) -> None:
    first, _ = loop_of(clock, tmp_path, minutes=2, seconds=1.0)
    first.train(checkpoint_minutes=60)
    assert first.step == 120
    before = log_of(tmp_path)
    assert before[-1]["minutes"] == 2
    clock.now += 5000  # until the run is resumed
    longer, _ = loop_of(clock, tmp_path, minutes=3, seconds=1.0)
    longer.resume()
    assert longer.budget.seconds_left == pytest.approx(60)
    longer.train(checkpoint_minutes=60)
    assert longer.step == 180
    assert log_of(tmp_path)[: len(before)] == before
    assert log_of(tmp_path)[-1]["minutes"] == 3


def test_a_report_is_of_the_steps_since_the_last(
    clock: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    monkeypatch.setattr(looping, "save_checkpoint", lambda path, state: saved.append(state["step"]))
    loop, objective = loop_of(clock, tmp_path, minutes=10, seconds=10.0)
    objective.loss_of = lambda step: 1 + step % 7 / 10
    loop.train(checkpoint_minutes=3)
    records = log_of(tmp_path)
    ends = [0, *(record["step"] for record in records)]
    assert ends[-1] == loop.step == 60
    for (start, end), record in zip(pairwise(ends), records, strict=True):
        assert 10 * (end - start) <= looping.REPORT_SECONDS + 10
        losses = [objective.loss_of(step) for step in range(start + 1, end + 1)]
        assert record["loss"] == pytest.approx(fmean(losses), rel=1e-4)
        assert record["megapixels_per_second"] == pytest.approx(PIXELS / 1e6 / 10)
        assert record["gigapixels"] == pytest.approx(PIXELS * end / 1e9)
        assert record["minutes"] == pytest.approx(end / 6, abs=0.01)
    # One after every three minutes and the step that they end in, each with a validation.
    assert saved == [19, 38, 57, 60]
    assert [record["step"] for record in records if "validation_loss" in record] == saved


@pytest.mark.parametrize("resumed", [False, True])
def test_a_loss_that_grows_little_by_little_has_grown(
    resumed: bool, clock: SimpleNamespace, tmp_path: Path
) -> None:
    loop, objective = loop_of(clock, tmp_path, minutes=30, seconds=61.0)
    objective.loss_of = lambda step: float(2**step)
    if resumed:
        loop.budget = Budget(RunSettings(minutes=1))
        loop.train(checkpoint_minutes=60)
        loop, objective = loop_of(clock, tmp_path, minutes=30, seconds=61.0)
        loop.resume()
        objective.loss_of = lambda step: float(2**step)
    with pytest.raises(Diverged, match=r"the loss grew from 2\.0 to 8\.0"):
        loop.train(checkpoint_minutes=60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_stop_saves_and_goes_on_as_if_it_had_not(
    number: signal.Signals, clock: SimpleNamespace, tmp_path: Path
) -> None:
    def signalled(step: int) -> float:
        if step == 3:
            os.kill(os.getpid(), number)
        return 1.0

    whole, uninterrupted = loop_of(clock, tmp_path / "whole", minutes=1, seconds=10.0)
    whole.train(checkpoint_minutes=60)
    stopped, objective = loop_of(clock, tmp_path / "run", minutes=1, seconds=10.0)
    objective.loss_of = signalled
    before = signal.getsignal(number)
    with stopped_by_signals(stopped.stop), pytest.raises(Interrupted, match="give --resume to continue"):
        stopped.train(checkpoint_minutes=60)
    assert signal.getsignal(number) is before
    assert stopped.step == 3
    resumed, rest = loop_of(clock, tmp_path / "run", minutes=1, seconds=10.0)
    resumed.resume()
    resumed.train(checkpoint_minutes=60)
    assert rest.steps == whole.step == 6
    assert objective.taken + rest.taken == uninterrupted.taken


def test_a_second_signal_acts_at_once() -> None:
    stopped: list[bool] = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore SIGINT
    try:
        with stopped_by_signals(lambda: stopped.append(True)):
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped == [True]
