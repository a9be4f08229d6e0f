"""What Blau & Michaeli (2019) and Zhang et al. (2021) claim about their MNIST experiments, checked on ours.

Trade-offs are read on lower hulls: a pair that another beats in both measures shows how training went, not
what is possible. Figures are means over seeds, with standard errors where there are several.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from bench.papers.digits.variants import Groups, Record, beside_the_pairs
from bench.papers.reproduction import Claim, Reproduction
from bench.papers.wgan.frontier import (
    CLEAR_GAIN,
    CLEAR_PRICE,
    hull_ends,
    hull_gain,
    least,
    rank_correlation,
)
from bench.papers.wgan.measure import Values
from bench.papers.wgan.seeds import OverSeeds

# A trend over rates needs a number; this one is ours, not a paper's.
CLEAR_TREND = 0.7
# Bounds on perception, as multiples of the tightest that every rate reaches.
_STEPS = (1.0, 1.25, 1.6)


def by_seed(groups: Groups) -> list[Groups]:
    """The groups of each seed, rates rising."""
    seeds = sorted({group["seed"] for group in groups})
    return [
        sorted((g for g in groups if g["seed"] == seed), key=lambda group: float(group["bits"]))
        for seed in seeds
    ]


def over_seeds(groups: Groups, figure: Callable[[Record], float | Values]) -> OverSeeds:
    """A figure of each group, `[S, rates, …]`."""
    return OverSeeds(np.array([[figure(group) for group in seed] for seed in by_seed(groups)]))


def bounds_on_perception(pairs: Groups) -> Values:
    """Bounds P of the equi-perception curves, from the tightest that all rates and seeds reach to none."""
    tightest = max(min(group["wasserstein"]) for group in pairs)
    return np.array([*(step * tightest for step in _STEPS), np.inf])


def equi_perception(pairs: Groups, bounds: Values) -> OverSeeds:
    """D(R, P), the least squared error of each rate at each bound, `[S, rates, bounds]`."""
    return over_seeds(pairs, lambda g: least(np.array(g["wasserstein"]), np.array(g["mse"]), bounds))


def reproduction(results: dict[str, Groups]) -> Reproduction:
    """Claims and curves of what was run.

    results: by experiment, a record for each seed and rate; `pairs` must be there.
    """
    pairs = results["pairs"]
    rates = [float(group["bits"]) for group in by_seed(pairs)[0]]
    bounds = bounds_on_perception(pairs)
    distortions = equi_perception(pairs, bounds)
    rise = OverSeeds(distortions.values[:, :, 0] - distortions.values[:, :, -1])
    claims = [
        _falls_with_rate(bounds, distortions),
        _rises_as_perception_improves(pairs),
        _rises_as_perception_tightens(rates, bounds, distortions, rise),
        _most_at_low_rate("it rises most at low rate", "the rise of MSE", rates, rise, 4),
        _most_at_low_rate(
            "without an adversary images look least real at low rate",
            "W₁",
            rates,
            over_seeds(pairs, lambda group: group["wasserstein"][0]),
            2,
        ),
        _most_at_low_rate(
            "at low rate a bound on perception changes the images most",
            "mean squared change",
            rates,
            over_seeds(pairs, lambda group: group["change"][-1]),
            4,
        ),
        *beside_the_pairs(results),
    ]
    curves = {
        "equi_perception": {
            "bits": rates,
            "bounds": bounds,
            "mse": distortions.mean,
            "standard_error": distortions.error,
        },
        "results": results,
    }
    return Reproduction(curves, claims)


def _falls_with_rate(bounds: Values, distortions: OverSeeds) -> Claim:
    steps = np.diff(distortions.mean, axis=0)
    return Claim(
        "distortion falls with rate at every bound on perception",
        "D(R, P) falls with R",
        f"largest step {np.max(steps):+.4f}, {len(bounds)} bounds × {len(distortions.mean)} rates",
        np.max(steps) < 0,
    )


def _rises_as_perception_improves(pairs: Groups) -> Claim:
    prices, gains = (
        [over_seeds(pairs, partial(figure, perception=name)) for name in ("wasserstein", "sliced")]
        for figure in (hull_ends, hull_gain)
    )
    return Claim(
        "at each rate distortion rises as perception improves",
        "a trade-off",
        f"MSE from end to end of the hull: with W₁ {_range(prices[0])}, with the sliced distance "
        f"{_range(prices[1])}",
        all(price.clearly.min() > CLEAR_PRICE for price in prices)
        and all(gain.clearly.min() > CLEAR_GAIN for gain in gains),
    )


def _rises_as_perception_tightens(
    rates: list[float], bounds: Values, distortions: OverSeeds, rise: OverSeeds
) -> Claim:
    return Claim(
        "the rate-distortion curve rises as perception tightens",
        "above the curve without a bound",
        f"W₁ ≤ {bounds[0]:.2f}: MSE {distortions.text((0, 0), 4)} for {distortions.text((0, -1), 4)} at "
        f"{rates[0]:g} bits",
        rise.clearly[0] > CLEAR_GAIN * distortions.mean[0, -1],
    )


def _most_at_low_rate(claim: str, what: str, rates: list[float], values: OverSeeds, digits: int) -> Claim:
    """The claim that values clearly fall with rate."""
    trend = rank_correlation(np.array(rates), values.mean)
    return Claim(
        claim,
        "falls with rate",
        f"{what} {values.text(0, digits)} at {rates[0]:g} bits, {values.text(-1, digits)} at {rates[-1]:g}; "
        f"rank correlation {trend:.2f}",
        trend < -CLEAR_TREND,
    )


def _range(price: OverSeeds) -> str:
    """The smallest and the largest factor, as text."""
    low, high = int(np.argmin(price.mean)), int(np.argmax(price.mean))
    return f"×{price.text(low)} to ×{price.text(high)}"
