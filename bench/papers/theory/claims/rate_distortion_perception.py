"""Blau & Michaeli 2019 on the Bernoulli and the Gaussian source."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from bench.papers.reproduction import Claim, Reproduction
from bench.papers.theory import rate_distortion_perception as rdp
from bench.papers.theory.claims.falling_and_convex import convex, falls
from bench.papers.theory.perception import total_variation, transport


@dataclass(frozen=True)
class _Solved:
    """The rate that a program found for bounds on distortion and perception."""

    distortion: float
    perception: float
    bits: float


@dataclass(frozen=True)
class _SolvedGaussian(_Solved):
    """The same for the Gaussian source, with the closed form."""

    closed_form: float


def reproduction(p: float = 0.1) -> Reproduction:
    """Curves and claims. p: P(X = 1)."""
    second = 2 * p * (1 - p)  # D₂ at P = 0: from there on no rate is needed
    coins, gauss = _bernoulli_surface(p, second), _gaussian_surfaces()
    solved, sampled = _solved_bernoulli(p, second), _solved_gaussian()
    surfaces = (coins["bits"], gauss["bits_wasserstein"], gauss["bits_kl"])
    claims = [
        falls(
            "R(D, P) falls with D and with P (Bernoulli; Gaussian with W₂² and with KL)",
            surfaces,
            " on grids of 61 × 49 and 61 × 51",
        ),
        convex("R(D, P) is convex in (D, P)", surfaces, ", over all pairs on the grids with their midpoints"),
        _closed_form_of_bernoulli(p, solved),
        _without_a_bound(p, solved),
        _perfect_perception_costs_rate(p),
        _twice_the_distortion_costs_none(),
        _closed_form_of_gaussian(sampled),
        _one_representation(),
    ]
    curves = {
        "bernoulli": {"p": p, **coins, "solver": [asdict(point) for point in solved]},
        "gaussian": {**gauss, "solver": [asdict(point) for point in sampled]},
    }
    return Reproduction(curves, claims)


def _bernoulli_surface(p: float, second: float) -> dict[str, np.ndarray]:
    """R(D, P) in closed form, `[D, P]`, a little beyond where no rate is needed."""
    distortion, perception = np.linspace(0, 1.1 * second, 61), np.linspace(0, 1.2 * p, 49)
    first_region, second_region = rdp.bernoulli_regions(p, perception)
    return {
        "distortion": distortion,
        "total_variation": perception,
        "bits": rdp.bernoulli(p, distortion[:, None], perception),
        "first_region_ends": first_region,
        "second_region_ends": second_region,
    }


def _gaussian_surfaces() -> dict[str, np.ndarray]:
    """R(D, P) in closed form, `[D, P]`, for both distances."""
    distortion, perception = np.linspace(0.02, 2.1, 61), np.linspace(0, 0.5, 51)
    return {
        "distortion": distortion,
        "perception": perception,
        "bits_wasserstein": rdp.gaussian(distortion[:, None], rdp.wasserstein_least_deviation(perception)),
        "bits_kl": rdp.gaussian(distortion[:, None], rdp.kl_least_deviation(perception)),
    }


def _solved_bernoulli(p: float, largest: float) -> list[_Solved]:
    """The rates that a program finds. largest: the largest distortion."""
    hamming, coin = 1 - np.eye(2), np.array([1 - p, p])
    return [
        _Solved(d, bound, rdp.finite(coin, hamming, d, total_variation, bound))
        for d in np.linspace(0.01, largest, 7)
        for bound in (0, p / 8, p / 4, p / 2, p, np.inf)
    ]


def _solved_gaussian() -> list[_SolvedGaussian]:
    """Solved without assuming a Gaussian X̂: it may have any law on a grid. The source is cut to that grid."""
    points = np.linspace(-4, 4, 41)
    weights = np.exp(-(points**2) / 2) / np.exp(-(points**2) / 2).sum()
    squares = (points[:, None] - points) ** 2
    return [
        _SolvedGaussian(
            d,
            bound,
            rdp.finite(weights, squares, d, transport(squares), bound),
            float(rdp.gaussian(d, rdp.wasserstein_least_deviation(bound))),
        )
        for d, bound in ((0.3, 0.0), (0.3, 0.02), (0.6, 0.05), (1.2, 0.05), (0.5, np.inf))
    ]


def _closed_form_of_bernoulli(p: float, solved: list[_Solved]) -> Claim:
    worst = max(
        abs(point.bits - float(rdp.bernoulli(p, point.distortion, point.perception))) for point in solved
    )
    return Claim(
        "Bernoulli source, Hamming distortion, total variation: closed form in three regions",
        "equal to the program's optimum",
        f"{worst:.0e} bits apart at most, {len(solved)} points",
        worst < 1e-4,
    )


def _without_a_bound(p: float, solved: list[_Solved]) -> Claim:
    apart = max(
        abs(point.bits - float(rdp.binary_entropy(p) - rdp.binary_entropy(min(point.distortion, p))))
        for point in solved
        if np.isinf(point.perception)
    )
    return Claim(
        "without a bound on perception it is Shannon's function",
        "R(D, ∞) = H(p) − H(D)",
        f"{apart:.0e} bits apart at most",
        apart < 1e-4,
    )


def _perfect_perception_costs_rate(p: float) -> Claim:
    perfect, unbounded = (float(rdp.bernoulli(p, p / 2, bound)) for bound in (0, np.inf))
    return Claim(
        "perfect perception costs rate at equal distortion",
        "R(D, 0) > R(D, ∞)",
        f"p = {p}, D = {p / 2:g}: {perfect:.4f} bits for {unbounded:.4f}",
        perfect > unbounded,
    )


def _twice_the_distortion_costs_none() -> Claim:
    twice = np.linspace(0.02, 2, 100)
    excess = rdp.gaussian(twice, 1.0) - rdp.gaussian(twice / 2, 0.0)
    return Claim(
        "squared error: perfect perception at twice the distortion costs no rate (3 dB)",
        "R(D, 0) ≤ R(D/2, ∞)",
        f"Gaussian: the difference is between {excess.min():.4f} and {excess.max():.4f} bits",
        excess.max() < 1e-12,
    )


def _closed_form_of_gaussian(sampled: list[_SolvedGaussian]) -> Claim:
    apart = max(abs(point.bits - point.closed_form) for point in sampled)
    return Claim(
        "Gaussian source, squared error, W₂²: closed form, Gaussian X̂ optimal (Zhang et al. 2021)",
        "equal to the program's optimum",
        f"{apart:.4f} bits apart at most on a grid of step 0.2, {len(sampled)} points",
        apart < 0.01,
    )


def _one_representation() -> Claim:
    realisms, rates = np.linspace(0, 1, 11), (0.25, 1.0, 3.0)
    off_curve = 0.0
    for rate in rates:
        mixed, perception = rdp.gaussian_mixed_decoders(rate, realisms)
        needed = rdp.gaussian(mixed, rdp.wasserstein_least_deviation(perception))
        off_curve = max(off_curve, float(np.max(np.abs(needed - rate))))
    return Claim(
        "one representation serves every perception bound: two decoders mixed stay on the curve "
        "(Zhang et al. 2021)",
        "rate as needed for (D, P)",
        f"{off_curve:.0e} bits apart at most, rates {', '.join(map(str, rates))}",
        off_curve < 1e-9,
    )
