"""Classifiers of small images, trained on originals and then frozen: three that see in different ways."""

from __future__ import annotations

import itertools
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.papers.wgan.data import Labelled
from rdpcodec.training.checkpoints.checkpoint import load_checkpoint, save_checkpoint

_CLASSES = 10


class Classifier(nn.Sequential):
    """Images `[B, C, H, W]` in [0, 1] → logits `[B, 10]`."""

    def features(self, images: Tensor) -> Tensor:
        """The second convolution's output, before its activation."""
        second = [number for number, layer in enumerate(self) if isinstance(layer, nn.Conv2d)][1]
        return self[: second + 1](images)


def convolutional(channels: int, side: int) -> Classifier:
    """Two strided convolutions, then fully connected layers: it knows where things are."""
    return Classifier(
        nn.Conv2d(channels, 32, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(64 * (side // 4) ** 2, 128),
        nn.ReLU(),
        nn.Dropout(0.4),
        nn.Linear(128, _CLASSES),
    )


def pooling(channels: int, side: int) -> Classifier:
    """Small normalised convolutions, and a mean over all places: it sees what is there, not where."""
    widths = (channels, 32, 64, 128)
    layers = [
        layer
        for a, b in itertools.pairwise(widths)
        for layer in (nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
    ]
    return Classifier(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], _CLASSES))


def enlarged(channels: int, side: int) -> Classifier:
    """The pooling one at another size: it sees images a seventh larger, 28×28 at 32×32, as CNN-2′ does."""
    return Classifier(
        nn.Upsample(size=side * 8 // 7, mode="bilinear", align_corners=False), *pooling(channels, side)
    )


# Two that see in different ways, as CNN-1 and CNN-2 of Liu, Zhang & Xiong (2019), and one at another size.
DESIGNS = {"convolutional": convolutional, "pooling": pooling, "enlarged": enlarged}


def train_classifier(
    design: str,
    data: Labelled,
    steps: int,
    device: torch.device,
    cache: Path | None = None,
    batch: int = 128,
) -> Classifier:
    """A frozen classifier of one of the `DESIGNS`, trained on `data` (Adam, one cycle), or read from `cache`.

    Images are shifted by up to two pixels, so that a small set lasts longer.
    """
    channels, side = data.images.shape[1:3]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DESIGNS[design](channels, side).to(device)
        if cache is not None and cache.exists():
            network.load_state_dict(load_checkpoint(cache, device))
        else:
            _fit(network, data, steps, device, batch)
            if cache is not None:
                cache.parent.mkdir(parents=True, exist_ok=True)
                save_checkpoint(cache, network.state_dict())
    return network.eval().requires_grad_(False)


def _fit(network: Classifier, data: Labelled, steps: int, device: torch.device, batch: int) -> None:
    images = torch.tensor(data.images).to(device)
    labels = torch.tensor(data.labels).long().to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(len(labels), (batch,)).to(device)
        across, down = torch.randint(-2, 3, (2,)).tolist()
        x = images[chosen].roll((down, across), (2, 3)).float() / 255
        optimiser.zero_grad()
        F.cross_entropy(network(x), labels[chosen]).backward()
        optimiser.step()
        cycle.step()


@torch.no_grad()
def error_rate(network: Classifier, data: Labelled, device: torch.device) -> float:
    """The share of images that a classifier gets wrong."""
    wrong = 0
    for start in range(0, len(data.labels), 500):
        x = torch.tensor(data.images[start : start + 500]).to(device).float() / 255
        labels = torch.tensor(data.labels[start : start + 500]).to(device)
        wrong += int((network(x).argmax(1) != labels).sum())
    return wrong / len(data.labels)
