"""The restoration tasks, and how much of each is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from bench.papers.classification.networks import Denoiser, SuperResolver
from bench.papers.wgan.critic import SMALL, CriticSize

# The deviation of the noise on digits, in units where pixels are 0..1; both papers that denoise have it.
NOISE = 1.0

AnyRestorer = Denoiser | SuperResolver
_LARGE = CriticSize((32, 64), 1024)


@dataclass(frozen=True)
class Task:
    """One kind of restoration.

    data: what is restored, mnist or cifar10. weights: λ of the models; cross: their μ; both in all
    combinations. judges: steps of the critics that only measure. precision: of critics' products while they
    learn; measuring uses 32 bits.
    """

    name: str
    title: str
    data: str
    restorer: Callable[[tuple[int, int, int], Sequence[float], torch.Generator], AnyRestorer]
    weights: tuple[float, ...]
    cross: tuple[float, ...]
    steps: int
    critic: CriticSize = _LARGE
    judges: int = 1500
    classifier_steps: int = 3000
    seeds: tuple[int, ...] = (0, 1, 2)
    turns: int = 5
    precision: torch.dtype = torch.float32

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
        "denoising",
        f"MNIST, noise σ = {NOISE:g}",
        "mnist",
        _denoiser,
        weights=(0, 0.003, 0.006, 0.012),
        cross=_CROSS,
        steps=3000,
    ),
    *(
        Task(
            f"super-resolution-{factor}",
            f"CIFAR-10, sides reduced by {factor}",
            "cifar10",
            partial(_super_resolver, factor=factor),
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
