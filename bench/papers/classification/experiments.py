"""The classification experiments: restorers, how they are trained, and what is measured.

A group is all restorers of one task, seed and classifier. Loss of each: MSE + λ · W₁ + μ · cross-entropy
of the frozen classifier's answer. All classifiers see every restored image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.papers.classification.plan import AnyRestorer, Task
from bench.papers.wgan.classifier import DESIGNS, Classifier, error_rate, train_classifier
from bench.papers.wgan.critic import Critic
from bench.papers.wgan.data import Split
from bench.papers.wgan.measure import SHOWN, eight_bit, fresh_critics, measure, restorations
from bench.papers.wgan.once import first_images, kept_results, once, put_back
from bench.papers.wgan.train import Fidelity, Schedule, Training, on_device, squared_error
from bench.papers.wgan.workers import each


@dataclass(frozen=True)
class ClassificationRun:
    """Where a task runs: data, device, folder of checkpoints, and the callback for progress."""

    task: Task
    data: Split
    device: torch.device
    checkpoints: Path
    report: Callable[[str], Callable[[int], None]]

    def schedule(self, steps: int, seed: int) -> Schedule:
        """A schedule of this many steps."""
        return Schedule(steps, seed=seed, turns=self.task.turns)

    def path(self, design: str, seed: int, suffix: str) -> Path:
        """A file of a group, in the folder of checkpoints."""
        return self.checkpoints / f"{self.task.name}-{design}-{seed}{suffix}"


def keep_results(run: ClassificationRun, path: Path) -> None:
    """Take over the groups of earlier results, so that they are not trained again."""
    groups = kept_results(path).get("groups", [])
    put_back((run.path(group["design"], group["seed"], ".json"), group) for group in groups)


def measured_groups(run: ClassificationRun, workers: int = 1) -> dict[str, Any]:
    """Train and measure the restorers of all classifiers, seed by seed; returns a record of the results."""
    classifiers = trained_classifiers(run)  # here, and not in two processes at once
    groups: list[dict[str, Any]] = []
    for seed in run.task.seeds:
        groups += each(partial(_group, run), [(design, seed) for design in DESIGNS], workers)
    return {
        "task": run.task.title,
        "test pictures": len(run.data.test.labels),
        "error of originals": {
            design: error_rate(network, run.data.test, run.device) for design, network in classifiers.items()
        },
        "groups": groups,
    }


def trained_classifiers(run: ClassificationRun) -> dict[str, Classifier]:
    """The frozen classifiers of the task's images, trained once."""
    return {
        design: train_classifier(
            design,
            run.data.train,
            run.task.classifier_steps,
            run.device,
            run.checkpoints / f"{run.task.data}-{design}.classifier.pt",
        )
        for design in DESIGNS
    }


def recognised(classifier: Classifier, cross: Sequence[float]) -> Fidelity:
    """Squared error plus each model's μ times the cross-entropy of the classifier's answer."""
    shares = torch.tensor(cross, device=next(classifier.parameters()).device)

    def fidelity(restored: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        logits = classifier(restored.flatten(0, 1)).unflatten(0, restored.shape[:2])
        wanted = labels[:, None].expand(restored.shape[:2])
        surprise = F.cross_entropy(logits.movedim(2, 1), wanted, reduction="none").mean(0)
        return squared_error(restored, images, labels) + shares * surprise

    return fidelity


def _group(run: ClassificationRun, which: tuple[str, int]) -> dict[str, Any]:
    """Restorers of one classifier and seed, trained and measured unless that is done."""
    task, (design, seed) = run.task, which
    weights, cross = zip(*task.models(), strict=True)
    settings = {
        **asdict(run.schedule(task.steps, seed)),
        "judges": task.judges,
        "critic": [*task.critic.channels, task.critic.hidden],
        "precision": str(task.precision).removeprefix("torch."),
        "classifier_steps": task.classifier_steps,
        "pictures": len(run.data.train.labels),
        "weights": list(weights),
        "cross": list(cross),
    }

    def make() -> dict[str, Any]:
        classifiers = trained_classifiers(run)
        fidelity = recognised(classifiers[design], cross)
        restorer, critic = _trained(run, design, seed, fidelity)
        measured = measure(
            restorer,
            {"wasserstein": _judge(run, design, seed, restorer), "own critic": critic},
            run.data.test,
            run.device,
            fidelity=fidelity,
            classifiers=classifiers,
        )
        np.save(run.path(design, seed, ".npy"), _shown(restorer, run))
        return {
            "design": design,
            "seed": seed,
            "weights": list(weights),
            "cross": list(cross),
            **{name: values.tolist() for name, values in measured.items()},
        }

    return once(run.path(design, seed, ".json"), settings, make)


def _trained(
    run: ClassificationRun, design: str, seed: int, fidelity: Fidelity
) -> tuple[AnyRestorer, Critic]:
    """The restorers, frozen, and the critic that they learnt with."""
    _, channels, height, width = run.data.train.images.shape
    shape, rng = (channels, height, width), torch.Generator().manual_seed(seed)
    weights = [weight for weight, _ in run.task.models()]
    restorer = run.task.restorer(shape, weights, rng).to(run.device)
    critic = Critic(len(weights), shape, rng, size=run.task.critic).to(run.device)
    schedule = run.schedule(run.task.steps, seed)
    training = Training(
        restorer,
        critic,
        run.data.train,
        schedule,
        fidelity=fidelity,
        precision=run.task.precision,
        device=run.device,
    )
    label = f"{run.task.name}, {design} classifier, seed {seed}"
    training.run(run.path(design, seed, ".pt"), run.report(label))
    restorer.requires_grad_(False)
    return restorer, critic


def _judge(run: ClassificationRun, design: str, seed: int, restorer: AnyRestorer) -> Critic:
    """Critics that only measure."""
    schedule = run.schedule(run.task.judges, seed)
    return fresh_critics(
        restorer,
        len(run.task.models()),
        run.data.train,
        schedule,
        run.device,
        run.path(design, seed, ".critic.pt"),
        run.task.critic,
        run.task.precision,
    )


def shown_images(run: ClassificationRun, design: str) -> np.ndarray | None:
    """The images of the first seed that was trained here, uint8 `[2 + models, SHOWN, H, W, C]`: originals,
    what restorers got, what each made of it. None if all groups were kept from earlier results.
    """
    return first_images(run.path(design, seed, ".npy") for seed in run.task.seeds)


def _shown(restorer: AnyRestorer, run: ClassificationRun) -> np.ndarray:
    few = run.data.test.first(SHOWN)
    images, restored, _ = next(restorations(restorer, few, run.device))
    draw = restorer.draw(len(images), torch.Generator().manual_seed(7))  # as `restorations` draws
    given = restorer.degraded(images, on_device(draw, run.device))
    given = F.interpolate(given, images.shape[2:], mode="nearest")
    return eight_bit(torch.cat([images[None], given[None], restored.transpose(0, 1)]).permute(0, 1, 3, 4, 2))
