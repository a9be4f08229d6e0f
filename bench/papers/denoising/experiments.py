"""Trains and measures denoisers whose weight of perception goes from 0 to ∞."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.papers.classification.networks import Denoiser
from bench.papers.classification.plan import NOISE
from bench.papers.denoising.estimators import NAMES, Posterior
from bench.papers.denoising.plan import Plan
from bench.papers.wgan.data import Labelled
from bench.papers.wgan.measure import SHOWN, eight_bit, measure, restorations
from bench.papers.wgan.processes import in_processes
from bench.papers.wgan.records import first_images, kept_or_made, kept_results, restore_record
from bench.papers.wgan.run import Run, progress
from bench.papers.wgan.train import Fidelity, Restorer, squared_error


def keep_results(run: Run[Plan], path: Path) -> None:
    """Take over earlier results, so that they are not trained again."""
    results = kept_results(path)
    for found in results.get("denoisers", []):
        restore_record(run.path(f"denoisers-{found['seed']}", ".json"), found)
    if "estimators" in results:
        restore_record(run.path("estimators", ".json"), results["estimators"])


def measured(run: Run[Plan], workers: int = 1) -> dict[str, Any]:
    """Train and measure what is missing: the denoisers of each seed, and the posterior's estimators."""
    return {
        "noise": NOISE,
        "estimators": _estimators(run),  # first: it trains the classifier, which all share
        "denoisers": in_processes(partial(_denoisers, run), run.plan.seeds, workers),
    }


def fidelity_of(weights: tuple[float, ...]) -> Fidelity:
    """Squared error, or 0 where the weight of perception is ∞."""

    def fidelity(restored: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        counts = torch.tensor([math.isfinite(weight) for weight in weights], device=restored.device)
        return counts * squared_error(restored, images, labels)

    return fidelity


def _denoisers(run: Run[Plan], seed: int) -> dict[str, Any]:
    weights, name = run.plan.weights, f"denoisers-{seed}"
    stored = [stored_weight(weight) for weight in weights]

    def make() -> dict[str, Any]:
        rng = torch.Generator().manual_seed(seed)
        finite = [weight if math.isfinite(weight) else 1.0 for weight in weights]
        restorer = Denoiser(run.shape, finite, NOISE, rng).to(run.device)
        critic = run.critic(len(weights), rng)
        training = run.training(restorer, critic, seed, fidelity=fidelity_of(weights))
        training.run(run.path(name, ".pt"), progress(f"denoisers, seed {seed}"))
        restorer.requires_grad_(False)
        found = _judged(run, name, restorer, len(weights), run.data.train, seed)
        return {"seed": seed, "weights": stored, **found}

    return kept_or_made(run.path(name, ".json"), {**run.settings(seed), "weights": stored}, make)


def _estimators(run: Run[Plan]) -> dict[str, Any]:
    """The estimators, judged on images that their prior does not hold."""
    train, count = run.data.train, min(run.plan.prior, len(run.data.train.labels) // 2)
    others = Labelled(train.images[count:], train.labels[count:])
    seed = run.plan.seeds[0]

    def make() -> dict[str, Any]:
        posterior = Posterior(train.images[:count], NOISE, run.device)
        found = _judged(run, "estimators", posterior, len(NAMES), others, seed)
        return {"names": list(NAMES), "prior": count, **found}

    return kept_or_made(run.path("estimators", ".json"), {**run.settings(seed), "prior": count}, make)


def _judged(
    run: Run[Plan], name: str, restorer: Restorer, models: int, data: Labelled, seed: int
) -> dict[str, Any]:
    """Measure restorers with fresh critics trained on `data`, and keep the restored images."""
    critics = {"wasserstein": run.judge(name, restorer, models, seed, data)}
    found = measure(restorer, critics, run.data.test, run.device, classifiers={"digit": run.classifier()})
    np.save(run.path(name, ".npy"), _shown(restorer, run))
    return {key: values.tolist() for key, values in found.items()}


def shown_images(run: Run[Plan], names: Iterable[str]) -> np.ndarray | None:
    """The images of the first of these (`denoisers-SEED`, `estimators`) that was made here, originals first:
    uint8 `[1 + models, SHOWN, 28, 28]`. None if all were kept from earlier results.
    """
    return first_images(run.path(name, ".npy") for name in names)


def noisy_images(run: Run[Plan]) -> np.ndarray:
    """The noisy versions of the shown images that all restorers were given, uint8 `[SHOWN, 28, 28]`."""
    few = run.data.test.first(SHOWN)
    noise = torch.randn(len(few.labels), *run.shape, generator=torch.Generator().manual_seed(7))
    seen = torch.tensor(few.images).float() / 255 + NOISE * noise
    return eight_bit(seen)[:, 0]


def _shown(restorer: Restorer, run: Run[Plan]) -> np.ndarray:
    images, restored, _ = next(restorations(restorer, run.data.test.first(SHOWN), run.device))
    return eight_bit(torch.cat([images[None], restored.transpose(0, 1)])[:, :, 0])


def stored_weight(weight: float) -> float | str:
    """A weight in a form for JSON, which has no infinity."""
    return weight if math.isfinite(weight) else "∞"
