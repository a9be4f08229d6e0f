"""The adversarial loop: a group of models with their critics, and checkpoints that go on exactly.

Loss of each model: fidelity + weight · Wasserstein distance, the latter estimated by its critic (WGAN-GP,
Gulrajani et al. 2017). What restores and what fidelity means are the caller's.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from bench.papers.wgan.critic import Critic, gradient_norms, penalty
from bench.papers.wgan.data import Labelled
from bench.papers.wgan.networks import for_each
from rdpcodec.errors import UsageError
from rdpcodec.training.checkpoint import load_checkpoint, save_checkpoint
from rdpcodec.training.data import to_device

# A killed run loses at most this, and what it takes to start.
_SECONDS_BETWEEN_CHECKPOINTS = 120.0


@dataclass(frozen=True)
class Draw:
    """The randomness of one batch, the same for all models, so that their differences are paired.

    noise: what the restorer asked for. weight: of perception, `[B, M]` or `[1, M]`. condition: the features
    that tell a conditioned network its weight, `[B, M, F]`.
    """

    noise: tuple[Tensor, ...]
    weight: Tensor
    condition: Tensor | None = None


CPU = torch.device("cpu")


class Restorer(Protocol):
    """M models that give images back. `draw` runs on the CPU, so that all devices draw alike."""

    def draw(self, batch: int, rng: torch.Generator) -> Draw: ...

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        """Images `[B, C, H, W]` in [0, 1] → restored, `[B, M, C, H, W]`."""

    def parameters(self) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


# Restored images [B, M, C, H, W], originals [B, C, H, W], labels [B] → [M], the mean over the batch.
Fidelity = Callable[[Tensor, Tensor, Tensor], Tensor]


def squared_error(restored: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error of each model, `[M]`, pixels in [0, 1]."""
    return (restored - images[:, None]).square().flatten(2).mean((0, 2))


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn. rate: Adam's, falling to 0 over the second half."""

    steps: int
    batch: int = 64
    rate: float = 1e-3
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """The learning rate of a step."""
        return self.rate * min(1.0, 2 * (1 - step / self.steps))


class Training:
    """One group in training. Without trainable parameters in the restorer, only the critics learn."""

    def __init__(
        self,
        restorer: Restorer,
        critic: Critic,
        data: Labelled,
        schedule: Schedule,
        *,
        fidelity: Fidelity = squared_error,
        on_features: bool = False,
        device: torch.device = CPU,
    ) -> None:
        """on_features: perception is the distance of mean features in the critic's last hidden layer, instead
        of the critic's estimate.
        """
        self.restorer, self.critic = restorer, critic
        self.schedule, self.fidelity, self.on_features = schedule, fidelity, on_features
        self.device = device
        self.images = torch.tensor(data.images).to(device)
        self.labels = torch.tensor(data.labels).long().to(device)
        self.rng = torch.Generator().manual_seed(schedule.seed)
        self.learned = [p for p in restorer.parameters() if p.requires_grad]
        self.optimisers = [
            torch.optim.Adam(parameters, lr=schedule.rate, betas=(0.5, 0.9), fused=True)
            for parameters in (self.learned, list(critic.parameters()))
            if parameters
        ]
        self.done = 0

    def run(self, checkpoint: Path | None = None, report: Callable[[int], None] = lambda step: None) -> None:
        """Train to the end, from where the checkpoint stands if there is one."""
        if checkpoint is not None and checkpoint.exists():
            self.load(checkpoint)
        saved = time.monotonic()
        while self.done < self.schedule.steps:
            self.step()
            report(self.done)
            late = time.monotonic() - saved > _SECONDS_BETWEEN_CHECKPOINTS
            if checkpoint is not None and (late or self.done == self.schedule.steps):
                self.save(checkpoint)
                saved = time.monotonic()

    def step(self) -> None:
        """One batch: models and critics both learn from the same pass."""
        size = self.schedule.batch
        chosen = to_device(torch.randint(len(self.images), (size,), generator=self.rng), self.device)
        place = to_device(torch.rand(size, generator=self.rng), self.device)
        draw = on_device(self.restorer.draw(size, self.rng), self.device)
        images, labels = self.images[chosen].float() / 255, self.labels[chosen]
        with torch.set_grad_enabled(bool(self.learned)):
            restored = self.restorer(images, draw)
        fake = restored.detach().requires_grad_()

        features = self.critic.features(fake, draw.condition)
        real_features = self.critic.features(for_each(fake.shape[1], images), draw.condition)
        fakes, real = self.critic.score(features), self.critic.score(real_features)
        # ∂/∂fake of each sample's part in the estimate E f(x) − E f(x̂), a mean over the batch.
        if self.on_features:
            distance = (real_features.detach().mean(0) - features.mean(0)).norm(dim=1)
            (slope,) = torch.autograd.grad(distance.sum(), fake, retain_graph=True)
        norms = gradient_norms(self.critic, images, fake, place, draw.condition)
        critic_loss = (fakes.mean(0) - real.mean(0) + penalty(norms)).sum()
        parameters = list(self.critic.parameters())
        *gradients, rise = torch.autograd.grad(critic_loss, [*parameters, fake])
        _assign(parameters, gradients)
        if not self.on_features:
            slope = -rise

        if self.learned:
            weighted = draw.weight[:, :, None, None, None] * slope
            loss = self.fidelity(restored, images, labels).sum() + (weighted * restored).sum()
            _assign(self.learned, torch.autograd.grad(loss, self.learned))
        for optimiser in self.optimisers:
            optimiser.param_groups[0]["lr"] = self.schedule.rate_at(self.done)
            optimiser.step()
        self.done += 1

    def save(self, path: Path) -> None:
        """Write everything that the next step depends on, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(
            path,
            {
                "schedule": asdict(self.schedule),
                "done": self.done,
                "restorer": self.restorer.state_dict(),
                "critic": self.critic.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
                "rng": self.rng.get_state(),
            },
        )

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote. Raises `UsageError` where it is of another run, or damaged."""
        try:
            state = load_checkpoint(path, self.device)
            if state["schedule"] != asdict(self.schedule):
                raise UsageError(f"{path}: is of another schedule, {state['schedule']}; remove it")
            self.restorer.load_state_dict(state["restorer"])
            self.critic.load_state_dict(state["critic"])
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
            self.rng.set_state(state["rng"].cpu())
            self.done = state["done"]
        except (OSError, RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"{path}: not a checkpoint of this run: {error}; remove it") from error


def on_device(draw: Draw, device: torch.device) -> Draw:
    """The same draw where the networks are."""
    condition = None if draw.condition is None else to_device(draw.condition, device)
    return Draw(
        tuple(to_device(part, device) for part in draw.noise), to_device(draw.weight, device), condition
    )


def _assign(parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    """Hand gradients to the optimiser, laid out as the parameters are.

    The fused Adam of the CPU reads memory in order: a transposed gradient, as batched products return it,
    would reach the wrong weights.
    """
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.contiguous()
