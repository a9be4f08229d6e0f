"""What a trained group is worth on images it has not seen: distortion, perception, errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.papers.wgan.classifier import Classifier
from bench.papers.wgan.critic import (
    Critic,
    gradient_norms,
    projections,
    random_directions,
    sliced_wasserstein,
)
from bench.papers.wgan.data import Labelled
from bench.papers.wgan.train import (
    Fidelity,
    Restorer,
    Schedule,
    Training,
    on_device,
    squared_error,
)

_BATCH = 250
Values = NDArray[np.float64]


def fresh_critics(
    restorer: Restorer,
    models: int,
    data: Labelled,
    schedule: Schedule,
    device: torch.device,
    checkpoint: Path | None = None,
) -> Critic:
    """Critics that only measure: trained from nothing against models that no longer change.

    A critic that learned beside its model lags behind it, and by more where the model listened more.
    """
    _, *shape = data.pictures.shape
    rng = torch.Generator().manual_seed(schedule.seed + 1)
    critic = Critic(models, (shape[0], shape[1], shape[2]), rng).to(device)
    Training(restorer, critic, data, schedule, device=device).run(checkpoint)
    return critic


def restorations(
    restorer: Restorer, data: Labelled, device: torch.device, seed: int = 7
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Originals `[B, C, H, W]`, what becomes of them `[B, M, C, H, W]`, labels `[B]`."""
    rng = torch.Generator().manual_seed(seed)
    for start in range(0, len(data.labels), _BATCH):
        pictures = torch.tensor(data.pictures[start : start + _BATCH]).to(device).float() / 255
        labels = torch.tensor(data.labels[start : start + _BATCH]).long().to(device)
        with torch.no_grad():
            restored = restorer(pictures, on_device(restorer.draw(len(pictures), rng), device))
        yield pictures, restored, labels


def measure(
    restorer: Restorer,
    critics: Mapping[str, Critic],
    data: Labelled,
    device: torch.device,
    *,
    fidelity: Fidelity = squared_error,
    classifiers: Mapping[str, Classifier] | None = None,
) -> dict[str, Values]:
    """By name `[M]`, on held-out images.

    mse and fidelity (the training's distortion); one Wasserstein-1 estimate for each of `critics`; sliced,
    the distance without a network, and its floor: what two halves of the originals have; change, the mean
    squared difference from the first model's images; and the error rate with each of `classifiers`.
    """
    sums: dict[str, Values] = {}
    drawn, originals = [], []
    directions = random_directions(int(np.prod(data.pictures.shape[1:]))).to(device)
    rng = torch.Generator().manual_seed(11)

    def add(name: str, value: Tensor) -> None:
        sums[name] = sums.get(name, 0.0) + value.detach().double().cpu().numpy()

    for pictures, restored, labels in restorations(restorer, data, device):
        share = len(labels) / len(data.labels)
        add("mse", share * squared_error(restored, pictures, labels))
        add("fidelity", share * fidelity(restored, pictures, labels))
        add("change", share * (restored - restored[:, :1]).square().flatten(2).mean((0, 2)))
        for name, critic in critics.items():
            real = pictures[:, None].expand_as(restored)
            with torch.no_grad():
                add(name, share * (critic(real) - critic(restored)).mean(0))
            place = torch.rand(len(labels), generator=rng).to(device)
            add(f"{name} slope", share * gradient_norms(critic, pictures, restored, place).mean(0))
        for name, classifier in (classifiers or {}).items():
            answers = classifier(restored.flatten(0, 1)).argmax(1).unflatten(0, restored.shape[:2])
            add(f"error {name}", share * (answers != labels[:, None]).double().mean(0))
        drawn.append(projections(restored, directions).cpu())
        originals.append(projections(pictures, directions).cpu())
    for name in critics:
        sums[name] = normalised(sums[name], sums.pop(f"{name} slope"))
    first, second = torch.cat(originals), torch.cat(drawn)
    half = len(first) // 2
    sums["sliced"] = np.array([sliced_wasserstein(first, second[:, m]) for m in range(second.shape[1])])
    floor = sliced_wasserstein(first[:half], first[half : 2 * half])
    return {**sums, "sliced floor": np.full(second.shape[1], floor)}


def normalised(difference: Values, slope: Values) -> Values:
    """A critic's E f(x) − E f(x̂), divided by its mean slope: what one of slope 1 would say.

    The penalty is soft: between laws a distance d apart it settles at slope 1 + d/(2·PENALTY), not at 1.
    """
    return difference / slope
