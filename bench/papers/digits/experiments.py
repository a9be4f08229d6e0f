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
from bench.papers.wgan.measure import fresh_critics, measure, restorations
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
class Bench:
    """Where experiments run: data, device, folder of checkpoints, and whom to tell of progress."""

    plan: Plan
    data: Split
    device: torch.device
    runs: Path
    report: Callable[[str], Callable[[int], None]]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image."""
        return 1, SIDE, SIDE

    def schedule(self, steps: int) -> Schedule:
        """A schedule of so many steps."""
        return Schedule(steps, self.plan.batch)


def run(bench: Bench, kinds: Sequence[str], workers: int = 1) -> dict[str, list[dict[str, Any]]]:
    """The records of each of these `EXPERIMENTS`, a record for each rate. `universal` needs `pairs`."""
    results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    if "features" in kinds:
        digit_classifier(bench)  # here, and not in two processes at once
    for first in (True, False):
        stage = [kind for kind in kinds if (kind == "pairs") == first]
        tasks = [(kind, b) for kind in stage for b in _bottlenecks(bench.plan, kind)]
        for (kind, _), record in zip(tasks, each(partial(_one, bench), tasks, workers), strict=True):
            results[kind].append(record)
    return results


def _bottlenecks(plan: Plan, kind: str) -> tuple[Bottleneck, ...]:
    return plan.bottlenecks if kind == "pairs" else plan.some_bottlenecks


def _one(bench: Bench, task: tuple[str, Bottleneck]) -> dict[str, Any]:
    kind, bottleneck = task
    return EXPERIMENTS[kind](bench, bottleneck)


def pairs(bench: Bench, bottleneck: Bottleneck) -> dict[str, Any]:
    """One rate with every weight: the paper's experiment."""
    return _group(bench, "pairs", bottleneck, bench.plan.weights)


def universal(bench: Bench, bottleneck: Bottleneck) -> dict[str, Any]:
    """The encoder of the pair without an adversary, frozen; a decoder of its own for each other weight."""

    def prepare(codecs: Codecs, bottleneck: Bottleneck) -> None:
        path = _path(bench, "pairs", bottleneck, ".pt")
        if not path.exists():
            raise UsageError(f"{path}: is gone; remove {path.with_suffix('.json')} to train the pairs again")
        saved = load_checkpoint(path, bench.device)
        for name, parameter in codecs.encoder.named_parameters():
            faithful = saved["restorer"][f"encoder.{name}"][:1]
            parameter.data.copy_(faithful.expand_as(parameter))
        codecs.freeze_encoder()

    weights = tuple(weight for weight in bench.plan.some_weights if weight)
    return _group(bench, "universal", bottleneck, weights, prepare=prepare)


def conditioned(bench: Bench, bottleneck: Bottleneck) -> dict[str, Any]:
    """One network that is told the weight, in place of one a weight; trained as long as one pair."""
    return _group(bench, "conditioned", bottleneck, bench.plan.weights, conditioned=True)


def features(bench: Bench, bottleneck: Bottleneck) -> dict[str, Any]:
    """Distortion on pixels and on a classifier's second convolution."""
    fidelity = feature_error(digit_classifier(bench))
    return _group(bench, "features", bottleneck, bench.plan.some_weights, fidelity=fidelity)


def layer(bench: Bench, bottleneck: Bottleneck) -> dict[str, Any]:
    """Perception on one layer of the critic: how far mean features of real and decoded images are apart."""
    return _group(bench, "layer", bottleneck, bench.plan.some_weights, on_features=True)


EXPERIMENTS: dict[str, Callable[[Bench, Bottleneck], dict[str, Any]]] = {
    "pairs": pairs,
    "universal": universal,
    "conditioned": conditioned,
    "features": features,
    "layer": layer,
}


def digit_classifier(bench: Bench) -> Classifier:
    """The frozen classifier of digits, trained once."""
    return train_classifier(
        "convolutional",
        bench.data.train,
        bench.plan.classifier_steps,
        bench.device,
        bench.runs / "classifier.pt",
    )


def feature_error(classifier: Classifier) -> Fidelity:
    """Squared error of pixels plus FEATURE_SHARE times that of the classifier's second convolution."""

    def fidelity(restored: Tensor, pictures: Tensor, labels: Tensor) -> Tensor:
        found = classifier.features(restored.flatten(0, 1)).unflatten(0, restored.shape[:2])
        apart = found - classifier.features(pictures)[:, None]
        of_features = apart.square().flatten(2).mean((0, 2))
        return squared_error(restored, pictures, labels) + FEATURE_SHARE * of_features

    return fidelity


def _group(
    bench: Bench,
    experiment: str,
    bottleneck: Bottleneck,
    weights: tuple[float, ...],
    *,
    prepare: Callable[[Codecs, Bottleneck], None] | None = None,
    conditioned: bool = False,
    fidelity: Fidelity = squared_error,
    on_features: bool = False,
) -> dict[str, Any]:
    """Train and measure all pairs of one rate, unless that is done; the record says what was found."""
    settings = {**asdict(bench.schedule(bench.plan.steps)), "critic_steps": bench.plan.critic_steps}
    settings |= {
        "weights": list(weights),
        "hidden": bench.plan.hidden,
        "pictures": len(bench.data.train.labels),
    }

    def make() -> dict[str, Any]:
        rng = torch.Generator().manual_seed(0)
        design = ConditionedCodec if conditioned else Codecs
        codecs = design(bottleneck, weights, bench.plan.hidden, rng).to(bench.device)
        if prepare is not None:
            prepare(codecs, bottleneck)
        models = 1 if conditioned else len(weights)
        critic = Critic(models, bench.shape, rng, CONDITION if conditioned else 0).to(bench.device)
        label = f"{experiment}, {bottleneck.bits:g} bits"
        training = Training(
            codecs,
            critic,
            bench.data.train,
            bench.schedule(bench.plan.steps),
            fidelity=fidelity,
            on_features=on_features,
            device=bench.device,
        )
        training.run(_path(bench, experiment, bottleneck, ".pt"), bench.report(label))
        codecs.requires_grad_(False)
        if isinstance(codecs, ConditionedCodec):
            codecs.spread()
        judge = fresh_critics(
            codecs,
            len(weights),
            bench.data.train,
            bench.schedule(bench.plan.critic_steps),
            bench.device,
            _path(bench, experiment, bottleneck, ".critic.pt"),
        )
        critics = {"wasserstein": judge} if conditioned else {"wasserstein": judge, "own critic": critic}
        measured = measure(codecs, critics, bench.data.test, bench.device, fidelity=fidelity)
        np.save(_path(bench, experiment, bottleneck, ".npy"), _shown(codecs, bench))
        return {
            "bits": bottleneck.bits,
            "dimension": bottleneck.dimension,
            "levels": bottleneck.levels,
            "weights": list(weights),
            "entropy": _entropies(codecs, bench),
            **{name: values.tolist() for name, values in measured.items()},
        }

    return once(_path(bench, experiment, bottleneck, ".json"), settings, make)


def shown_pictures(bench: Bench, experiment: str) -> list[np.ndarray]:
    """For each rate, uint8 `[1 + models, SHOWN, 28, 28]`: originals first."""
    return [np.load(_path(bench, experiment, b, ".npy")) for b in bench.plan.bottlenecks]


def _shown(codecs: Codecs, bench: Bench) -> np.ndarray:
    pictures, restored, labels = next(restorations(codecs, bench.data.test.first(100), bench.device))
    chosen = [int((labels == digit).nonzero()[0]) for digit in range(SHOWN) if (labels == digit).any()]
    rows = torch.cat([pictures[chosen][None], restored[chosen].transpose(0, 1)])[:, :, 0]
    return (255 * rows).round().byte().cpu().numpy()


def _entropies(codecs: Codecs, bench: Bench) -> list[float]:
    """Bits of the symbols if each latent were coded by itself with its own frequencies, `[M]`: a rate between
    what an ideal coder needs and dimension · log₂ levels.
    """
    levels = codecs.bottleneck.levels
    counts: Tensor | float = 0.0
    rng = torch.Generator().manual_seed(7)
    for start in range(0, len(bench.data.test.labels), 1000):
        pictures = torch.tensor(bench.data.test.pictures[start : start + 1000]).to(bench.device).float() / 255
        draw = codecs.draw(len(pictures), rng)
        condition = None if draw.condition is None else draw.condition.to(bench.device)
        with torch.no_grad():
            symbols = codecs.encode(pictures, draw.noise[0].to(bench.device), condition)
        counts = counts + nn.functional.one_hot(symbols.long(), levels).sum(0).double()
    assert isinstance(counts, Tensor)
    shares = counts / counts.sum(-1, keepdim=True)
    bits = -(shares * shares.clamp(min=1e-12).log2()).sum((1, 2))
    return [float(value) for value in bits.cpu()]


def _path(bench: Bench, experiment: str, bottleneck: Bottleneck, suffix: str) -> Path:
    bench.runs.mkdir(parents=True, exist_ok=True)
    return bench.runs / f"{experiment}-{bottleneck.dimension}x{bottleneck.levels}{suffix}"
