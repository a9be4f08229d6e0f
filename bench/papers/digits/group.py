"""All pairs of one rate and seed in one experiment: trained, judged by fresh critics, kept.

Training and judging have checkpoints, and finished groups are not trained again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.papers.digits.codec import CONDITION, Bottleneck, Codecs, ConditionedCodec
from bench.papers.digits.latents import entropies, revive
from bench.papers.digits.plan import Plan
from bench.papers.wgan.critic import Critic, Layer
from bench.papers.wgan.measure import SHOWN, Values, eight_bit, measure, restorations
from bench.papers.wgan.records import kept_or_made
from bench.papers.wgan.run import Run, progress
from bench.papers.wgan.train import Fidelity, Training, squared_error

# When latents without entropy get a new start, as shares of the training: soon, and late enough to be sure.
_REVIVALS = (0.1, 0.2, 0.4)
# Training images on which their entropy is measured.
_COUNTED = 2000


def group_name(experiment: str, bottleneck: Bottleneck, seed: int) -> str:
    """What the files of a group are called, without their suffixes."""
    return f"{experiment}-{bottleneck.dimension}x{bottleneck.levels}-{seed}"


@dataclass(frozen=True)
class Group:
    """All pairs of one rate and seed in one experiment, and how it differs from `pairs`.

    prepare: what is done to the codecs before training. conditioned: one network is told the weight.
    layer: the critic's layer on which perception is defined. `record` gives the results.
    """

    run: Run[Plan]
    experiment: str
    bottleneck: Bottleneck
    seed: int
    weights: tuple[float, ...]
    prepare: Callable[[Codecs], None] = lambda codecs: None
    conditioned: bool = False
    fidelity: Fidelity = squared_error
    layer: Layer | None = None

    def record(self) -> dict[str, Any]:
        """The results; trains and measures unless that is done."""
        plan = self.run.plan
        settings = {
            **self.run.settings(self.seed),
            "weights": list(self.weights),
            "hidden": plan.hidden,
            "precision": str(plan.precision).removeprefix("torch."),
        }
        return kept_or_made(self._path(".json"), settings, self._make)

    def _make(self) -> dict[str, Any]:
        codecs, critic = self._trained()
        measured = self._measured(codecs, critic)
        np.save(self._path(".npy"), _shown(codecs, self.run))
        bits = entropies(codecs, self.run.data.test.images, self.run.device)
        return {
            "seed": self.seed,
            "bits": self.bottleneck.bits,
            "dimension": self.bottleneck.dimension,
            "levels": self.bottleneck.levels,
            "weights": list(self.weights),
            # A rate between that of an ideal coder and dimension · log₂ levels.
            "entropy": bits.sum(1).tolist(),
            **{name: values.tolist() for name, values in measured.items()},
        }

    def _trained(self) -> tuple[Codecs, Critic]:
        """The codecs, frozen, and the critic that they learnt with."""
        run, rng = self.run, torch.Generator().manual_seed(self.seed)
        design = ConditionedCodec if self.conditioned else Codecs
        codecs = design(self.bottleneck, self.weights, run.plan.hidden, rng).to(run.device)
        self.prepare(codecs)
        models, condition = (1, CONDITION) if self.conditioned else (len(self.weights), 0)
        critic = run.critic(models, rng, condition)
        self._train(run.training(codecs, critic, self.seed, fidelity=self.fidelity, layer=self.layer), codecs)
        codecs.eval().requires_grad_(False)
        if isinstance(codecs, ConditionedCodec):
            codecs.spread()
        return codecs, critic

    def _train(self, training: Training, codecs: Codecs) -> None:
        """Train to the end, with new starts for dead latents on the way."""
        label = f"{self.experiment}, {self.bottleneck.bits:g} bits, seed {self.seed}"
        report, checkpoint = progress(label), self._path(".pt")
        learns = any(parameter.requires_grad for parameter in codecs.encoder.parameters())
        for share in _REVIVALS if learns else ():
            stop = max(1, round(share * training.schedule.steps))
            training.run(checkpoint, report, until=stop)
            if training.done == stop:  # and not resumed from a later step
                images = self.run.data.train.images[:_COUNTED]
                revive(codecs, training.optimisers[0], images, self.run.device, seed=stop)
        training.run(checkpoint, report)

    def _measured(self, codecs: Codecs, critic: Critic) -> dict[str, Values]:
        run = self.run
        judge = run.judge(self._name, codecs, len(self.weights), self.seed, run.data.train)
        critics = {"wasserstein": judge} if self.conditioned else {"wasserstein": judge, "own critic": critic}
        return measure(
            codecs,
            critics,
            run.data.test,
            run.device,
            fidelity=self.fidelity,
            classifiers={"digit": run.classifier()},
        )

    @property
    def _name(self) -> str:
        return group_name(self.experiment, self.bottleneck, self.seed)

    def _path(self, suffix: str) -> Path:
        return self.run.path(self._name, suffix)


def shown_seed(run: Run[Plan], experiments: Sequence[str], bottlenecks: Sequence[Bottleneck]) -> int | None:
    """The first seed for which all of these groups were trained here and have images, or None."""
    groups = list(product(experiments, bottlenecks))
    for seed in run.plan.seeds:
        if all(run.path(group_name(*group, seed), ".npy").exists() for group in groups):
            return seed
    return None


def shown_images(run: Run[Plan], experiment: str, bottleneck: Bottleneck, seed: int) -> np.ndarray:
    """A group's images, uint8 `[1 + models, SHOWN, 28, 28]`: originals first."""
    return np.load(run.path(group_name(experiment, bottleneck, seed), ".npy"))


def _shown(codecs: Codecs, run: Run[Plan]) -> np.ndarray:
    """The first image of each digit among the first hundred, and what codecs made of it."""
    images, restored, labels = next(restorations(codecs, run.data.test.first(100), run.device))
    chosen = [int((labels == digit).nonzero()[0]) for digit in range(SHOWN) if (labels == digit).any()]
    return eight_bit(torch.cat([images[chosen][None], restored[chosen].transpose(0, 1)])[:, :, 0])
