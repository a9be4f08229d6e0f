"""SOAP: Adam in the slowly turning eigenbasis of Shampoo's preconditioner.

Vyas, Morwani, Zhao, Shapira, Brandfonbrener, Janson & Kakade, SOAP: Improving and Stabilizing Shampoo using
Adam, 2024 (algorithm 3). For matrices only; everything else is left to AdamW. The gradients' mean is kept in
the eigenbases, where it is needed, and turned with them: the same numbers for one product less a step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

BETAS = (0.95, 0.95)  # the paper's
# Longer sides are not turned: those of 512 and 768, next to the pixels and in the wide halves of the blocks,
# take more than half of the time.
LONGEST_SIDE = 400
EPSILON = 1e-8


class Soap(torch.optim.Optimizer):
    """SOAP for matrices `[m, n]`, each with its own eigenbases, of the sides that are not too long."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        *,
        frequency: int = 10,
        longest_side: int | None = None,
    ) -> None:
        """frequency: steps between two updates of a basis; those of different matrices fall on different
        steps. longest_side: longer sides are not turned, `LONGEST_SIDE` if not given.
        """
        longest_side = LONGEST_SIDE if longest_side is None else longest_side
        super().__init__(params, {"lr": lr, "frequency": frequency, "longest_side": longest_side})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step. The first only looks at the gradients, to find the bases."""
        for group in self.param_groups:
            for number, parameter in enumerate(group["params"]):
                if parameter.grad is None:
                    continue
                state, gradient = self.state[parameter], parameter.grad
                if not state:
                    self._start(state, gradient, group["longest_side"])
                    continue
                state["step"] += 1
                self._update(parameter, state, group["lr"])
                for side, covariance in state["covariance"].items():
                    covariance.lerp_(_covariance(gradient, side), 1 - BETAS[1])
                if (state["step"] + number) % group["frequency"] == 0:
                    _turn(state)

    @staticmethod
    def _start(state: dict[str, Any], gradient: Tensor, longest_side: int) -> None:
        sides = [side for side in (0, 1) if gradient.shape[side] <= longest_side]
        state["step"] = 0
        state["mean"] = torch.zeros_like(gradient)
        state["square"] = torch.zeros_like(gradient)
        state["covariance"] = {side: _covariance(gradient, side) * (1 - BETAS[1]) for side in sides}
        state["basis"] = {side: _eigenvectors(state["covariance"][side]) for side in sides}

    @staticmethod
    def _update(parameter: nn.Parameter, state: dict[str, Any], rate: float) -> None:
        assert parameter.grad is not None
        first, second = BETAS
        gradient = _into(state["basis"], parameter.grad)
        mean: Tensor = state["mean"].lerp_(gradient, 1 - first)
        square: Tensor = state["square"].lerp_(gradient.square(), 1 - second)
        correction = (1 - second ** state["step"]) ** 0.5 / (1 - first ** state["step"])
        update = mean / square.sqrt().add_(EPSILON)
        parameter.sub_(_out_of(state["basis"], update), alpha=rate * correction)


def _covariance(gradient: Tensor, side: int) -> Tensor:
    return gradient @ gradient.T if side == 0 else gradient.T @ gradient


def _eigenvectors(covariance: Tensor) -> Tensor:
    """Eigenvectors as columns, by falling eigenvalue."""
    # LAPACK's float32 solver returns NaN for covariances of very small gradients, around 1e-11.
    scaled = covariance.double() / covariance.abs().max().clamp_min(torch.finfo(covariance.dtype).tiny)
    return torch.linalg.eigh(scaled)[1].flip(1).to(covariance.dtype)


def _into(basis: dict[int, Tensor], x: Tensor) -> Tensor:
    """A matrix in its eigenbases."""
    x = basis[0].T @ x if 0 in basis else x
    return x @ basis[1] if 1 in basis else x


def _out_of(basis: dict[int, Tensor], x: Tensor) -> Tensor:
    """The inverse of `_into`."""
    x = basis[0] @ x if 0 in basis else x
    return x @ basis[1].T if 1 in basis else x


def _turn(state: dict[str, Any]) -> None:
    """One step of power iteration and a QR decomposition bring each basis closer to the eigenvectors."""
    mean = _out_of(state["basis"], state["mean"])
    for side, basis in state["basis"].items():
        product = state["covariance"][side] @ basis
        # By falling eigenvalue, as the next decomposition wants them; the squares move with their axes.
        order = (basis * product).sum(0).argsort(descending=True)
        state["square"] = state["square"].index_select(side, order)
        state["basis"][side] = torch.linalg.qr(product[:, order])[0]
    state["mean"] = _into(state["basis"], mean)
