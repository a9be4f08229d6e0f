"""Trains and measures denoisers whose weight of perception goes from 0 to ∞."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.papers.classification.networks import Denoiser
from bench.papers.classification.plan import NOISE
from bench.papers.denoising.estimators import NAMES, Posterior
from bench.papers.wgan.classifier import train_classifier
from bench.papers.wgan.critic import SMALL, Critic, CriticSize
from bench.papers.wgan.data import Labelled, Split
from bench.papers.wgan.measure import SHOWN, eight_bit, fresh_critics, measure, restorations
from bench.papers.wgan.once import first_images, kept_results, once, put_back
from bench.papers.wgan.train import Fidelity, Restorer, Schedule, Training, squared_error
from bench.papers.wgan.workers import each

# The points of the paper's figure, by λ of the loss MSE + λ · W₁; at ∞ squared error does not count.
POINTS = {"A": 0.0, "B": 0.005, "C": 0.02, "D": math.inf}


@dataclass(frozen=True)
class Plan:
    """weights: λ, rising, the first 0 and the last ∞. prior: how many training images the estimators' prior
    has; critics that judge them see the others. judges: these critics' steps.
    """

    weights: tuple[float, ...]
    prior: int
    critic: CriticSize
    steps: int
    judges: int
    classifier_steps: int
    seeds: tuple[int, ...]
    turns: int = 5


FULL = Plan((0, 0.002, 0.005, 0.01, 0.02, 0.05, math.inf), 30_000, CriticSize(), 6000, 2000, 3000, (0, 1, 2))
CORES = replace(FULL, critic=SMALL, steps=1500, judges=800, classifier_steps=1500)
QUICK = replace(
    CORES,
    weights=tuple(POINTS.values()),
    prior=5000,
    steps=300,
    judges=200,
    classifier_steps=400,
    seeds=(0,),
)
GRIDS = {"full": FULL, "cores": CORES, "quick": QUICK}


@dataclass(frozen=True)
class DenoisingRun:
    """Where the experiment runs: data, device, folder of checkpoints, and the callback for progress."""

    plan: Plan
    data: Split
    device: torch.device
    checkpoints: Path
    report: Callable[[str], Callable[[int], None]]

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of an image."""
        _, channels, height, width = self.data.train.images.shape
        return channels, height, width

    def schedule(self, steps: int, seed: int) -> Schedule:
        """A schedule of this many steps."""
        return Schedule(steps, seed=seed, turns=self.plan.turns)

    def path(self, name: str, suffix: str) -> Path:
        """A file in the folder of checkpoints."""
        return self.checkpoints / f"{name}{suffix}"


def keep_results(run: DenoisingRun, path: Path) -> None:
    """Take over earlier results, so that they are not trained again."""
    results = kept_results(path)
    put_back(
        (run.path(f"denoisers-{found['seed']}", ".json"), found) for found in results.get("denoisers", [])
    )
    if "estimators" in results:
        put_back([(run.path("estimators", ".json"), results["estimators"])])


def measured(run: DenoisingRun, workers: int = 1) -> dict[str, Any]:
    """Train and measure what is missing: the denoisers of each seed, and the posterior's estimators."""
    return {
        "noise": NOISE,
        "estimators": _estimators(run),  # first: it trains the classifier, which all share
        "denoisers": each(partial(_denoisers, run), run.plan.seeds, workers),
    }


def fidelity_of(weights: tuple[float, ...]) -> Fidelity:
    """Squared error, or 0 where the weight of perception is ∞."""

    def fidelity(restored: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        counts = torch.tensor([math.isfinite(weight) for weight in weights], device=restored.device)
        return counts * squared_error(restored, images, labels)

    return fidelity


def _denoisers(run: DenoisingRun, seed: int) -> dict[str, Any]:
    plan, name = run.plan, f"denoisers-{seed}"

    def make() -> dict[str, Any]:
        rng = torch.Generator().manual_seed(seed)
        finite = [weight if math.isfinite(weight) else 1.0 for weight in plan.weights]
        restorer = Denoiser(run.shape, finite, NOISE, rng).to(run.device)
        critic = Critic(len(finite), run.shape, rng, size=plan.critic).to(run.device)
        training = Training(
            restorer,
            critic,
            run.data.train,
            run.schedule(plan.steps, seed),
            fidelity=fidelity_of(plan.weights),
            device=run.device,
        )
        training.run(run.path(name, ".pt"), run.report(f"denoisers, seed {seed}"))
        restorer.requires_grad_(False)
        found = _judged(run, name, restorer, len(finite), run.data.train, seed)
        return {"seed": seed, "weights": [stored_weight(weight) for weight in plan.weights], **found}

    settings = {**_settings(run, seed), "weights": [stored_weight(weight) for weight in plan.weights]}
    return once(run.path(name, ".json"), settings, make)


def _estimators(run: DenoisingRun) -> dict[str, Any]:
    """The estimators, judged on images that their prior does not hold."""
    train, count = run.data.train, min(run.plan.prior, len(run.data.train.labels) // 2)
    others = Labelled(train.images[count:], train.labels[count:])
    seed = run.plan.seeds[0]

    def make() -> dict[str, Any]:
        posterior = Posterior(train.images[:count], NOISE, run.device)
        found = _judged(run, "estimators", posterior, len(NAMES), others, seed)
        return {"names": list(NAMES), "prior": count, **found}

    return once(run.path("estimators", ".json"), {**_settings(run, seed), "prior": count}, make)


def _judged(
    run: DenoisingRun, name: str, restorer: Restorer, models: int, data: Labelled, seed: int
) -> dict[str, Any]:
    """Measure restorers with fresh critics trained on `data`, and keep the restored images."""
    schedule = run.schedule(run.plan.judges, seed)
    checkpoint = run.path(name, ".critic.pt")
    judge = fresh_critics(restorer, models, data, schedule, run.device, checkpoint, run.plan.critic)
    steps, cache = run.plan.classifier_steps, run.path("classifier", ".pt")
    classifier = train_classifier("convolutional", run.data.train, steps, run.device, cache)
    found = measure(
        restorer, {"wasserstein": judge}, run.data.test, run.device, classifiers={"digit": classifier}
    )
    np.save(run.path(name, ".npy"), _shown(restorer, run))
    return {key: values.tolist() for key, values in found.items()}


def shown_images(run: DenoisingRun, names: Iterable[str]) -> np.ndarray | None:
    """The images of the first of these (`denoisers-SEED`, `estimators`) that was made here, originals first:
    uint8 `[1 + models, SHOWN, 28, 28]`. None if all were kept from earlier results.
    """
    return first_images(run.path(name, ".npy") for name in names)


def noisy_images(run: DenoisingRun) -> np.ndarray:
    """The noisy versions of the shown images that all restorers were given, uint8 `[SHOWN, 28, 28]`."""
    few = run.data.test.first(SHOWN)
    noise = torch.randn(len(few.labels), *run.shape, generator=torch.Generator().manual_seed(7))
    seen = torch.tensor(few.images).float() / 255 + NOISE * noise
    return eight_bit(seen)[:, 0]


def _shown(restorer: Restorer, run: DenoisingRun) -> np.ndarray:
    images, restored, _ = next(restorations(restorer, run.data.test.first(SHOWN), run.device))
    return eight_bit(torch.cat([images[None], restored.transpose(0, 1)])[:, :, 0])


def _settings(run: DenoisingRun, seed: int) -> dict[str, Any]:
    plan = run.plan
    return {
        **asdict(run.schedule(plan.steps, seed)),
        "judges": plan.judges,
        "critic": [*plan.critic.channels, plan.critic.hidden],
        "pictures": len(run.data.train.labels),
    }


def stored_weight(weight: float) -> float | str:
    """A weight in a form for JSON, which has no infinity."""
    return weight if math.isfinite(weight) else "∞"
