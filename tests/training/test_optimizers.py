"""What all training runs share: the rates at which parameters learn, and the clipping of gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from short_runs import CPU, run_of

from rdpcodec.model.rate import RateGain
from rdpcodec.training.descent.optimizers import clip_gradients
from rdpcodec.training.objectives.fidelity import Fidelity


def test_gains_and_densities_learn_five_times_as_fast(image_folder: Path, small_model: Path) -> None:
    objective = Fidelity(run_of(1, learning_rate=1e-3), image_folder, CPU, init=small_model)
    model = objective.model
    groups = [group for optimizer in objective.optimizers for group in optimizer.param_groups]
    rates = {parameter: group["lr"] for group in groups for parameter in group["params"]}
    gains = [module for module in model.modules() if isinstance(module, RateGain)]
    assert gains
    quick = (*gains, model.hyper_prior, model.residual_density)
    fast = {parameter for module in quick for parameter in module.parameters()}
    found = {name: rates[parameter] for name, parameter in model.named_parameters()}
    expected = {name: 5e-3 if parameter in fast else 1e-3 for name, parameter in model.named_parameters()}
    assert found == pytest.approx(expected)


def test_gradients_are_clipped_to_a_norm_of_one_together_and_their_norm_before_is_told() -> None:
    layer = torch.nn.Linear(3, 2)
    directions = [torch.randn_like(parameter) for parameter in layer.parameters()]
    norm = torch.cat([direction.flatten() for direction in directions]).norm()
    for size, left in ((100.0, 1.0), (0.5, 0.5)):
        for parameter, direction in zip(layer.parameters(), directions, strict=True):
            parameter.grad = direction * (size / norm)
        assert float(clip_gradients(layer)) == pytest.approx(size)
        for parameter, direction in zip(layer.parameters(), directions, strict=True):
            torch.testing.assert_close(parameter.grad, direction * (left / norm))
