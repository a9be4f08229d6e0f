"""What the groups of one experiment share: how much is trained, on which images, where, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import click
import torch

from bench.papers.wgan.classifier import Classifier, train_classifier
from bench.papers.wgan.critic import Critic, CriticSize, Layer
from bench.papers.wgan.data import Labelled, Split
from bench.papers.wgan.measure import fresh_critics
from bench.papers.wgan.train import Fidelity, Restorer, Schedule, Training, squared_error


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How much is trained; each experiment adds what is its own.

    weights: λ, rising, the first 0. steps: of the models; judges: of the critics that only measure. seeds:
    everything is trained with each. turns, batch: see `Schedule`. precision: of critics' products while they
    learn; measuring uses 32 bits.
    """

    weights: tuple[float, ...]
    critic: CriticSize
    steps: int
    judges: int
    classifier_steps: int
    seeds: tuple[int, ...] = (0, 1, 2)
    turns: int = 5
    batch: int = 64
    precision: torch.dtype = torch.float32


P = TypeVar("P", bound=TrainingPlan)


@dataclass(frozen=True)
class Run(Generic[P]):
    """A plan with the images, the device and the folder of checkpoints for it."""

    plan: P
    data: Split
    device: torch.device
    checkpoints: Path

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of an image: channels, height, width."""
        _, channels, height, width = self.data.train.images.shape
        return channels, height, width

    def path(self, name: str, suffix: str) -> Path:
        """A file of a group in the folder of checkpoints."""
        return self.checkpoints / f"{name}{suffix}"

    def settings(self, seed: int) -> dict[str, Any]:
        """What results depend on in every experiment: with other settings, `once` refuses their records."""
        return {
            **asdict(self._schedule(self.plan.steps, seed)),
            "judges": self.plan.judges,
            "critic": [*self.plan.critic.channels, self.plan.critic.hidden],
            "images": len(self.data.train.labels),
        }

    def critic(self, models: int, rng: torch.Generator, condition: int = 0) -> Critic:
        """Critics to learn with. condition: see `Critic`."""
        return Critic(models, self.shape, rng, condition, self.plan.critic).to(self.device)

    def training(
        self,
        restorer: Restorer,
        critic: Critic,
        seed: int,
        *,
        fidelity: Fidelity = squared_error,
        layer: Layer | None = None,
    ) -> Training:
        """A group and its critics, before the first step. fidelity, layer: see `Training`."""
        return Training(
            restorer,
            critic,
            self.data.train,
            self._schedule(self.plan.steps, seed),
            fidelity=fidelity,
            layer=layer,
            precision=self.plan.precision,
            device=self.device,
        )

    def judge(self, name: str, restorer: Restorer, models: int, seed: int, data: Labelled) -> Critic:
        """Critics that only measure the M models of a group, trained on `data`; see `fresh_critics`."""
        return fresh_critics(
            restorer,
            models,
            data,
            self._schedule(self.plan.judges, seed),
            self.device,
            self.path(name, ".critic.pt"),
            self.plan.critic,
            self.plan.precision,
        )

    def classifier(self, design: str = "convolutional", name: str = "classifier") -> Classifier:
        """A frozen classifier of the images, trained once. name: of its file."""
        steps, path = self.plan.classifier_steps, self.path(name, ".pt")
        return train_classifier(design, self.data.train, steps, self.device, path)

    def _schedule(self, steps: int, seed: int) -> Schedule:
        return Schedule(steps, self.plan.batch, seed=seed, turns=self.plan.turns)


def progress(label: str) -> Callable[[int], None]:
    """A function that says every half minute how far a training is, in lines that suit a log."""
    told = time.monotonic()

    def report(step: int) -> None:
        nonlocal told
        if time.monotonic() - told > 30:
            told = time.monotonic()
            click.echo(f"{label}: step {step}")

    return report
