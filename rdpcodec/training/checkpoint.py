"""Checkpoints: written whole or not at all, and enough to go on exactly where a run stopped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path` atomically: a reader sees the old file or the new one, never half of one."""
    partial = path.with_name(path.name + ".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint of `save_checkpoint`. Only tensors and plain values are loaded, never code."""
    return torch.load(path, map_location=device, weights_only=True)  # type: ignore[no-any-return]


class ExponentialAverage:
    """Exponential moving average of a module's parameters; early steps are averaged over a shorter window."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.values = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: torch.nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        names, parameters = zip(*module.named_parameters(), strict=True)
        averages = [self.values[name] for name in names]
        torch._foreach_lerp_(averages, [p.detach() for p in parameters], 1 - decay)

    @torch.no_grad()
    def copy_to(self, module: torch.nn.Module) -> None:
        for name, parameter in module.named_parameters():
            parameter.copy_(self.values[name])
