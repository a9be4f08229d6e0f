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

    Written with the ratios q/p, which are of order one, as a variable of their own: on relative entropies of
    small probabilities the solver stalls.
    """
    ratio = cp.Variable(len(p))
    return -p @ cp.log(ratio), [cp.multiply(p, ratio) == q[: len(p)]]


def transport(cost: np.ndarray) -> Perception:
    """The least mean cost of moving p to q: squared Wasserstein-2 where the cost is (x − x̂)².

    cost: float array [len(p), len(q)].
    """

    def measure(p: np.ndarray, q: cp.Expression) -> tuple[cp.Expression, list[cp.Constraint]]:
        plan = cp.Variable(cost.shape, nonneg=True)
        return cp.sum(cp.multiply(cost, plan)), [cp.sum(plan, axis=1) == p, cp.sum(plan, axis=0) == q]

    return measure
