"""Liu, Zhang & Xiong, On the Classification-Distortion-Perception Tradeoff (NeurIPS 2019): their mixture.

X is N(−1, 1) with probability P1 and N(+1, 1) with probability P2; it is seen as Y = X + N, N ~ N(0, s²), and
restored as X̂. Distortion is E(X − X̂)², perception KL(p_X‖p_X̂) in nats, and C the rate of errors that the
best classifier of X itself, a threshold, makes on X̂. For the linear denoiser X̂ = aY all three are functions
of a; over all denoisers,

    C(D, P) = min P(error)  over  p(x̂|y)  with  E(X − X̂)² ≤ D  and  KL(p_X‖p_X̂) ≤ P.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import product

import cvxpy as cp
import numpy as np
from scipy.integrate import trapezoid
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm

from bench.papers.theory.perception import kullback_leibler

PRIORS = np.array([0.3, 0.7])
MEANS = np.array([-1.0, 1.0])
SECOND_MOMENT = 2.0  # E X²: unit variance around ±1
# Where the classes of X are equally likely.
THRESHOLD = float(np.log(PRIORS[0] / PRIORS[1]) / 2)
# The trapezoid rule on smooth densities that vanish at both ends converges faster than any power of the step:
# a step of 0.006 is exact to rounding. Densities below e^-700 would underflow, so logarithms are kept.
_GRID = np.linspace(-12, 12, 4001)


def log_density(x: np.ndarray, scale: np.ndarray | float, deviation: np.ndarray | float) -> np.ndarray:
    """Logarithm of the mixture's density with means ±scale and the given deviation of both classes."""
    return np.logaddexp(
        *(
            np.log(prior) + norm.logpdf(x, scale * mean, deviation)
            for prior, mean in zip(PRIORS, MEANS, strict=True)
        )
    )


def linear_distortion(a: np.ndarray, noise: float) -> np.ndarray:
    """E(X − aY)² = (1 − a)²·E X² + a²s². noise: s, the deviation of N."""
    return (1 - a) ** 2 * SECOND_MOMENT + (a * noise) ** 2


def linear_perception(a: np.ndarray, noise: float) -> np.ndarray:
    """KL(p_X‖p_aY) in nats by quadrature. a: > 0, float array [n]."""
    source = log_density(_GRID, 1.0, 1.0)
    a = np.asarray(a)[:, None]
    restored = log_density(_GRID, a, a * np.sqrt(1 + noise**2))
    return trapezoid(np.exp(source) * (source - restored), _GRID)


def linear_error(a: np.ndarray, noise: float) -> np.ndarray:
    """The error rate of the classifier of X on aY: P1·P(aY > t | −1) + P2·P(aY < t | +1). a: > 0."""
    at = THRESHOLD / np.asarray(a)
    deviation = np.sqrt(1 + noise**2)
    return PRIORS[0] * norm.sf(at, MEANS[0], deviation) + PRIORS[1] * norm.cdf(at, MEANS[1], deviation)


def best_gains(noise: float) -> dict[str, float]:
    """The a that minimises each of the three.

    Distortion: E X² / (E X² + s²). Classification: 1/(1 + s²), where t/a is the best threshold on Y.
    Perception: by search.
    """
    found = minimize_scalar(
        lambda a: linear_perception(np.array([a]), noise)[0],
        bounds=(0.05, 1),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return {
        "distortion": SECOND_MOMENT / (SECOND_MOMENT + noise**2),
        "perception": float(found.x),
        "classification": 1 / (1 + noise**2),
    }


def least_error(noise: float) -> float:
    """The error rate of the best classifier of Y, the infimum of C over all denoisers."""
    return float(linear_error(np.array(1 / (1 + noise**2)), noise))


def mmse_estimate(y: np.ndarray, noise: float) -> np.ndarray:
    """E[X | Y = y].

    It crosses the classifier's threshold at t(1 + s²), the best threshold on Y, whatever the noise: where the
    classes are equally likely, it is the mean of the two classes' y/(1 + s²) ± s²/(1 + s²). So the estimate
    of least distortion is classified without excess errors.
    """
    variance = 1 + noise**2
    logs = np.log(PRIORS)[:, None] + norm.logpdf(y, MEANS[:, None], np.sqrt(variance))
    weights = np.exp(logs - np.logaddexp(*logs))
    return (weights * (MEANS[:, None] + (y - MEANS[:, None]) / variance)).sum(axis=0)


@dataclass(frozen=True)
class Cells:
    """The problem on finitely many observations and outputs.

    An edge of Y's cells lies at the best threshold on Y, and an edge of X̂'s at the classifier's, so that
    error rates are exact. Outputs are the centres of their cells. KL is between cells' probabilities, which
    can only be less than between densities.
    """

    observed: np.ndarray  # P(cell of Y), [n]
    first: np.ndarray  # E[X; cell of Y], [n]
    second: np.ndarray  # E[X²; cell of Y], [n]
    positive: np.ndarray  # P(class +1, cell of Y), [n]
    source: np.ndarray  # P(X in cell of X̂), [m]
    outputs: np.ndarray  # [m]

    def mmse(self) -> float:
        """The least distortion of an estimator that sees the cell."""
        return float((self.second - self.first**2 / self.observed).sum())


def cells(noise: float, count: int) -> Cells:
    """Cut Y and X̂ into about `count` cells each, over three deviations beyond the means.

    Farther out lie probabilities so small that they spoil the solver's scaling.
    """
    variance = 1 + noise**2
    best = THRESHOLD * variance
    edges_y = _edges(best, 1 + 3 * np.sqrt(variance), count)
    # Bounds on X̂ move the threshold on Y away from the best one by less than two cells. These are cut in
    # eight, since within a cell a decision can only be random.
    step = edges_y[2] - edges_y[1]
    far = np.abs(edges_y - best) > 2.5 * step
    edges_y = np.sort(np.concatenate([edges_y[far], best + step * np.linspace(-2, 2, 33)]))
    edges_x = _edges(THRESHOLD, 4.0, count)
    mass, first, second = (np.zeros((2, len(edges_y) - 1)) for _ in range(3))
    for i, mean in enumerate(MEANS):
        # Y = mean + √v·Z, and X = mean + Z/√v + noise of variance s²/v independent of Z.
        z = (edges_y - mean) / np.sqrt(variance)
        density = norm.pdf(z)
        zeroth = np.diff(norm.cdf(z))
        linear = -np.diff(density)
        square = zeroth - np.diff(np.where(np.isfinite(z), z, 0) * density)
        mass[i] = zeroth
        first[i] = mean * zeroth + linear / np.sqrt(variance)
        second[i] = (
            mean**2 * zeroth + 2 * mean * linear / np.sqrt(variance) + (square + noise**2 * zeroth) / variance
        )
    source = PRIORS @ np.diff(norm.cdf(edges_x - MEANS[:, None]), axis=1)
    step = edges_x[2] - edges_x[1]
    outputs = np.concatenate([edges_x[1:-1] - step / 2, [edges_x[-2] + step / 2]])
    return Cells(PRIORS @ mass, PRIORS @ first, PRIORS @ second, PRIORS[1] * mass[1], source, outputs)


def least_distortions(problem: Cells, perceptions: np.ndarray) -> np.ndarray:
    """D(P), the least distortion with KL ≤ P over all denoisers: float array [len(perceptions)]. P: > 0."""
    program, bounds = _program(problem, classify=False)
    return np.array([_solve(program, bounds, (0.0, perception)) for perception in perceptions])


def classification_function(problem: Cells, distortions: np.ndarray, perceptions: np.ndarray) -> np.ndarray:
    """C(D, P) by an exponential-cone program over p(x̂|y): float array [len(distortions), len(perceptions)].

    NaN where no denoiser has so little distortion and divergence at once. P: > 0. Raises `ArithmeticError`
    where the solver finds no solution.
    """
    program, bounds = _program(problem, classify=True)
    least = least_distortions(problem, perceptions)
    found = np.full((len(distortions), len(perceptions)), np.nan)
    for i, distortion in enumerate(distortions):
        for j, perception in enumerate(perceptions):
            if distortion > least[j] + 1e-4:  # nearer to the boundary the solver has no room
                found[i, j] = _solve(program, bounds, (distortion, perception))
    return found


def unlimited_distortion_error(perception: float, noise: float) -> float:
    """C(∞, P) in closed form except for one root.

    With distortion free, X̂ may have the law of X within each class that it is taken for. What remains of the
    divergence is that of the share q taken for +1, so one threshold τ on Y decides. It is the nearest to the
    best one with KL((π, 1 − π)‖(q, 1 − q)) ≤ P, where π is the share of X above the classifier's threshold.
    """
    deviation = np.sqrt(1 + noise**2)
    share = float(PRIORS @ norm.sf(THRESHOLD - MEANS))

    def excess(at: float) -> float:
        q = float(PRIORS @ norm.sf((at - MEANS) / deviation))
        return share * np.log(share / q) + (1 - share) * np.log((1 - share) / (1 - q)) - perception

    best = THRESHOLD * deviation**2
    if excess(best) > 0:
        same_share = brentq(lambda at: float(PRIORS @ norm.sf((at - MEANS) / deviation)) - share, -9, 9)
        best = float(brentq(excess, best, same_share))
    return float(linear_error(np.array(THRESHOLD / best), noise))


def _program(problem: Cells, classify: bool) -> tuple[cp.Problem, cp.Parameter]:
    """Least error rate under both bounds, or least distortion under the second; over the joint law."""
    joint = cp.Variable((len(problem.observed), len(problem.outputs)), nonneg=True)
    square = (problem.second[:, None] - 2 * problem.first[:, None] * problem.outputs) / problem.observed[
        :, None
    ] + problem.outputs**2
    positive = (problem.positive / problem.observed)[:, None]
    wrong = np.where(problem.outputs > THRESHOLD, 1 - positive, positive)
    distortion, error = (cp.sum(cp.multiply(cost, joint)) for cost in (square, wrong))
    divergence, constraints = kullback_leibler(problem.source, cp.sum(joint, axis=0))
    bounds = cp.Parameter(2, nonneg=True)
    constraints += [cp.sum(joint, axis=1) == problem.observed, divergence <= bounds[1]]
    if not classify:
        return cp.Problem(cp.Minimize(distortion), constraints), bounds
    return cp.Problem(cp.Minimize(error), [*constraints, distortion <= bounds[0]]), bounds


def _solve(program: cp.Problem, bounds: cp.Parameter, values: tuple[float, float]) -> float:
    bounds.value = np.array(values)
    # Where many denoisers are optimal the solver stalls unless its steps are short or its goal is modest.
    for tolerance, step in product((1e-9, 1e-8, 1e-7), (0.8, 0.7, 0.6, 0.5)):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Solution may be inaccurate")
            program.solve(
                solver=cp.CLARABEL,
                max_step_fraction=step,
                tol_gap_abs=tolerance,
                tol_gap_rel=tolerance,
                tol_feas=tolerance,
            )
        if program.status == cp.OPTIMAL:
            return float(program.value)
    raise ArithmeticError(f"at (D, P) = {values}: {program.status}")


def _edges(threshold: float, reach: float, count: int) -> np.ndarray:
    """Edges of cells of width 2·reach/count with one edge at the threshold, and ±∞."""
    step = 2 * reach / count
    below, above = np.floor((threshold + reach) / step), np.floor((reach - threshold) / step)
    return np.concatenate([[-np.inf], threshold + step * np.arange(-below, above + 1), [np.inf]])
