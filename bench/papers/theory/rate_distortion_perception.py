"""Blau & Michaeli, Rethinking Lossy Compression: The Rate-Distortion-Perception Tradeoff (ICML 2019).

    R(D, P) = min I(X; X̂)  over  p(x̂|x)  with  E Δ(X, X̂) ≤ D  and  d(p_X, p_X̂) ≤ P,

in bits: the Bernoulli source in closed form (theirs), the Gaussian source in closed form (Zhang, Qian, Chen &
Khisti, Universal rate-distortion-perception representations for lossy compression, NeurIPS 2021), and any
finite source by an exponential-cone program.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np
from scipy.special import lambertw, rel_entr, xlogy

from bench.papers.theory.perception import Perception


def entropy(*probabilities: np.ndarray | float) -> np.ndarray:
    """−Σ p log₂ p over the arguments, elementwise if they are arrays."""
    return -sum(xlogy(p, p) for p in probabilities) / np.log(2)


def binary_entropy(p: np.ndarray | float) -> np.ndarray:
    """Entropy of a coin in bits."""
    return entropy(p, 1 - np.asarray(p))


def bernoulli_regions(p: float, perception: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """(D₁, D₂): up to D₁ the bound on perception does not bind, from D₂ on the rate is 0.

    D₁ = P / (1 − 2(p − P)) and D₂ = 2p(1 − p) − (1 − 2p)P; at P ≥ p both are p.
    """
    _check_bernoulli(p)
    bound = np.minimum(perception, p)
    slack = (1 - 2 * p) + 2 * bound  # in this order, so that a tiny bound is not lost beside 1
    # A fair coin at P = 0: X̂ is fair at every D, so the bound binds nowhere.
    first = np.where(slack > 0, bound / np.where(slack > 0, slack, 1), 0.5)
    return first, 2 * p * (1 - p) - (1 - 2 * p) * bound


def bernoulli(p: float, distortion: np.ndarray | float, perception: np.ndarray | float) -> np.ndarray:
    """R(D, P) of a Bernoulli(p) source, Hamming distortion and total variation, in bits; arguments broadcast.

    Three regions: H(p) − H(D) up to D₁; between D₁ and D₂ the mutual information of the only pair (X, X̂)
    with P(X̂ = 1) = p − P and P(X ≠ X̂) = D; 0 from D₂ on. The paper writes the second with ternary
    entropies; the joint law's four-way entropy is the same number.

    p: P(X = 1) in (0, 1/2]. distortion, perception: ≥ 0.
    """
    first, second = bernoulli_regions(p, perception)
    distortion, bound = np.broadcast_arrays(np.asarray(distortion, float), np.minimum(perception, p))
    d = np.minimum(distortion, second)
    missed = np.clip((d + bound) / 2, 0, p)  # P(X = 1, X̂ = 0)
    invented = np.clip((d - bound) / 2, 0, 1 - p)  # P(X = 0, X̂ = 1)
    bound_binds = (
        binary_entropy(p)
        + binary_entropy(p - bound)
        - entropy(missed, invented, p - missed, 1 - p - invented)
    )
    classical = binary_entropy(p) - binary_entropy(np.minimum(distortion, p))
    rate = np.where(distortion <= first, classical, bound_binds)
    return np.where(distortion >= second, 0.0, np.maximum(rate, 0.0))


def finite(
    source: np.ndarray,
    distortion: np.ndarray,
    max_distortion: float,
    perception: Perception,
    max_perception: float,
) -> float:
    """R(D, P) of any finite source, in bits, by an exponential-cone program over the joint law.

    source: P(X = x), float array [n]. distortion: Δ(x, x̂), float array [n, m]. perception: of the law on the
    m outputs. Raises `ArithmeticError` where the solver finds no solution.
    """
    joint = cp.Variable(distortion.shape, nonneg=True)
    # A variable of its own, where an expression would do, keeps the cones sparse: 100 times faster.
    output = cp.Variable(distortion.shape[1])
    value, constraints = perception(source, output)
    constraints += [
        cp.sum(joint, axis=1) == source,
        cp.sum(joint, axis=0) == output,
        cp.sum(cp.multiply(distortion, joint)) <= max_distortion,
    ]
    if np.isfinite(max_perception):
        constraints.append(value <= max_perception)
    everywhere = np.ones((len(source), 1)) @ cp.reshape(output, (1, output.size), order="C")
    # −H(X|X̂), which differs from I(X; X̂) by the source's entropy
    program = cp.Problem(cp.Minimize(cp.sum(cp.rel_entr(joint, everywhere))), constraints)
    program.solve(solver=cp.CLARABEL)
    if program.status != cp.OPTIMAL:
        raise ArithmeticError(f"R(D, P) at D = {max_distortion}, P = {max_perception}: {program.status}")
    # The program's own value is infinite where rounding leaves an unused output below 0.
    law = np.maximum(joint.value, 0)
    return float(rel_entr(law, np.outer(law.sum(axis=1), law.sum(axis=0))).sum() / np.log(2))


def wasserstein_least_deviation(perception: np.ndarray | float, deviation: float = 1.0) -> np.ndarray:
    """The least standard deviation of X̂ with squared Wasserstein-2 distance ≤ P to N(0, σ²): σ − √P."""
    return np.maximum(deviation - np.sqrt(perception), 0)


def kl_least_deviation(perception: np.ndarray | float, deviation: float = 1.0) -> np.ndarray:
    """The least standard deviation of a Gaussian X̂ with KL(p_X̂‖p_X) ≤ P nats.

    s = σ̂²/σ² ≤ 1 solves (s − 1 − ln s)/2 = P, so it is −W(−e^(−2P−1)). In this direction a Gaussian X̂ is
    optimal: given its variance, it has the largest entropy and so the least divergence.
    """
    bound = np.asarray(perception)
    # At P = 0 rounding can leave W's domain.
    share = np.where(bound > 0, -lambertw(-np.exp(-2 * np.maximum(bound, 1e-12) - 1)).real, 1.0)
    return deviation * np.sqrt(share)


def gaussian(
    distortion: np.ndarray | float, least_deviation: np.ndarray | float, deviation: float = 1.0
) -> np.ndarray:
    """R(D, P) of N(0, σ²) with squared error, in bits; arguments broadcast.

    The perception bound says how small the deviation σ̂ of X̂ may be (`wasserstein_least_deviation`,
    `kl_least_deviation`). While the classical solution, σ̂² = σ² − D, is wide enough, the rate is
    ½ log₂(σ²/D). Otherwise X̂ has the least deviation and covariance (σ² + σ̂² − D)/2 with X, and the rate is
    −½ log₂(1 − ρ²).

    distortion: > 0.
    """
    distortion, least = np.broadcast_arrays(np.asarray(distortion, float), least_deviation)
    variance = deviation**2
    classical = np.maximum(np.log2(variance / distortion) / 2, 0)
    binds = least > np.sqrt(np.abs(variance - distortion))
    covariance = (variance + least**2 - distortion) / 2
    correlation = np.where(binds, covariance / (deviation * np.where(binds, least, 1)), 0)
    return np.where(binds, -np.log2(1 - correlation**2) / 2, classical)


def gaussian_mixed_decoders(
    rate: float, realism: np.ndarray | float, deviation: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """(D, P) of one Gaussian representation of a given rate under a mixture of its two extreme decoders.

    The fidelity decoder gives x* = E[X|Z], the realism decoder x₀, which is x* stretched to the deviation of
    X, and x(β) = x* + β·(x₀ − x*). P is squared Wasserstein-2. Zhang et al. (2021) call such a representation
    universal.

    rate: bits, > 0. realism: β in [0, 1].
    """
    correlation = np.sqrt(1 - 4.0**-rate)
    mixed = deviation * (correlation + np.asarray(realism) * (1 - correlation))
    distortion = deviation**2 + mixed**2 - 2 * correlation * deviation * mixed
    return distortion, (deviation - mixed) ** 2


def _check_bernoulli(p: float) -> None:
    if not 0 < p <= 0.5:
        raise ValueError(f"P(X = 1) is {p}; it lies in (0, 0.5]")
