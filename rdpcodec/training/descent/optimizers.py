"""The optimizers that all training runs share, and their steps: SOAP for the matrices of the networks, AdamW
for the rest.

AdamW and Muon for the matrices were compared and lost (bench/experiments/2026-11-optimisers).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from rdpcodec.model.rate import RateGain
from rdpcodec.training.descent.schedule import scale_learning_rates
from rdpcodec.training.descent.soap import Soap

BETAS = (0.9, 0.98)
# Gains and densities are few, see every pixel and live in the log domain: they can and should move faster.
FAST_PARAMETERS = 5.0
GRADIENT_CLIP = 1.0
# Steps between two updates of SOAP's bases. Their decompositions are slow on a GPU: on an H200, those of all
# matrices take as long as three steps.
UPDATE_EVERY, UPDATE_EVERY_ON_GPU = 10, 25


def build_optimizers(
    module: nn.Module, learning_rate: float, fast: Iterable[nn.Parameter] = ()
) -> list[Optimizer]:
    """Make the two optimizers for all parameters of `module`.

    learning_rate: at its peak. Gains and the parameters in `fast` learn at `FAST_PARAMETERS` times this rate.
    """
    fast_parameters = [
        p for part in module.modules() if isinstance(part, RateGain) for p in part.parameters()
    ]
    fast_parameters += fast
    taken = {id(p) for p in fast_parameters}
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if id(parameter) not in taken:
            is_matrix = parameter.ndim == 2 and name.endswith("weight")
            (matrices if is_matrix else rest).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": rest},
        {"params": fast_parameters, "lr": learning_rate * FAST_PARAMETERS},
    ]
    adamw = AdamW(groups, lr=learning_rate, betas=BETAS, weight_decay=0.0, foreach=True)
    frequency = UPDATE_EVERY_ON_GPU if matrices[0].is_cuda else UPDATE_EVERY
    return [adamw, Soap(matrices, learning_rate, frequency=frequency)]


def clip_gradients(module: nn.Module) -> Tensor:
    """Clip the gradients of a module to `GRADIENT_CLIP` together. Returns their norm before."""
    return nn.utils.clip_grad_norm_(module.parameters(), GRADIENT_CLIP, foreach=True)


def take_step(optimizers: Iterable[Optimizer], factor: float) -> None:
    """Take a step along the gradients, at the peak learning rates times `factor`."""
    for optimizer in optimizers:
        scale_learning_rates(optimizer, factor)
        optimizer.step()


def load_states(optimizers: Iterable[Optimizer], states: Iterable[dict[str, Any]]) -> None:
    """Go on from the states of equal optimizers. Raises `ValueError` when their numbers differ."""
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict(state)
