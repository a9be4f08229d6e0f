"""The classification experiments: restorers, how they are trained, and what is measured.

A group is all restorers of one task, seed and classifier. Loss of each: MSE + λ · W₁ + μ · cross-entropy
of the frozen classifier's answer. All classifiers see every restored image.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.papers.classification.plan import AnyRestorer, Task
from bench.papers.wgan.classifier import DESIGNS, Classifier, error_rate
from bench.papers.wgan.measure import SHOWN, eight_bit, measure, restorations
from bench.papers.wgan.processes import in_processes
from bench.papers.wgan.records import first_images, kept_or_made, kept_results, restore_record
from bench.papers.wgan.run import Run, progress
from bench.papers.wgan.train import Fidelity, on_device, squared_error


def group_name(task: Task, design: str, seed: int) -> str:
    """What the files of a group are called, without their suffixes."""
    return f"{task.name}-{design}-{seed}"


def keep_results(run: Run[Task], path: Path) -> None:
    """Take over the groups of earlier results, so that they are not trained again."""
    for group in kept_results(path).get("groups", []):
        restore_record(run.path(group_name(run.plan, group["design"], group["seed"]), ".json"), group)


def measured_groups(run: Run[Task], workers: int = 1) -> dict[str, Any]:
    """Train and measure the restorers of all classifiers, seed by seed; returns a record of the results."""
    classifiers = trained_classifiers(run)  # here, and not in two processes at once
    groups: list[dict[str, Any]] = []
    for seed in run.plan.seeds:
        groups += in_processes(partial(_group, run), [(design, seed) for design in DESIGNS], workers)
    return {
        "task": run.plan.title,
        "test images": len(run.data.test.labels),
        "error of originals": {
            design: error_rate(network, run.data.test, run.device) for design, network in classifiers.items()
        },
        "groups": groups,
    }


def trained_classifiers(run: Run[Task]) -> dict[str, Classifier]:
    """The frozen classifiers of the task's images, trained once."""
    return {design: run.classifier(design, f"{run.plan.data}-{design}.classifier") for design in DESIGNS}


def recognised(classifier: Classifier, cross: Sequence[float]) -> Fidelity:
    """Squared error plus each model's μ times the cross-entropy of the classifier's answer."""
    shares = torch.tensor(cross, device=next(classifier.parameters()).device)

    def fidelity(restored: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        logits = classifier(restored.flatten(0, 1)).unflatten(0, restored.shape[:2])
        wanted = labels[:, None].expand(restored.shape[:2])
        surprise = F.cross_entropy(logits.movedim(2, 1), wanted, reduction="none").mean(0)
        return squared_error(restored, images, labels) + shares * surprise

    return fidelity


def _group(run: Run[Task], which: tuple[str, int]) -> dict[str, Any]:
    """Restorers of one classifier and seed, trained and measured unless that is done."""
    task, (design, seed) = run.plan, which
    name = group_name(task, design, seed)
    weights, cross = zip(*task.models(), strict=True)
    settings = {
        **run.settings(seed),
        "precision": str(task.precision).removeprefix("torch."),
        "classifier_steps": task.classifier_steps,
        "weights": list(weights),
        "cross": list(cross),
    }

    def make() -> dict[str, Any]:
        classifiers = trained_classifiers(run)
        fidelity = recognised(classifiers[design], cross)
        rng = torch.Generator().manual_seed(seed)
        restorer = task.restorer(run.shape, weights, rng).to(run.device)
        critic = run.critic(len(weights), rng)
        training = run.training(restorer, critic, seed, fidelity=fidelity)
        training.run(run.path(name, ".pt"), progress(f"{task.name}, {design} classifier, seed {seed}"))
        restorer.requires_grad_(False)
        judge = run.judge(name, restorer, len(weights), seed, run.data.train)
        measured = measure(
            restorer,
            {"wasserstein": judge, "own critic": critic},
            run.data.test,
            run.device,
            fidelity=fidelity,
            classifiers=classifiers,
        )
        np.save(run.path(name, ".npy"), _shown(restorer, run))
        return {
            "design": design,
            "seed": seed,
            "weights": list(weights),
            "cross": list(cross),
            **{key: values.tolist() for key, values in measured.items()},
        }

    return kept_or_made(run.path(name, ".json"), settings, make)


def shown_images(run: Run[Task], design: str) -> np.ndarray | None:
    """The images of the first seed that was trained here, uint8 `[2 + models, SHOWN, H, W, C]`: originals,
    what restorers got, what each made of it. None if all groups were kept from earlier results.
    """
    names = (group_name(run.plan, design, seed) for seed in run.plan.seeds)
    return first_images(run.path(name, ".npy") for name in names)


def _shown(restorer: AnyRestorer, run: Run[Task]) -> np.ndarray:
    few = run.data.test.first(SHOWN)
    images, restored, _ = next(restorations(restorer, few, run.device))
    draw = restorer.draw(len(images), torch.Generator().manual_seed(7))  # as `restorations` draws
    given = restorer.degraded(images, on_device(draw, run.device))
    given = F.interpolate(given, images.shape[2:], mode="nearest")
    return eight_bit(torch.cat([images[None], given[None], restored.transpose(0, 1)]).permute(0, 1, 3, 4, 2))
