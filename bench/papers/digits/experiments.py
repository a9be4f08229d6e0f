"""The experiments on digits: the grid of pairs, and its variants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.papers.digits.codec import Bottleneck, Codecs
from bench.papers.digits.group import Group, group_name
from bench.papers.digits.plan import Plan
from bench.papers.wgan.classifier import Classifier
from bench.papers.wgan.critic import Layer
from bench.papers.wgan.processes import in_processes
from bench.papers.wgan.records import kept_results, restore_record
from bench.papers.wgan.run import Run
from bench.papers.wgan.train import Fidelity, squared_error
from rdpcodec.errors import UsageError
from rdpcodec.training.checkpoints.checkpoint import load_checkpoint

# Features of the second convolution are larger than pixels: at this weight both parts of the distortion are
# about equal for the pairs without an adversary.
FEATURE_SHARE = 0.15

Experiment = Callable[[Run[Plan], Bottleneck, int], dict[str, Any]]


def keep_results(run: Run[Plan], path: Path) -> dict[str, list[dict[str, Any]]]:
    """The groups in earlier results, which are not trained again."""
    kept: dict[str, list[dict[str, Any]]] = kept_results(path).get("results", {})
    for kind, groups in kept.items():
        for found in groups:
            name = group_name(kind, Bottleneck(found["dimension"], found["levels"]), found["seed"])
            restore_record(run.path(name, ".json"), found)
    return kept


def measured_groups(
    run: Run[Plan], kinds: Sequence[str], workers: int = 1
) -> dict[str, list[dict[str, Any]]]:
    """The records of each of these `EXPERIMENTS`, a record for each seed and rate.

    It goes seed by seed, so that a stopped run has whole grids. `universal` comes last: it needs `pairs`.
    """
    run.classifier()  # here, and not in two processes at once
    results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for seed in run.plan.seeds:
        for last in (False, True):
            stage = [kind for kind in kinds if (kind == "universal") == last]
            tasks = [(kind, b, seed) for kind in stage for b in bottlenecks_of(run, kind)]
            for (kind, *_), record in zip(
                tasks, in_processes(partial(_one, run), tasks, workers), strict=True
            ):
                results[kind].append(record)
    return results


def bottlenecks_of(run: Run[Plan], kind: str) -> tuple[Bottleneck, ...]:
    """The rates of an experiment."""
    return run.plan.bottlenecks if kind == "pairs" else run.plan.some_bottlenecks


def _one(run: Run[Plan], task: tuple[str, Bottleneck, int]) -> dict[str, Any]:
    kind, bottleneck, seed = task
    return EXPERIMENTS[kind](run, bottleneck, seed)


def pairs(run: Run[Plan], bottleneck: Bottleneck, seed: int) -> dict[str, Any]:
    """One rate with every weight: the paper's experiment."""
    return Group(run, "pairs", bottleneck, seed, run.plan.weights).record()


def universal(run: Run[Plan], bottleneck: Bottleneck, seed: int) -> dict[str, Any]:
    """The frozen encoder of the pair without an adversary, and a separate decoder for each other weight."""

    def prepare(codecs: Codecs) -> None:
        path = run.path(group_name("pairs", bottleneck, seed), ".pt")
        if not path.exists():
            raise UsageError(f"{path}: is gone; remove {path.with_suffix('.json')} to train the pairs again")
        saved = load_checkpoint(path, run.device)["restorer"]
        for part in ("encoder", "standardise"):
            for name, values in getattr(codecs, part).state_dict().items():
                values.copy_(saved[f"{part}.{name}"][:1].expand_as(values))
        codecs.freeze_encoder()

    weights = tuple(weight for weight in run.plan.some_weights if weight)
    return Group(run, "universal", bottleneck, seed, weights, prepare=prepare).record()


def conditioned(run: Run[Plan], bottleneck: Bottleneck, seed: int) -> dict[str, Any]:
    """One network that is told the weight, instead of one for each weight; trained as long as one pair."""
    return Group(run, "conditioned", bottleneck, seed, run.plan.weights, conditioned=True).record()


def features(run: Run[Plan], bottleneck: Bottleneck, seed: int) -> dict[str, Any]:
    """Distortion on pixels and on a classifier's second convolution."""
    fidelity = feature_error(run.classifier())
    return Group(run, "features", bottleneck, seed, run.plan.some_weights, fidelity=fidelity).record()


def on_layer(layer: Layer, run: Run[Plan], bottleneck: Bottleneck, seed: int) -> dict[str, Any]:
    """Perception on one layer of the critic: the distance of mean features of real and decoded images."""
    weights = run.plan.some_weights
    return Group(run, f"layer-{layer}", bottleneck, seed, weights, layer=layer).record()


def alone(layer: Layer, run: Run[Plan], bottleneck: Bottleneck, seed: int) -> dict[str, Any]:
    """The same without squared error: nothing in the loss asks for the image that was encoded."""
    experiment = f"alone-{layer}"
    return Group(run, experiment, bottleneck, seed, (1.0,), fidelity=no_error, layer=layer).record()


EXPERIMENTS: dict[str, Experiment] = {
    "pairs": pairs,
    "universal": universal,
    "conditioned": conditioned,
    "features": features,
    "layer-a": partial(on_layer, "a"),
    "layer-b": partial(on_layer, "b"),
    "layer-c": partial(on_layer, "c"),
    "alone-a": partial(alone, "a"),
    "alone-b": partial(alone, "b"),
    "alone-c": partial(alone, "c"),
}


def no_error(restored: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """No distortion, `[M]`."""
    return torch.zeros(restored.shape[1], device=restored.device)


def feature_error(classifier: Classifier) -> Fidelity:
    """Squared error of pixels plus FEATURE_SHARE times that of the classifier's second convolution."""

    def fidelity(restored: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        found = classifier.features(restored.flatten(0, 1)).unflatten(0, restored.shape[:2])
        apart = found - classifier.features(images)[:, None]
        of_features = apart.square().flatten(2).mean((0, 2))
        return squared_error(restored, images, labels) + FEATURE_SHARE * of_features

    return fidelity
