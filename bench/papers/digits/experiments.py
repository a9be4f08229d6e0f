"""The MNIST experiments: what is trained with what, and what is measured of it.

A group is all pairs of one rate. It is trained, then judged by fresh critics; both parts have checkpoints,
and finished groups are not trained again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.papers.digits.codec import CONDITION, SIDE, Bottleneck, Codecs, ConditionedCodec
from bench.papers.wgan.classifier import Classifier, train_classifier
from bench.papers.wgan.critic import Critic
from bench.papers.wgan.data import Split
from bench.papers.wgan.measure import Values, fresh_critics, measure, restorations
from bench.papers.wgan.once import once
from bench.papers.wgan.train import Fidelity, Schedule, Training, squared_error
from bench.papers.wgan.workers import each
from rdpcodec.errors import UsageError
from rdpcodec.training.checkpoint import load_checkpoint

# Images of the test set in the figure: the first of each digit among the first hundred.
SHOWN = 10
# Features of the second convolution are larger than pixels: at this weight both parts of the distortion are
# about equal for the pairs without an adversary.
FEATURE_SHARE = 0.15


@dataclass(frozen=True)
class Plan:
    """What is trained. weights: λ, the first 0. some_…: of the experiments beside the grid of all pairs."""

    bottlenecks: tuple[Bottleneck, ...]
    weights: tuple[float, ...]
    some_bottlenecks: tuple[Bottleneck, ...]
    some_weights: tuple[float, ...]
    hidden: int
    steps: int
    critic_steps: int
    classifier_steps: int
    batch: int = 64


_FOUR_LEVELS = {2 * dimension: Bottleneck(dimension, 4) for dimension in (1, 2, 3, 4, 6, 8, 12)}
# 7 rates of 2 to 24 bits and 14 weights: 98 pairs, as many as the paper's. The weights reach from where
# nothing happens to where squared error counts no more; λ = 2δ/784 balances them at a displacement of δ.
FULL = Plan(
    bottlenecks=tuple(_FOUR_LEVELS.values()),
    weights=(0, *np.geomspace(0.001, 0.03, 13).round(5).tolist()),
    some_bottlenecks=tuple(_FOUR_LEVELS[bits] for bits in (4, 8, 16)),
    some_weights=(0, 0.002, 0.004, 0.008, 0.015, 0.03),
    hidden=256,
    steps=4500,
    critic_steps=1200,
    classifier_steps=3000,
)
# 12 pairs in minutes: an eighth of the steps.
QUICK = replace(
    FULL,
    bottlenecks=tuple(_FOUR_LEVELS[bits] for bits in (4, 8, 16)),
    weights=(0, 0.004, 0.008, 0.015),
    some_bottlenecks=(_FOUR_LEVELS[8],),
    some_weights=(0, 0.004, 0.008, 0.015),
    steps=600,
    critic_steps=300,
    classifier_steps=600,
)


@dataclass(frozen=True)
class DigitsRun:
    """Where experiments run: data, device, folder of checkpoints, and whom to tell of progress."""

    plan: Plan
    data: Split
    device: torch.device
    checkpoints: Path
    report: Callable[[str], Callable[[int], None]]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image."""
        return 1, SIDE, SIDE

    def schedule(self, steps: int) -> Schedule:
        """A schedule of so many steps."""
        return Schedule(steps, self.plan.batch)


def measured_groups(
    run: DigitsRun, kinds: Sequence[str], workers: int = 1
) -> dict[str, list[dict[str, Any]]]:
    """The records of each of these `EXPERIMENTS`, a record for each rate. `universal` needs `pairs`."""
    results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    if "features" in kinds:
        digit_classifier(run)  # here, and not in two processes at once
    for first in (True, False):
        stage = [kind for kind in kinds if (kind == "pairs") == first]
        tasks = [(kind, b) for kind in stage for b in _bottlenecks(run.plan, kind)]
        for (kind, _), record in zip(tasks, each(partial(_one, run), tasks, workers), strict=True):
            results[kind].append(record)
    return results


def _bottlenecks(plan: Plan, kind: str) -> tuple[Bottleneck, ...]:
    return plan.bottlenecks if kind == "pairs" else plan.some_bottlenecks


def _one(run: DigitsRun, task: tuple[str, Bottleneck]) -> dict[str, Any]:
    kind, bottleneck = task
    return EXPERIMENTS[kind](run, bottleneck)


def pairs(run: DigitsRun, bottleneck: Bottleneck) -> dict[str, Any]:
    """One rate with every weight: the paper's experiment."""
    return _Group(run, "pairs", bottleneck, run.plan.weights).record()


def universal(run: DigitsRun, bottleneck: Bottleneck) -> dict[str, Any]:
    """The encoder of the pair without an adversary, frozen; a decoder of its own for each other weight."""

    def prepare(codecs: Codecs, bottleneck: Bottleneck) -> None:
        path = _path(run, "pairs", bottleneck, ".pt")
        if not path.exists():
            raise UsageError(f"{path}: is gone; remove {path.with_suffix('.json')} to train the pairs again")
        saved = load_checkpoint(path, run.device)
        for name, parameter in codecs.encoder.named_parameters():
            faithful = saved["restorer"][f"encoder.{name}"][:1]
            parameter.data.copy_(faithful.expand_as(parameter))
        codecs.freeze_encoder()

    weights = tuple(weight for weight in run.plan.some_weights if weight)
    return _Group(run, "universal", bottleneck, weights, prepare=prepare).record()


def conditioned(run: DigitsRun, bottleneck: Bottleneck) -> dict[str, Any]:
    """One network that is told the weight, in place of one a weight; trained as long as one pair."""
    return _Group(run, "conditioned", bottleneck, run.plan.weights, conditioned=True).record()


def features(run: DigitsRun, bottleneck: Bottleneck) -> dict[str, Any]:
    """Distortion on pixels and on a classifier's second convolution."""
    fidelity = feature_error(digit_classifier(run))
    return _Group(run, "features", bottleneck, run.plan.some_weights, fidelity=fidelity).record()


def layer(run: DigitsRun, bottleneck: Bottleneck) -> dict[str, Any]:
    """Perception on one layer of the critic: how far mean features of real and decoded images are apart."""
    return _Group(run, "layer", bottleneck, run.plan.some_weights, on_features=True).record()


EXPERIMENTS: dict[str, Callable[[DigitsRun, Bottleneck], dict[str, Any]]] = {
    "pairs": pairs,
    "universal": universal,
    "conditioned": conditioned,
    "features": features,
    "layer": layer,
}


def digit_classifier(run: DigitsRun) -> Classifier:
    """The frozen classifier of digits, trained once."""
    return train_classifier(
        "convolutional",
        run.data.train,
        run.plan.classifier_steps,
        run.device,
        run.checkpoints / "classifier.pt",
    )


def feature_error(classifier: Classifier) -> Fidelity:
    """Squared error of pixels plus FEATURE_SHARE times that of the classifier's second convolution."""

    def fidelity(restored: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        found = classifier.features(restored.flatten(0, 1)).unflatten(0, restored.shape[:2])
        apart = found - classifier.features(images)[:, None]
        of_features = apart.square().flatten(2).mean((0, 2))
        return squared_error(restored, images, labels) + FEATURE_SHARE * of_features

    return fidelity


@dataclass(frozen=True)
class _Group:
    """All pairs of one rate in one experiment: what is trained, and how it differs from `pairs`.

    prepare: what is done to the codecs before training. conditioned: one network is told the weight.
    on_features: perception is on one layer of the critic.
    """

    run: DigitsRun
    experiment: str
    bottleneck: Bottleneck
    weights: tuple[float, ...]
    prepare: Callable[[Codecs, Bottleneck], None] = lambda codecs, bottleneck: None
    conditioned: bool = False
    fidelity: Fidelity = squared_error
    on_features: bool = False

    def record(self) -> dict[str, Any]:
        """What was found; trained and measured unless that is done."""
        plan = self.run.plan
        settings = {
            **asdict(self.run.schedule(plan.steps)),
            "critic_steps": plan.critic_steps,
            "weights": list(self.weights),
            "hidden": plan.hidden,
            "pictures": len(self.run.data.train.labels),
        }
        return once(self._path(".json"), settings, self._make)

    def _make(self) -> dict[str, Any]:
        codecs, critic = self._trained()
        measured = self._measured(codecs, critic)
        np.save(self._path(".npy"), _shown(codecs, self.run))
        return {
            "bits": self.bottleneck.bits,
            "dimension": self.bottleneck.dimension,
            "levels": self.bottleneck.levels,
            "weights": list(self.weights),
            "entropy": _entropies(codecs, self.run),
            **{name: values.tolist() for name, values in measured.items()},
        }

    def _trained(self) -> tuple[Codecs, Critic]:
        """The codecs, frozen, and the critic that they learnt with."""
        run, rng = self.run, torch.Generator().manual_seed(0)
        design = ConditionedCodec if self.conditioned else Codecs
        codecs = design(self.bottleneck, self.weights, run.plan.hidden, rng).to(run.device)
        self.prepare(codecs, self.bottleneck)
        models = 1 if self.conditioned else len(self.weights)
        critic = Critic(models, run.shape, rng, CONDITION if self.conditioned else 0).to(run.device)
        training = Training(
            codecs,
            critic,
            run.data.train,
            run.schedule(run.plan.steps),
            fidelity=self.fidelity,
            on_features=self.on_features,
            device=run.device,
        )
        label = f"{self.experiment}, {self.bottleneck.bits:g} bits"
        training.run(self._path(".pt"), run.report(label))
        codecs.requires_grad_(False)
        if isinstance(codecs, ConditionedCodec):
            codecs.spread()
        return codecs, critic

    def _measured(self, codecs: Codecs, critic: Critic) -> dict[str, Values]:
        run = self.run
        judge = fresh_critics(
            codecs,
            len(self.weights),
            run.data.train,
            run.schedule(run.plan.critic_steps),
            run.device,
            self._path(".critic.pt"),
        )
        critics = {"wasserstein": judge} if self.conditioned else {"wasserstein": judge, "own critic": critic}
        return measure(codecs, critics, run.data.test, run.device, fidelity=self.fidelity)

    def _path(self, suffix: str) -> Path:
        return _path(self.run, self.experiment, self.bottleneck, suffix)


def shown_images(run: DigitsRun, experiment: str) -> list[np.ndarray]:
    """For each rate, uint8 `[1 + models, SHOWN, 28, 28]`: originals first."""
    return [np.load(_path(run, experiment, b, ".npy")) for b in run.plan.bottlenecks]


def _shown(codecs: Codecs, run: DigitsRun) -> np.ndarray:
    images, restored, labels = next(restorations(codecs, run.data.test.first(100), run.device))
    chosen = [int((labels == digit).nonzero()[0]) for digit in range(SHOWN) if (labels == digit).any()]
    rows = torch.cat([images[chosen][None], restored[chosen].transpose(0, 1)])[:, :, 0]
    return (255 * rows).round().byte().cpu().numpy()


def _entropies(codecs: Codecs, run: DigitsRun) -> list[float]:
    """Bits of the symbols if each latent were coded by itself with its own frequencies, `[M]`: a rate between
    what an ideal coder needs and dimension · log₂ levels.
    """
    levels = codecs.bottleneck.levels
    counts: Tensor | float = 0.0
    rng = torch.Generator().manual_seed(7)
    for start in range(0, len(run.data.test.labels), 1000):
        images = torch.tensor(run.data.test.images[start : start + 1000]).to(run.device).float() / 255
        draw = codecs.draw(len(images), rng)
        condition = None if draw.condition is None else draw.condition.to(run.device)
        with torch.no_grad():
            symbols = codecs.encode(images, draw.noise[0].to(run.device), condition)
        counts = counts + nn.functional.one_hot(symbols.long(), levels).sum(0).double()
    assert isinstance(counts, Tensor)
    shares = counts / counts.sum(-1, keepdim=True)
    bits = -(shares * shares.clamp(min=1e-12).log2()).sum((1, 2))
    return [float(value) for value in bits.cpu()]


def _path(run: DigitsRun, experiment: str, bottleneck: Bottleneck, suffix: str) -> Path:
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    return run.checkpoints / f"{experiment}-{bottleneck.dimension}x{bottleneck.levels}{suffix}"
