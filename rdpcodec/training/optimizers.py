"""The optimizers that all trainings share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer

from rdpcodec.model.rate import RateGain
from rdpcodec.training.soap import Soap

BETAS = (0.9, 0.98)
# Gains and densities are few, see every pixel and live in the log domain: they can and should move faster.
FAST_PARAMETERS = 5.0
# Steps between two turns of SOAP's bases. A GPU does their decompositions badly: on an H200 those of all
# matrices take as long as three steps.
TURN_EVERY, TURN_EVERY_ON_GPU = 10, 25


def build_optimizers(module: nn.Module, rate: float, fast: Iterable[nn.Parameter] = ()) -> list[Optimizer]:
    """SOAP for the matrices of a module's networks, AdamW for everything else in it.

    rate: the peak learning rate; gains and the parameters in `fast` learn at `FAST_PARAMETERS` times it.
    """
    fast_parameters = [
        p for part in module.modules() if isinstance(part, RateGain) for p in part.parameters()
    ]
    fast_parameters += fast
    seen = {id(p) for p in fast_parameters}
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if id(parameter) not in seen:
            turned = parameter.ndim == 2 and name.endswith("weight")
            (matrices if turned else rest).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": rest},
        {"params": fast_parameters, "lr": rate * FAST_PARAMETERS},
    ]
    adamw = AdamW(groups, lr=rate, betas=BETAS, weight_decay=0.0, foreach=True)
    if not matrices:
        return [adamw]
    frequency = TURN_EVERY_ON_GPU if matrices[0].is_cuda else TURN_EVERY
    return [adamw, Soap(matrices, rate, frequency=frequency)]
