"""Measures a trained group on images it has not seen: distortion, perception, errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.metrics.distribution import random_directions, sliced_wasserstein
from bench.papers.wgan.classifier import Classifier
from bench.papers.wgan.critic import SMALL, Critic, CriticSize, gradient_norms, projections
from bench.papers.wgan.data import Labelled
from bench.papers.wgan.train import (
    Fidelity,
    Restorer,
    Schedule,
    Training,
    on_device,
    squared_error,
)

SHOWN = 10  # images of the test set in a figure
_BATCH = 250
_DIRECTIONS = 64  # of the sliced Wasserstein distance
_HALVES = 5  # random ones, for its floor, since data files have an order
Values = NDArray[np.float64]


def fresh_critics(
    restorer: Restorer,
    models: int,
    data: Labelled,
    schedule: Schedule,
    device: torch.device,
    checkpoint: Path | None = None,
    size: CriticSize = SMALL,
    precision: torch.dtype = torch.float32,
) -> Critic:
    """Critics that only measure: trained from scratch against models that no longer change.

    A critic that learned beside its model lags behind it, and lags more if the model listened more.
    """
    _, *shape = data.images.shape
    rng = torch.Generator().manual_seed(schedule.seed + 1)
    critic = Critic(models, (shape[0], shape[1], shape[2]), rng, size=size).to(device)
    Training(restorer, critic, data, schedule, precision=precision, device=device).run(checkpoint)
    return critic


def restorations(
    restorer: Restorer, data: Labelled, device: torch.device, seed: int = 7
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Originals `[B, C, H, W]`, restored images `[B, M, C, H, W]`, labels `[B]`."""
    rng = torch.Generator().manual_seed(seed)
    for start in range(0, len(data.labels), _BATCH):
        images = torch.tensor(data.images[start : start + _BATCH]).to(device).float() / 255
        labels = torch.tensor(data.labels[start : start + _BATCH]).long().to(device)
        with torch.no_grad():
            restored = restorer(images, on_device(restorer.draw(len(images), rng), device))
        yield images, restored, labels


def eight_bit(images: Tensor) -> NDArray[np.uint8]:
    """Images in [0, 1] as uint8 of the same shape; a restorer's values beyond are clipped."""
    return (255 * images.clamp(0, 1)).round().byte().cpu().numpy()


def measure(
    restorer: Restorer,
    critics: Mapping[str, Critic],
    data: Labelled,
    device: torch.device,
    *,
    fidelity: Fidelity = squared_error,
    classifiers: Mapping[str, Classifier] | None = None,
) -> dict[str, Values]:
    """Measures by name, each `[M]`, on held-out images.

    mse and fidelity (the training's distortion); one Wasserstein-1 estimate for each of `critics`; sliced,
    the distance without a network, and its floor, the distance between two halves of the originals; change,
    the mean squared difference from the first model's images; detail, mean squared steps from pixel to pixel,
    and spread, the variance of pixels over the set, both relative to the originals'; and the error rate with
    each of `classifiers`.
    """
    sums: dict[str, Values] = {}
    drawn, originals = [], []
    directions = random_directions(int(np.prod(data.images.shape[1:])), _DIRECTIONS).to(device)
    rng = torch.Generator().manual_seed(11)
    moments, known = _Moments(), _Moments()
    for images, restored, labels in restorations(restorer, data, device):
        share = len(labels) / len(data.labels)
        for name, value in {
            "mse": squared_error(restored, images, labels),
            "fidelity": fidelity(restored, images, labels),
            "change": (restored - restored[:, :1]).square().flatten(2).mean((0, 2)),
            **_verdicts(critics, images, restored, rng),
            **_error_rates(classifiers or {}, restored, labels),
        }.items():
            sums[name] = sums.get(name, 0.0) + (share * value).detach().double().cpu().numpy()
        moments.add(restored)
        known.add(images[:, None])
        drawn.append(projections(restored, directions).cpu())
        originals.append(projections(images, directions).cpu())
    for name in critics:
        sums[name] = normalised(sums[name], sums.pop(f"{name} slope"))
    looks = {"detail": moments.detail() / known.detail(), "spread": moments.spread() / known.spread()}
    return {**sums, **looks, **_sliced(torch.cat(originals), torch.cat(drawn))}


class _Moments:
    """Sums over a set of images `[B, M, C, H, W]`, added batch by batch."""

    def __init__(self) -> None:
        self.count = 0
        self.first: Tensor | float = 0.0
        self.second: Tensor | float = 0.0
        self.steps: Tensor | float = 0.0

    def add(self, images: Tensor) -> None:
        """Add a batch."""
        x = images.double()
        self.count += len(x)
        self.first = self.first + x.sum(0)
        self.second = self.second + x.square().sum(0)
        across, down = x.diff(dim=4).square(), x.diff(dim=3).square()
        self.steps = self.steps + across.flatten(2).sum((0, 2)) + down.flatten(2).sum((0, 2))

    def detail(self) -> Values:
        """Squared steps from pixel to pixel, per image, `[M]`."""
        return torch.as_tensor(self.steps).cpu().numpy() / self.count

    def spread(self) -> Values:
        """The variance of a pixel over the set, mean over pixels, `[M]`."""
        mean, square = torch.as_tensor(self.first) / self.count, torch.as_tensor(self.second) / self.count
        return (square - mean.square()).flatten(1).mean(1).cpu().numpy()


def _verdicts(
    critics: Mapping[str, Critic], images: Tensor, restored: Tensor, rng: torch.Generator
) -> dict[str, Tensor]:
    """For each critic E f(x) − E f(x̂) `[M]`, and its mean slope at random places between the two."""
    found = {}
    for name, critic in critics.items():
        real = images[:, None].expand_as(restored)
        with torch.no_grad():
            found[name] = (critic(real) - critic(restored)).mean(0)
        place = torch.rand(len(images), generator=rng).to(images.device)
        found[f"{name} slope"] = gradient_norms(critic, images, restored, place).mean(0)
    return found


def _error_rates(
    classifiers: Mapping[str, Classifier], restored: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    found = {}
    for name, classifier in classifiers.items():
        answers = classifier(restored.flatten(0, 1)).argmax(1).unflatten(0, restored.shape[:2])
        found[f"error {name}"] = (answers != labels[:, None]).double().mean(0)
    return found


def _sliced(originals: Tensor, drawn: Tensor) -> dict[str, Values]:
    """Each model's distance without a network, from projections, and its floor."""
    models, rng = drawn.shape[1], torch.Generator().manual_seed(13)
    half = len(originals) // 2
    floors = []
    for _ in range(_HALVES):
        mixed = originals[torch.randperm(len(originals), generator=rng)]
        floors.append(sliced_wasserstein(mixed[:half], mixed[half : 2 * half]))
    return {
        "sliced": np.array([sliced_wasserstein(originals, drawn[:, m]) for m in range(models)]),
        "sliced floor": np.full(models, np.mean(floors)),
    }


def normalised(difference: Values, slope: Values) -> Values:
    """A critic's E f(x) − E f(x̂), divided by its mean slope: what a critic of slope 1 would say.

    The penalty is soft: for laws a distance d apart, the critic settles at slope 1 + d/(2·PENALTY), not at 1.
    """
    return difference / slope
