"""The adversarial loop: a group of models with their critics, and checkpoints from which it goes on exactly.

Loss of each model: fidelity + weight · Wasserstein distance, the latter estimated by its critic (WGAN-GP,
Gulrajani et al. 2017). The caller chooses the restorer and the fidelity.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from bench.papers.wgan.critic import Critic, Layer
from bench.papers.wgan.critic_gradients import add_gradients
from bench.papers.wgan.data import Labelled
from bench.papers.wgan.networks import for_each
from rdpcodec.errors import UsageError
from rdpcodec.training.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from rdpcodec.training.images.image_set import to_device

# A killed run loses at most this time, and the time to start.
_SECONDS_BETWEEN_CHECKPOINTS = 120.0


@dataclass(frozen=True)
class Draw:
    """The randomness of one batch, the same for all models, so that their differences are paired.

    noise: what the restorer asked for. weight: that of perception, `[B, M]` or `[1, M]`. condition: the
    features that tell a conditioned network its weight, `[B, M, F]`.
    """

    noise: tuple[Tensor, ...]
    weight: Tensor
    condition: Tensor | None = None


CPU = torch.device("cpu")


class Restorer(Protocol):
    """M models that restore images. `draw` runs on the CPU, so that all devices draw the same."""

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
    """How long and how fast to learn.

    steps: of the models; turns: a critic's steps for each of these, every one on its own batch; rate: Adam's,
    falling to 0 over the second half. With one turn, critics lag behind models that listen to them.
    """

    steps: int
    batch: int = 64
    rate: float = 1e-3
    seed: int = 0
    turns: int = 5

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
        layer: Layer | None = None,
        precision: torch.dtype = torch.float32,
        device: torch.device = CPU,
    ) -> None:
        """layer: perception is the distance between mean features there, instead of the critic's estimate.
        precision: of critics' products while they learn.
        """
        self.restorer, self.critic = restorer, critic
        self.schedule, self.fidelity, self.layer = schedule, fidelity, layer
        self.precision, self.device = precision, device
        self.images = torch.tensor(data.images).to(device)
        self.labels = torch.tensor(data.labels).long().to(device)
        self.rng = torch.Generator().manual_seed(schedule.seed)
        self.learned = [p for p in restorer.parameters() if p.requires_grad]
        groups = [group for group in (self.learned, list(critic.parameters())) if group]
        self.optimisers = [
            torch.optim.Adam(group, lr=schedule.rate, betas=(0.5, 0.9), fused=True) for group in groups
        ]
        self.done = 0

    def run(
        self,
        checkpoint: Path | None = None,
        report: Callable[[int], None] = lambda step: None,
        until: int | None = None,
    ) -> None:
        """Train to the end, or until a step; continue from the checkpoint if that is further."""
        if checkpoint is not None and self.done == 0 and checkpoint.exists():
            self.load(checkpoint)
        end = self.schedule.steps if until is None else until
        saved = time.monotonic()
        while self.done < end:
            self.step()
            report(self.done)
            late = time.monotonic() - saved > _SECONDS_BETWEEN_CHECKPOINTS
            if checkpoint is not None and (late or self.done == end):
                self.save(checkpoint)
                saved = time.monotonic()

    def step(self) -> None:
        """The critics' turns; in the last one models learn too, from the same pass."""
        if self.learned:
            for _ in range(self.schedule.turns - 1):
                self._turn(learn=False)
        self._turn(learn=bool(self.learned))
        self.done += 1

    def _turn(self, learn: bool) -> None:
        """One batch. learn: whether the models learn too."""
        size = self.schedule.batch
        chosen = to_device(torch.randint(len(self.images), (size,), generator=self.rng), self.device)
        place = to_device(torch.rand(size, generator=self.rng), self.device)
        draw = on_device(self.restorer.draw(size, self.rng), self.device)
        images, labels = self.images[chosen].float() / 255, self.labels[chosen]
        with torch.set_grad_enabled(learn):
            restored = self.restorer(images, draw)
        fake = restored.detach()
        slope = self._slope(images, fake, draw.condition) if learn and self.layer else None
        rise = add_gradients(self.critic, images, fake, place, draw.condition, self.precision)
        if learn:
            weighted = draw.weight[:, :, None, None, None] * (-rise if slope is None else slope)
            loss = self.fidelity(restored, images, labels).sum() + (weighted * restored).sum()
            _assign(self.learned, torch.autograd.grad(loss, self.learned))
        for optimiser in self.optimisers if learn else self.optimisers[-1:]:
            optimiser.param_groups[0]["lr"] = self.schedule.rate_at(self.done)
            optimiser.step()

    def _slope(self, images: Tensor, fake: Tensor, condition: Tensor | None) -> Tensor:
        """∂/∂fake of the distance between mean features of originals and of `fake`."""
        assert self.layer is not None
        with torch.no_grad():
            known = self.critic.layers(for_each(fake.shape[1], images), condition)[self.layer].mean(0)
        with torch.enable_grad():
            fake = fake.detach().requires_grad_()
            apart = known - self.critic.layers(fake, condition)[self.layer].mean(0)
            (slope,) = torch.autograd.grad(apart.flatten(1).norm(dim=1).sum(), fake)
        return slope

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
        """Continue from what `save` wrote. Raises `UsageError` if it is from another run, or damaged."""
        try:
            state = load_checkpoint(path, self.device)
        except UsageError as error:
            raise UsageError(f"not a checkpoint of this run: {error}; remove it") from error
        try:
            if state["schedule"] != asdict(self.schedule):
                raise UsageError(f"{path}: is of another schedule, {state['schedule']}; remove it")
            self.restorer.load_state_dict(state["restorer"])
            self.critic.load_state_dict(state["critic"])
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
            self.rng.set_state(state["rng"].cpu())
            self.done = state["done"]
        except (RuntimeError, KeyError, ValueError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"{path}: not a checkpoint of this run: {error}; remove it") from error


def on_device(draw: Draw, device: torch.device) -> Draw:
    """The same draw on the device of the networks."""
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
