"""Blau & Michaeli, The Perception-Distortion Tradeoff (CVPR 2018): the example of a discrete source in noise.

X ∈ {−1, 0, 1} with P(X = ±1) = p, seen as Y = X + N with N ~ N(0, 1). Given Y, an estimator draws X̂ from
p(x̂|y), independently of X. Its distortion is E(X − X̂)², its perception a distance between the laws of X and
X̂, and

    P(D) = min d(p_X, p_X̂)  over  p(x̂|y)  with  E(X − X̂)² ≤ D.

Everything is in closed form or one-dimensional quadrature except P(D) itself, a convex program on Y cut into
cells. An estimator that sees only the cell is also one that sees Y, so the programs bound P(D) from above;
the cells' own MMSE, which `cells_mmse` gives, exceeds the true one by what the cutting costs.
"""

from __future__ import annotations

from collections.abc import Callable

import cvxpy as cp
import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from bench.papers.theory.perception import Perception

SUPPORT = np.array([-1.0, 0.0, 1.0])
# Y beyond this is cut no further: less than 2·10⁻⁴ of it is left there.
_OUTERMOST = 4.5
# Integrals over Y end here, where its density is below 10⁻²⁶.
_BEYOND = 12.0


def priors(p: float) -> np.ndarray:
    """The law of X on −1, 0, 1. p: P(X = 1) = P(X = −1), in (0, 1/2]."""
    if not 0 < p <= 0.5:
        raise ValueError(f"P(X = ±1) is {p}; it lies in (0, 0.5]")
    return np.array([p, 1 - 2 * p, p])


def posterior(y: np.ndarray, p: float) -> np.ndarray:
    """P(X = x | Y = y). y: float array [n] → float array [3, n]."""
    joint = priors(p)[:, None] * norm.pdf(np.asarray(y) - SUPPORT[:, None])
    return joint / joint.sum(axis=0)


def density(y: np.ndarray, p: float) -> np.ndarray:
    """The density of Y."""
    return priors(p) @ norm.pdf(np.asarray(y) - SUPPORT[:, None])


def mmse_estimate(y: np.ndarray, p: float) -> np.ndarray:
    """E[X | Y = y], the estimate of least mean squared error."""
    return SUPPORT @ posterior(y, p)


def map_threshold(p: float) -> float:
    """The y above which X = 1 is the likeliest: ½ + ln(p₀/p), or 0 where X = 0 never is."""
    zero = priors(p)[1]
    return max(0.5 + float(np.log(zero / p)), 0.0) if zero else 0.0


def never_zero() -> float:
    """The P(X = ±1) above which the likeliest value is never 0, 1/(2 + e^(−1/2))."""
    return float(1 / (2 + np.exp(-0.5)))


def map_law(p: float) -> np.ndarray:
    """The law of the maximum a posteriori estimate on −1, 0, 1."""
    return _threshold_law(map_threshold(p), p).sum(axis=0)


def map_mse(p: float) -> float:
    """E(X − X̂)² of the maximum a posteriori estimate."""
    return _threshold_mse(map_threshold(p), p)


def mmse_density(x: np.ndarray, p: float) -> np.ndarray:
    """The density of E[X|Y] at x ∈ (−1, 1): p_Y(y) / Var[X|y] at the y with E[X|y] = x.

    With unit noise the posterior mean's derivative is the posterior variance (Tweedie); y is the logarithm of
    the positive root of a(1 − x)u² − p₀xu − a(1 + x) = 0, where a = p·e^(−1/2).
    """
    x = np.asarray(x)
    zero, a = priors(p)[1], p * np.exp(-0.5)
    u = (zero * x + np.sqrt((zero * x) ** 2 + 4 * a**2 * (1 - x**2))) / (2 * a * (1 - x))
    y = np.log(u)
    return density(y, p) / _posterior_variance(y, p)


def mmse(p: float) -> float:
    """The least mean squared error, E Var[X|Y]."""
    return _mean(lambda y: _posterior_variance(y, p), p)


def posterior_sampling_mse(p: float) -> float:
    """E(X − X̂)² where X̂ is drawn from p(x|y): the two are independent given Y and have the same law.

    It is summed over both, without using the identity 2·MMSE that it is meant to show.
    """
    squares = (SUPPORT[:, None] - SUPPORT) ** 2
    return _mean(lambda y: np.einsum("in,jn,ij->n", posterior(y, p), posterior(y, p), squares), p)


def quantile_threshold(p: float) -> float:
    """The t with P(Y > t) = p: Y rounded to 1 above t, to −1 below −t and else to 0 has the law of X."""
    return float(brentq(lambda t: _tails(t, p).sum() - p, 0, 10))


def perfect_perception_mse(p: float) -> float:
    """The least E(X − X̂)² where X̂ has the law of X, so the least D with P(D) = 0 in every distance.

    E[X|Y] rises with Y, so moving it to X̂ along quantiles is the optimal transport.
    """
    return _threshold_mse(quantile_threshold(p), p)


def mmse_to_source(p: float) -> float:
    """Squared Wasserstein-2 distance between the laws of E[X|Y] and X."""
    t = quantile_threshold(p)
    return _mean(lambda y: (mmse_estimate(y, p) - _rounded(y, t)) ** 2, p, t)


def wasserstein_perception(distortion: np.ndarray, least: float, perfect: float) -> np.ndarray:
    """P(D) for Wasserstein-2: √(D₀ − D*) − √(D − D*), or 0 from D₀ on.

    This holds for every source (Freirich, Michaeli & Meir, A theory of the distortion-perception tradeoff in
    Wasserstein space, NeurIPS 2021). It is reached by mixing the two ends, x(β) = x* + β·(x₀ − x*).

    least: D*, the MMSE. perfect: D₀, the least distortion of perfect perception.
    """
    return np.maximum(np.sqrt(perfect - least) - np.sqrt(np.asarray(distortion) - least), 0)


def observe(p: float, cells: int) -> np.ndarray:
    """P(X = x, Y in cell): float array [3, cells]. The cells are equal except for the two outermost."""
    edges = np.concatenate([[-np.inf], np.linspace(-_OUTERMOST, _OUTERMOST, cells - 1), [np.inf]])
    return priors(p)[:, None] * np.diff(norm.cdf(edges - SUPPORT[:, None]), axis=1)


def cells_estimate(joint: np.ndarray) -> np.ndarray:
    """E[X | cell], float array [cells]."""
    return (SUPPORT @ joint) / joint.sum(axis=0)


def cells_mmse(joint: np.ndarray) -> float:
    """The least mean squared error of an estimator that sees the cell."""
    return float((SUPPORT**2 @ joint - cells_estimate(joint) ** 2 * joint.sum(axis=0)).sum())


def outputs_on_support(joint: np.ndarray) -> np.ndarray:
    """Reconstruction points [cells, 4] that suffice for total variation and KL: −1, 0, 1 and E[X|cell].

    Both see an output off the source's alphabet only as mass that is missing on it, so it may as well lie
    where it costs the least distortion.
    """
    return np.column_stack([np.tile(SUPPORT, (joint.shape[1], 1)), cells_estimate(joint)])


def perception_function(
    joint: np.ndarray, outputs: np.ndarray, perception: Perception, distortions: np.ndarray
) -> np.ndarray:
    """P(D) by convex programming over p(x̂|cell).

    joint: P(X = x, cell), float array [3, cells]. outputs: reconstruction points of each cell, float array
    [cells, m]; the law of X̂ that `perception` gets is over the m columns. distortions: values of D, no less
    than the outputs allow. Raises `ArithmeticError` where the solver finds no solution.
    """
    cells = joint.sum(axis=0)
    square = (SUPPORT**2 @ joint) / cells
    cost = square[:, None] - 2 * cells_estimate(joint)[:, None] * outputs + outputs**2
    conditional = cp.Variable(outputs.shape, nonneg=True)  # p(x̂|cell)
    bound = cp.Parameter(nonneg=True)
    value, constraints = perception(joint.sum(axis=1), cells @ conditional)
    constraints += [
        cp.sum(conditional, axis=1) == 1,
        cp.sum(cp.multiply(cells[:, None] * cost, conditional)) <= bound,
    ]
    program = cp.Problem(cp.Minimize(value), constraints)
    found = []
    for distortion in distortions:
        bound.value = distortion
        program.solve(solver=cp.CLARABEL)
        if program.status != cp.OPTIMAL:
            raise ArithmeticError(f"P(D) at D = {distortion}: {program.status}")
        found.append(float(program.value))
    return np.array(found)


def _posterior_variance(y: np.ndarray, p: float) -> np.ndarray:
    return SUPPORT**2 @ posterior(y, p) - mmse_estimate(y, p) ** 2


def _mean(function: Callable[[np.ndarray], np.ndarray], p: float, kink: float = 0.0) -> float:
    """E f(Y) for an even function, smooth but for jumps at ±kink; relative error about 10⁻¹⁰."""

    def integrand(y: float) -> float:
        return float((function(np.array([y])) * density(np.array([y]), p))[0])

    return 2 * sum(quad(integrand, *span, epsabs=1e-12)[0] for span in ((0, kink), (kink, _BEYOND)))


def _tails(t: float, p: float) -> np.ndarray:
    """P(X = x, Y > t) for the three x."""
    return priors(p) * norm.sf(t - SUPPORT)


def _rounded(y: np.ndarray, t: float) -> np.ndarray:
    return np.where(y > t, 1.0, np.where(y < -t, -1.0, 0.0))


def _threshold_law(t: float, p: float) -> np.ndarray:
    """P(X = x, X̂ = x̂) where Y is rounded at ±t: float array [3, 3]."""
    above = _tails(t, p)
    below = above[::-1]
    between = priors(p) - above - below if t > 0 else np.zeros(len(SUPPORT))  # not a rounding error
    return np.column_stack([below, between, above])


def _threshold_mse(t: float, p: float) -> float:
    return float((_threshold_law(t, p) * (SUPPORT[:, None] - SUPPORT) ** 2).sum())
