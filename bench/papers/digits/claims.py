"""What Blau & Michaeli (2019) and Zhang et al. (2021) claim of their MNIST experiments, checked on ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.papers.reproduction import Claim, Reproduction
from bench.papers.wgan.frontier import least, rank_correlation
from bench.papers.wgan.measure import Values

# A claim that two systems are about as good, or that a trade-off stays, needs a number: ours, no paper's.
SMALL_PENALTY = 1.1
CLEAR_TREND = 0.7
# Bounds on perception between the tightest that every rate reaches and none at all.
_STEPS = (1.0, 1.25, 1.6)

Groups = list[dict[str, Any]]


def bounds_on_perception(pairs: Groups) -> Values:
    """Bounds P of the equi-perception curves: from the tightest that all rates reach; the last is none."""
    tightest = max(min(group["wasserstein"]) for group in pairs)
    return np.array([*(step * tightest for step in _STEPS), np.inf])


def equi_perception(pairs: Groups, bounds: Values) -> Values:
    """D(R, P), the least squared error of each rate at each bound, `[rates, bounds]`."""
    return np.array([least(*_points(group), bounds) for group in pairs])


def reproduction(results: dict[str, Groups]) -> Reproduction:
    """Claims and curves of what was run. results: by experiment, one record a rate; `pairs` must be there."""
    pairs = results["pairs"]
    bounds = bounds_on_perception(pairs)
    distortions = equi_perception(pairs, bounds)
    claims = [
        _falls_with_rate(bounds, distortions),
        _rises_as_perception_improves(pairs),
        _rises_as_perception_tightens(pairs, bounds, distortions),
        _rises_most_at_low_rate(pairs, distortions),
        _least_real_at_low_rate(pairs),
        _changes_most_at_low_rate(pairs),
        _never_more_than_twice(pairs),
        *(claim(results) for name, claim in _BESIDE_THE_PAIRS.items() if name in results),
    ]
    curves = {
        "equi_perception": {
            "bits": [group["bits"] for group in pairs],
            "bounds": bounds,
            "mse": distortions,
        },
        "results": results,
    }
    return Reproduction(curves, claims)


def _falls_with_rate(bounds: Values, distortions: Values) -> Claim:
    falls = np.diff(distortions, axis=0)
    return Claim(
        "distortion falls with rate at every bound on perception",
        "D(R, P) falls with R",
        f"largest step {np.max(falls):+.4f}, {len(bounds)} bounds × {len(distortions)} rates",
        np.max(falls) < 0,
    )


def _rises_as_perception_improves(pairs: Groups) -> Claim:
    trend, sliced = _trends(pairs, "mse"), _trends(pairs, "mse", "sliced")
    return Claim(
        "at each rate distortion rises as perception improves",
        "a trade-off",
        f"rank correlation with MSE over λ: W₁ {_range(trend)}, sliced {_range(sliced)}",
        max(trend) < -CLEAR_TREND,
    )


def _rises_as_perception_tightens(pairs: Groups, bounds: Values, distortions: Values) -> Claim:
    rise = _rise(distortions)
    return Claim(
        "the rate-distortion curve rises as perception tightens",
        "above the curve without a bound",
        f"W₁ ≤ {bounds[0]:.2f}: MSE {distortions[0, 0]:.4f} for {distortions[0, -1]:.4f} at "
        f"{pairs[0]['bits']:g} bits",
        np.min(rise) >= 0 and rise[0] > 0,
    )


def _rises_most_at_low_rate(pairs: Groups, distortions: Values) -> Claim:
    rise = _rise(distortions)
    return Claim(
        "it rises most at low rate",
        "the rise falls with rate",
        _at_ends(pairs, f"{rise[0]:.4f}", f"{rise[-1]:.4f}"),
        _falls(pairs, rise),
    )


def _least_real_at_low_rate(pairs: Groups) -> Claim:
    perceptions = np.array([group["wasserstein"][0] for group in pairs])
    return Claim(
        "without an adversary images look least real at low rate",
        "falls with rate",
        _at_ends(pairs, f"W₁ = {perceptions[0]:.2f}", f"{perceptions[-1]:.2f}"),
        _falls(pairs, perceptions),
    )


def _changes_most_at_low_rate(pairs: Groups) -> Claim:
    changes = np.array([group["change"][-1] for group in pairs])
    return Claim(
        "at low rate a bound on perception changes the images most",
        "falls with rate",
        _at_ends(pairs, f"mean squared change {changes[0]:.4f}", f"{changes[-1]:.4f}"),
        _falls(pairs, changes),
    )


def _never_more_than_twice(pairs: Groups) -> Claim:
    costs = np.array([_at_best_perception(group) for group in pairs])
    return Claim(
        "the best perception costs no more than twice the distortion (3 dB)",
        "≤ 2",
        f"×{costs.min():.2f} to ×{costs.max():.2f}",
        np.max(costs) <= 2,
    )


def _one_encoder_serves_all(results: dict[str, Groups]) -> Claim:
    by_rate = {group["bits"]: group for group in results["pairs"]}
    # The decoder for weight 0 is the pair's own.
    whole = [_with_first(group, by_rate[group["bits"]]) for group in results["universal"]]
    penalties = _penalties(whole, results["pairs"])
    return Claim(
        "one encoder trained for fidelity serves all decoders at little cost (Zhang et al. 2021)",
        "small penalty",
        _penalty(penalties),
        np.median(penalties) < SMALL_PENALTY,
    )


def _one_network_is_told(results: dict[str, Groups]) -> Claim:
    penalties = _penalties(results["conditioned"], results["pairs"])
    count = len(results["conditioned"][0]["weights"])
    return Claim(
        f"one network that is told λ does for the {count} of a rate (ours)",
        "–",
        f"{_penalty(penalties)}, in 1/{count} of the training",
        np.median(penalties) < SMALL_PENALTY,
    )


def _trade_off_on_features(results: dict[str, Groups]) -> Claim:
    return _trade_off(
        "with distortion on a classifier's second convolution and pixels the trade-off stays",
        results["features"],
        "fidelity",
    )


def _trade_off_on_one_layer(results: dict[str, Groups]) -> Claim:
    return _trade_off(
        "with perception on one layer of the critic the trade-off stays", results["layer"], "mse"
    )


# By experiment; the pairs are there always.
_BESIDE_THE_PAIRS: dict[str, Callable[[dict[str, Groups]], Claim]] = {
    "universal": _one_encoder_serves_all,
    "conditioned": _one_network_is_told,
    "features": _trade_off_on_features,
    "layer": _trade_off_on_one_layer,
}


def _rise(distortions: Values) -> Values:
    """How far each rate's distortion under the tightest bound is above that without a bound."""
    return distortions[:, 0] - distortions[:, -1]


def _falls(pairs: Groups, values: Values) -> bool:
    """Whether values clearly fall with rate."""
    return rank_correlation(np.array([group["bits"] for group in pairs]), values) < -CLEAR_TREND


def _at_ends(pairs: Groups, first: str, last: str) -> str:
    """What stands at the lowest and at the highest rate."""
    return f"{first} at {pairs[0]['bits']:g} bits, {last} at {pairs[-1]['bits']:g}"


def _penalty(penalties: Values) -> str:
    return (
        f"distortion at equal perception ×{np.median(penalties):.3f} in the median, "
        f"×{penalties.min():.3f} to ×{penalties.max():.3f}"
    )


def _points(group: dict[str, Any]) -> tuple[Values, Values]:
    return np.array(group["wasserstein"]), np.array(group["mse"])


def _with_first(group: dict[str, Any], pair: dict[str, Any]) -> dict[str, Any]:
    """The group with the pair of weight 0 in front."""
    return {name: [pair[name][0], *group[name]] for name in ("wasserstein", "mse")} | {"bits": group["bits"]}


def _at_best_perception(group: dict[str, Any]) -> float:
    """The distortion where perception is best, over the least distortion."""
    perception, mse = _points(group)
    return float(mse[np.argmin(perception)] / mse.min())


def _penalties(groups: Groups, pairs: Groups) -> Values:
    """Distortion over that of the pairs at equal perception, at bounds that both reach."""
    by_rate = {pair["bits"]: pair for pair in pairs}
    ratios = []
    for group in groups:
        ours, theirs = _points(group), _points(by_rate[group["bits"]])
        low = max(ours[0].min(), theirs[0].min())
        high = min(ours[0][np.argmin(ours[1])], theirs[0][np.argmin(theirs[1])])
        bounds = np.linspace(low, max(low, high), 9)
        ratios.append(least(*ours, bounds) / least(*theirs, bounds))
    return np.concatenate(ratios)


def _trends(groups: Groups, distortion: str, perception: str = "wasserstein") -> list[float]:
    return [rank_correlation(np.array(group[perception]), np.array(group[distortion])) for group in groups]


def _trade_off(claim: str, groups: Groups, distortion: str) -> Claim:
    trends = _trends(groups, distortion)
    return Claim(
        claim,
        "a trade-off",
        f"rank correlation of W₁ and the distortion {_range(trends)} over λ",
        max(trends) < -CLEAR_TREND,
    )


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"
