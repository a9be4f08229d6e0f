"""The classification experiments: what is trained with what, and what is measured of it.

A group is all restorers of one task with one classifier. Loss of each: MSE + λ · W₁ + μ · cross-entropy
of the frozen classifier's answer. Both classifiers see every restored image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.papers.classification.networks import Denoiser, SuperResolver
from bench.papers.wgan.classifier import DESIGNS, Classifier, error_rate, train_classifier
from bench.papers.wgan.critic import Critic
from bench.papers.wgan.data import Split
from bench.papers.wgan.measure import fresh_critics, measure, restorations
from bench.papers.wgan.once import once
from bench.papers.wgan.train import CPU, Fidelity, Schedule, Training, on_device, squared_error
from bench.papers.wgan.workers import each

# Of the noise on digits, in units where pixels are 0..1 (the paper's).
NOISE = 1.0
SHOWN = 10


@dataclass(frozen=True)
class Task:
    """One kind of restoration. weights: λ of the models; cross: their μ; both in all combinations."""

    name: str
    title: str
    restorer: Callable[[tuple[int, int, int], Sequence[float], torch.Generator], Denoiser | SuperResolver]
    weights: tuple[float, ...]
    cross: tuple[float, ...]
    steps: int
    critic_steps: int
    classifier_steps: int

    def models(self) -> list[tuple[float, float]]:
        """(λ, μ) of every model, the first (0, 0)."""
        return [(weight, mu) for weight in self.weights for mu in self.cross]


def _denoiser(
    shape: tuple[int, int, int], weights: Sequence[float], rng: torch.Generator
) -> Denoiser | SuperResolver:
    return Denoiser(shape, weights, NOISE, rng)


# λ = 2δ/pixels balances squared error and perception at a displacement of δ; μ is found by trying.
DENOISING = Task(
    "denoising",
    f"MNIST, noise σ = {NOISE:g}",
    _denoiser,
    weights=(0, 0.003, 0.006, 0.012),
    cross=(0, 0.001, 0.003, 0.01, 0.03),
    steps=3000,
    critic_steps=1000,
    classifier_steps=3000,
)
SUPER_RESOLUTION = Task(
    "super-resolution",
    "CIFAR-10, a quarter of the sides",
    SuperResolver,
    weights=(0, 0.0005, 0.001, 0.002),
    cross=(0, 0.001, 0.003, 0.01, 0.03),
    steps=1500,  # the set is small: 5000 images where it is not all of CIFAR-10
    critic_steps=1000,
    classifier_steps=3000,
)


def quick(task: Task) -> Task:
    """The same in minutes: three weights each, a twelfth of the training."""
    return replace(
        task,
        weights=tuple(task.weights[number] for number in (0, 2, 3)),
        cross=tuple(task.cross[number] for number in (0, 2, 4)),
        steps=task.steps * 8 // 100,
        critic_steps=task.critic_steps * 16 // 100,
        classifier_steps=task.classifier_steps // 6,
    )


@dataclass(frozen=True)
class ClassificationRun:
    """Where a task runs: data, device, folder of checkpoints, and whom to tell of progress."""

    task: Task
    data: Split
    device: torch.device
    checkpoints: Path
    report: Callable[[str], Callable[[int], None]]


def measured_groups(run: ClassificationRun, workers: int = 1) -> dict[str, Any]:
    """Train and measure the restorers of both classifiers; the record says what was found."""
    classifiers = trained_classifiers(run)  # here, and not in two processes at once
    return {
        "task": run.task.title,
        "test pictures": len(run.data.test.labels),
        "error of originals": {
            design: error_rate(network, run.data.test, run.device) for design, network in classifiers.items()
        },
        "groups": dict(zip(DESIGNS, each(partial(_group, run), list(DESIGNS), workers), strict=True)),
    }


def trained_classifiers(run: ClassificationRun) -> dict[str, Classifier]:
    """The frozen classifiers of the task's images, trained once."""
    return {
        design: train_classifier(
            design,
            run.data.train,
            run.task.classifier_steps,
            run.device,
            _path(run, design, ".classifier.pt"),
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


def _group(run: ClassificationRun, design: str) -> dict[str, Any]:
    """Restorers of one classifier, trained and measured unless that is done; the record of what was found."""
    task = run.task
    weights, cross = zip(*task.models(), strict=True)
    settings = {
        **asdict(Schedule(task.steps)),
        "critic_steps": task.critic_steps,
        "classifier_steps": task.classifier_steps,
        "pictures": len(run.data.train.labels),
        "weights": list(weights),
        "cross": list(cross),
    }

    def make() -> dict[str, Any]:
        classifiers = trained_classifiers(run)
        fidelity = recognised(classifiers[design], cross)
        restorer, critic = _trained(run, design, fidelity)
        measured = measure(
            restorer,
            {"wasserstein": _judge(run, design, restorer), "own critic": critic},
            run.data.test,
            run.device,
            fidelity=fidelity,
            classifiers=classifiers,
        )
        np.save(_path(run, design, ".npy"), _shown(restorer, run))
        return {
            "weights": list(weights),
            "cross": list(cross),
            **{name: values.tolist() for name, values in measured.items()},
        }

    return once(_path(run, design, ".json"), settings, make)


def _trained(
    run: ClassificationRun, design: str, fidelity: Fidelity
) -> tuple[Denoiser | SuperResolver, Critic]:
    """The restorers, frozen, and the critic that they learnt with."""
    _, channels, height, width = run.data.train.images.shape
    shape, rng = (channels, height, width), torch.Generator().manual_seed(0)
    weights = [weight for weight, _ in run.task.models()]
    restorer = run.task.restorer(shape, weights, rng).to(run.device)
    critic = Critic(len(weights), shape, rng).to(run.device)
    schedule = Schedule(run.task.steps)
    training = Training(restorer, critic, run.data.train, schedule, fidelity=fidelity, device=run.device)
    training.run(_path(run, design, ".pt"), run.report(f"{run.task.name}, {design} classifier"))
    restorer.requires_grad_(False)
    return restorer, critic


def _judge(run: ClassificationRun, design: str, restorer: Denoiser | SuperResolver) -> Critic:
    """Critics that only measure."""
    schedule = Schedule(run.task.critic_steps)
    models, checkpoint = len(run.task.models()), _path(run, design, ".critic.pt")
    return fresh_critics(restorer, models, run.data.train, schedule, run.device, checkpoint)


def _path(run: ClassificationRun, design: str, suffix: str) -> Path:
    return run.checkpoints / f"{run.task.name}-{design}{suffix}"


def shown_images(run: ClassificationRun, design: str) -> np.ndarray:
    """uint8 `[2 + models, SHOWN, H, W, C]`: originals, what restorers got, what each made of it."""
    return np.load(_path(run, design, ".npy"))


def _shown(restorer: Denoiser | SuperResolver, run: ClassificationRun) -> np.ndarray:
    few = run.data.test.first(SHOWN)
    images, restored, _ = next(restorations(restorer, few, run.device))
    draw = restorer.draw(len(images), torch.Generator().manual_seed(7))  # as `restorations` draws
    given = restorer.degraded(images, on_device(draw, run.device))
    given = F.interpolate(given, images.shape[2:], mode="nearest")
    rows = torch.cat([images[None], given[None], restored.transpose(0, 1)]).permute(0, 1, 3, 4, 2)
    return (255 * rows.clamp(0, 1)).round().byte().to(CPU).numpy()
