"""SOAP: Adam in the slowly turning eigenbasis of Shampoo's preconditioner.

Vyas, Morwani, Zhao, Shapira, Brandfonbrener, Janson & Kakade, SOAP: Improving and Stabilizing Shampoo using
Adam, 2024 (algorithm 3). For matrices only; everything else is left to AdamW. The gradients' mean is kept in
the eigenbases, where it is needed, and turned with them: this saves one product a step for the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

BETAS = (0.95, 0.95)  # the paper's
# Longer sides are not turned: those of 512 and 768, next to the pixels and in the wide halves of the blocks,
# would take more than half of the time.
LONGEST_SIDE = 400
EPSILON = 1e-8


class Soap(torch.optim.Optimizer):
    """SOAP for matrices `[m, n]`, each with its own eigenbases for the sides that are not too long.

    Matrices of one shape are stacked and share their products, so that a GPU needs far fewer of them. The
    state of a stack `[k, m, n]` is stored with its first matrix.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        *,
        frequency: int = 10,
    ) -> None:
        """lr: the learning rate. frequency: steps between two updates of a basis; different stacks update
        theirs on different steps.
        """
        super().__init__(params, {"lr": lr, "frequency": frequency})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # torch's would also evaluate a loss
        """Take one step. The first only finds the bases from the gradients, and changes no weights."""
        for group in self.param_groups:
            for number, stack in enumerate(_stacks(group["params"])):
                state = self.state[stack[0]]
                gradient = torch.stack([p.grad for p in stack if p.grad is not None])
                if not state:
                    self._start(state, gradient)
                    continue
                state["step"] += 1
                update = _update(state, gradient)
                torch._foreach_add_(list[Tensor](stack), list(update.unbind()), alpha=-group["lr"])
                for side, covariance in state["covariance"].items():
                    covariance.lerp_(_covariance(gradient, side), 1 - BETAS[1])
                if (state["step"] + number) % group["frequency"] == 0:
                    _update_basis(state)

    @staticmethod
    def _start(state: dict[str, Any], gradient: Tensor) -> None:
        sides = [side for side in (0, 1) if gradient.shape[1 + side] <= LONGEST_SIDE]
        state["step"] = 0
        state["mean"] = torch.zeros_like(gradient)
        state["square"] = torch.zeros_like(gradient)
        state["covariance"] = {side: _covariance(gradient, side) * (1 - BETAS[1]) for side in sides}
        state["basis"] = {side: _eigenvectors(state["covariance"][side]) for side in sides}


def _stacks(parameters: list[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Parameters with a gradient, by shape."""
    stacks: dict[torch.Size, list[nn.Parameter]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            stacks.setdefault(parameter.shape, []).append(parameter)
    return list(stacks.values())


def _update(state: dict[str, Any], gradient: Tensor) -> Tensor:
    """What to subtract at a learning rate of one."""
    first, second = BETAS
    gradient = _project(state["basis"], gradient)
    mean: Tensor = state["mean"].lerp_(gradient, 1 - first)
    square: Tensor = state["square"].lerp_(gradient.square(), 1 - second)
    correction = (1 - second ** state["step"]) ** 0.5 / (1 - first ** state["step"])
    return _unproject(state["basis"], mean / square.sqrt().add_(EPSILON)).mul_(correction)


def _covariance(gradient: Tensor, side: int) -> Tensor:
    return gradient @ gradient.mT if side == 0 else gradient.mT @ gradient


def _eigenvectors(covariance: Tensor) -> Tensor:
    """Eigenvectors as columns, by falling eigenvalue."""
    # LAPACK's float32 solver returns NaN for covariances of very small gradients, around 1e-11.
    largest = covariance.abs().amax((1, 2), keepdim=True).clamp_min(torch.finfo(covariance.dtype).tiny)
    return torch.linalg.eigh(covariance.double() / largest)[1].flip(2).to(covariance.dtype)


def _project(basis: dict[int, Tensor], x: Tensor) -> Tensor:
    """Matrices in their eigenbases."""
    x = basis[0].mT @ x if 0 in basis else x
    return x @ basis[1] if 1 in basis else x


def _unproject(basis: dict[int, Tensor], x: Tensor) -> Tensor:
    """The inverse of `_project`."""
    x = basis[0] @ x if 0 in basis else x
    return x @ basis[1].mT if 1 in basis else x


def _update_basis(state: dict[str, Any]) -> None:
    """One step of power iteration and a QR decomposition bring each basis closer to the eigenvectors."""
    mean = _unproject(state["basis"], state["mean"])
    for side, basis in state["basis"].items():
        product = state["covariance"][side] @ basis
        # By falling eigenvalue, as the next decomposition needs them; the squares move with their axes.
        order = (basis * product).sum(1).argsort(1, descending=True)
        across = order[:, :, None] if side == 0 else order[:, None, :]
        state["square"] = state["square"].take_along_dim(across, 1 + side)
        product = product.take_along_dim(order[:, None, :], 2)
        state["basis"][side] = torch.linalg.qr(product)[0]
    state["mean"] = _project(state["basis"], mean)
