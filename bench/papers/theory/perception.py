"""Perception measures between laws on finite alphabets, as convex expressions for cvxpy.

Each takes the source's law p and the output's law q, an affine expression. It returns an expression for
d(p, q) that is convex in q, and the constraints that define it.
"""

from __future__ import annotations

from collections.abc import Callable

import cvxpy as cp
import numpy as np

Perception = Callable[[np.ndarray, cp.Expression], tuple[cp.Expression, list[cp.Constraint]]]


def total_variation(p: np.ndarray, q: cp.Expression) -> tuple[cp.Expression, list[cp.Constraint]]:
    """Total variation, sup |p(A) − q(A)|, in [0, 1].

    q may be longer than p: what is beyond lies off the source's alphabet.
    """
    return cp.sum(cp.pos(p - q[: len(p)])), []


def kullback_leibler(p: np.ndarray, q: cp.Expression) -> tuple[cp.Expression, list[cp.Constraint]]:
    """KL(p‖q) in nats, p > 0. q may be longer than p, as in `total_variation`.

    The ratios q/p, which are of order one, are a variable of their own: on relative entropies of small
    probabilities the solver stalls.
    """
    ratio = cp.Variable(len(p))
    return -p @ cp.log(ratio), [cp.multiply(p, ratio) == q[: len(p)]]


def jensen_shannon(p: np.ndarray, q: cp.Expression) -> tuple[cp.Expression, list[cp.Constraint]]:
    """Jensen-Shannon divergence in nats, in [0, ln 2]: mean KL of both laws to their mean.

    q may be longer than p, as in `total_variation`.
    """
    ratio = cp.Variable(len(p))  # as in `kullback_leibler`
    middle = (1 + ratio) / 2
    # What lies off the source's alphabet is twice its half in the mean of both laws.
    beyond = np.log(2) * cp.sum(q[len(p) :]) if q.size > len(p) else 0.0
    halves = -p @ cp.log(middle) + p @ cp.rel_entr(ratio, middle) + beyond
    return halves / 2, [cp.multiply(p, ratio) == q[: len(p)]]


def chi_squared(p: np.ndarray, q: cp.Expression) -> tuple[cp.Expression, list[cp.Constraint]]:
    """χ²(p‖q) = Σ (p − q)²/q = Σ p²/q − 1. q may be longer than p, as in `total_variation`."""
    ratio = cp.Variable(len(p))  # of order one, as in `kullback_leibler`
    return p @ cp.inv_pos(ratio) - 1, [cp.multiply(p, ratio) == q[: len(p)]]


def squared_hellinger(p: np.ndarray, q: cp.Expression) -> tuple[cp.Expression, list[cp.Constraint]]:
    """Squared Hellinger distance, 1 − Σ √(pq), in [0, 1]. q may be longer than p."""
    return 1 - np.sqrt(p) @ cp.sqrt(q[: len(p)]), []


def renyi_of_order_half(squared_hellinger: np.ndarray) -> np.ndarray:
    """Rényi divergence of order ½, −2 ln Σ √(pq), in nats: a rising function of H², so least where H² is.

    D_α(p‖q) = ln(Σ p^α q^(1 − α)) / (α − 1) is not an f-divergence, but it is convex in q for every order
    (van Erven & Harremoës, Rényi divergence and Kullback-Leibler divergence, 2014, theorem 12).
    """
    return -2 * np.log(1 - squared_hellinger)


def renyi_of_order_two(chi_squared: np.ndarray) -> np.ndarray:
    """Rényi divergence of order 2, ln Σ p²/q, in nats: a rising function of χ², so least where χ² is."""
    return np.log1p(chi_squared)


def transport(cost: np.ndarray) -> Perception:
    """The least mean cost of moving p to q: squared Wasserstein-2 where the cost is (x − x̂)².

    cost: float array [len(p), len(q)].
    """

    def measure(p: np.ndarray, q: cp.Expression) -> tuple[cp.Expression, list[cp.Constraint]]:
        plan = cp.Variable(cost.shape, nonneg=True)
        return cp.sum(cp.multiply(cost, plan)), [cp.sum(plan, axis=1) == p, cp.sum(plan, axis=0) == q]

    return measure
