from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from rdpcodec.training.descent import soap
from rdpcodec.training.descent.soap import BETAS, EPSILON, Soap


def orthogonal(size: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, size, generator=generator))[0]


def steps(parameter: nn.Parameter, optimizer: torch.optim.Optimizer, gradients: list[Tensor]) -> None:
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()


def random_gradients(shape: tuple[int, int], count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(shape, generator=generator) for _ in range(count)]


def test_without_bases_it_is_adam_after_the_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soap, "LONGEST_SIDE", 0)
    ours, adams = nn.Parameter(torch.ones(6, 4)), nn.Parameter(torch.ones(6, 4))
    gradients = random_gradients((6, 4), 12)
    steps(ours, Soap([ours], lr=0.1), gradients)
    # Adam adds its epsilon after correcting the squares, a difference of the order of epsilon.
    steps(adams, torch.optim.Adam([adams], lr=0.1, betas=BETAS, eps=EPSILON), gradients[1:])
    assert torch.allclose(ours, adams, atol=1e-5)


def test_turning_the_problem_turns_the_steps() -> None:
    """Adam depends on the axes that a matrix is written in; SOAP on both sides does not."""
    left, right = orthogonal(6, 1), orthogonal(5, 2)
    plain, turned = nn.Parameter(torch.zeros(6, 5)), nn.Parameter(torch.zeros(6, 5))
    gradients = random_gradients((6, 5), 8)
    steps(plain, Soap([plain], lr=0.1, frequency=100), gradients)
    steps(turned, Soap([turned], lr=0.1, frequency=100), [left @ g @ right for g in gradients])
    assert torch.allclose(left @ plain @ right, turned, atol=1e-3)


@pytest.mark.parametrize("longest_side", [8, 6])
def test_it_beats_adam_where_the_axes_are_wrong(longest_side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soap, "LONGEST_SIDE", longest_side)
    scales = torch.logspace(0, 3, 6)
    curvature = orthogonal(6, 3) @ torch.diag(scales) @ orthogonal(6, 3).T
    target = random_gradients((8, 6), 1)[0]

    def final_loss(make: type[torch.optim.Optimizer]) -> float:
        weight = nn.Parameter(torch.zeros(8, 6))
        optimizer = make([weight], lr=0.03)
        generator = torch.Generator().manual_seed(0)
        for step in range(300):
            for group in optimizer.param_groups:
                group["lr"] = 0.03 * (1 - step / 300)
            x = torch.randn(32, 8, generator=generator)
            difference = x @ (weight - target)
            loss = (difference @ curvature * difference).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    assert final_loss(Soap) < 0.5 * final_loss(torch.optim.Adam)


def test_bases_stay_orthogonal_and_states_survive_a_copy() -> None:
    weight = nn.Parameter(torch.zeros(6, 5))
    optimizer = Soap([weight], lr=0.1, frequency=3)
    gradients = random_gradients((6, 5), 30)
    steps(weight, optimizer, gradients[:20])
    for basis in optimizer.state[weight]["basis"].values():
        assert torch.allclose(basis.mT @ basis, torch.eye(basis.shape[1]), atol=1e-5)
    other = nn.Parameter(weight.detach().clone())
    resumed = Soap([other], lr=0.1, frequency=3)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    steps(weight, optimizer, gradients[20:])
    steps(other, resumed, gradients[20:])
    assert torch.equal(weight, other)


@pytest.mark.parametrize("size", [1e-6, 1e-15, 0.0])
def test_tiny_gradients_make_no_nan(size: float) -> None:
    weight = nn.Parameter(torch.zeros(96, 96))
    gradients = [size * g for g in random_gradients((96, 96), 12)]
    for gradient in gradients:
        gradient[10:, :] *= 1e-10
        gradient[:, 20:] = 0
    optimizer = Soap([weight], lr=0.1, frequency=3)
    steps(weight, optimizer, gradients)
    assert torch.isfinite(weight).all()
    assert all(torch.isfinite(basis).all() for basis in optimizer.state[weight]["basis"].values())
