"""The restoration tasks, and how much of each is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from bench.papers.classification.networks import Denoiser, SuperResolver
from bench.papers.wgan.critic import SMALL, CriticSize
from bench.papers.wgan.run import TrainingPlan

# The deviation of the noise on digits, in units where pixels are 0..1; both papers that denoise have it.
NOISE = 1.0

AnyRestorer = Denoiser | SuperResolver
_LARGE = CriticSize((32, 64), 1024)


@dataclass(frozen=True, kw_only=True)
class Task(TrainingPlan):
    """One kind of restoration.

    data: what is restored, mnist or cifar10. restorer: from the shape of an image, λ of the models and their
    first weights' generator. cross: μ of the models, which are all combinations of λ and μ.
    """

    name: str
    title: str
    data: str
    restorer: Callable[[tuple[int, int, int], Sequence[float], torch.Generator], AnyRestorer]
    cross: tuple[float, ...]
    critic: CriticSize = _LARGE
    judges: int = 1500
    classifier_steps: int = 3000

    def models(self) -> list[tuple[float, float]]:
        """(λ, μ) of every model, the first (0, 0)."""
        return [(weight, mu) for weight in self.weights for mu in self.cross]


def _denoiser(shape: tuple[int, int, int], weights: Sequence[float], rng: torch.Generator) -> AnyRestorer:
    return Denoiser(shape, weights, NOISE, rng)


def _super_resolver(
    shape: tuple[int, int, int], weights: Sequence[float], rng: torch.Generator, factor: int
) -> AnyRestorer:
    return SuperResolver(shape, weights, factor, rng)


# λ = 2δ/pixels balances squared error and perception at a displacement of δ; μ was found by trial.
_CROSS = (0, 0.001, 0.003, 0.01, 0.03)
TASKS = (
    Task(
        name="denoising",
        title=f"MNIST, noise σ = {NOISE:g}",
        data="mnist",
        restorer=_denoiser,
        weights=(0, 0.003, 0.006, 0.012),
        cross=_CROSS,
        steps=3000,
    ),
    *(
        Task(
            name=f"super-resolution-{factor}",
            title=f"CIFAR-10, sides reduced by {factor}",
            data="cifar10",
            restorer=partial(_super_resolver, factor=factor),
            weights=(0, 0.0005, 0.001, 0.002),
            cross=_CROSS,
            steps=2000,  # the set is small: 5000 images if it is not all of CIFAR-10
        )
        for factor in (4, 2)
    ),
)


def sized(task: Task, grid: str) -> Task:
    """A task in a grid: `full` for a GPU, `cores` for the cores of a processor, `quick` for minutes."""
    if grid == "full":
        return task
    cores = replace(
        task,
        critic=SMALL,
        steps=task.steps // 3,
        judges=800,
        classifier_steps=1500,
        precision=torch.bfloat16,  # as for the digits
    )
    if grid == "cores":
        return cores
    return replace(
        cores,
        weights=(task.weights[0], task.weights[-1]),
        cross=(task.cross[0], task.cross[-1]),
        steps=task.steps // 12,
        judges=200,
        classifier_steps=400,
        seeds=(0,),
    )
