"""The average of the weights over training, which is what is validated and released."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

DECAY = 0.999


class WeightAverage(AveragedModel):
    """Exponential moving average of a module's parameters; early steps are averaged over a shorter window.

    `module` is a copy with the averaged weights; `update_parameters` takes a step.
    """

    def __init__(self, module: nn.Module) -> None:
        def average(averages: Any, current: Any, _: Tensor | int) -> None:
            # The counter that is passed in may be on a GPU, and reading it would wait for the GPU.
            decay = min(DECAY, (1 + int(self.n_averaged)) / (10 + int(self.n_averaged)))
            torch._foreach_lerp_(averages, current, 1 - decay)

        super().__init__(module, multi_avg_fn=average)
        self.requires_grad_(False)
        # Not 0: then the first update would replace the starting weights, which are the first value.
        self.n_averaged.fill_(1)

    @property
    def values(self) -> dict[str, Tensor]:
        """The averaged parameters by name, for a checkpoint."""
        return {name: parameter.detach() for name, parameter in self.module.named_parameters()}

    @property
    def steps(self) -> int:
        """The number of updates so far."""
        return int(self.n_averaged) - 1

    def load(self, values: dict[str, Tensor], steps: int) -> None:
        """Go on from `values` after `steps` updates."""
        self.module.load_state_dict(values, strict=False)
        self.n_averaged.fill_(steps + 1)
