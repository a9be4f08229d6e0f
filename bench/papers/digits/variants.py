"""Claims about the experiments beside the grid of pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.papers.reproduction import Claim
from bench.papers.wgan.frontier import CLEAR_GAIN, CLEAR_PRICE, hull_ends, hull_gain, least
from bench.papers.wgan.measure import Values
from bench.papers.wgan.seeds import OverSeeds

# A claim that two systems are about equally good needs a number; this one is ours, not a paper's.
SMALL_PENALTY = 1.1
LAYERS = ("a", "b", "c")

Groups = list[dict[str, Any]]


def beside_the_pairs(results: dict[str, Groups]) -> list[Claim]:
    """The claims of all experiments that were run."""
    claims = [claim(results) for name, claim in _CLAIMS.items() if name in results]
    if "detail" in results.get("features", [{}])[0]:  # older records lack it
        claims.append(_clearer_not_better(results))
    for layer in LAYERS:
        if f"layer-{layer}" in results:
            claims.append(_trade_off_on_a_layer(results, layer))
        if f"alone-{layer}" in results:
            claims.append(_collapse(results, layer))
    return claims


def _one_encoder_serves_all(results: dict[str, Groups]) -> Claim:
    # The decoder for weight 0 is the pair's own.
    whole = [_with_first(group, _partner(group, results["pairs"])) for group in results["universal"]]
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
        f"one network that is told λ does for the {count} of a rate",
        "small penalty",
        f"{_penalty(penalties)}, in 1/{count} of the training",
        np.median(penalties) < SMALL_PENALTY,
        addition=True,
    )


def _trade_off_on_features(results: dict[str, Groups]) -> Claim:
    return _trade_off(
        "with distortion on a classifier's second convolution and pixels the trade-off stays",
        results["features"],
        "fidelity",
    )


def _clearer_not_better(results: dict[str, Groups]) -> Claim:
    """Images without an adversary have more detail, and squared error at equal W₁ is no lower."""
    groups = results["features"]
    gain = OverSeeds(
        np.array([[g["detail"][0] / _partner(g, results["pairs"])["detail"][0]] for g in groups])
    )
    penalties = _penalties(groups, results["pairs"])
    return Claim(
        "features beside pixels make images clearer, not better",
        "more detail at no gain",
        f"detail ×{gain.text(0)} of pixels alone; {_penalty(penalties)}",
        gain.clearly[0] > 1 and np.median(penalties) >= 1,
    )


def _trade_off_on_a_layer(results: dict[str, Groups], layer: str) -> Claim:
    return _trade_off(
        f"with perception on layer {layer} of the critic the trade-off stays",
        results[f"layer-{layer}"],
        "mse",
    )


def _collapse(results: dict[str, Groups], layer: str) -> Claim:
    """Chance gives 90 % errors, and two originals differ by twice the spread of one."""
    groups = results[f"alone-{layer}"]
    errors = OverSeeds(np.array([[group["error digit"][0]] for group in groups]))
    kept = OverSeeds(np.array([[_partner(g, results["pairs"])["error digit"][0]] for g in groups]))
    spread = OverSeeds(np.array([[group["spread"][0]] for group in groups]))
    return Claim(
        f"on layer {layer} alone, without squared error, the image that was encoded is lost",
        "collapse",
        f"digits not recognised {100 * errors.mean[0]:.0f} % for {100 * kept.mean[0]:.0f} % of the pairs' "
        f"without an adversary; spread ×{spread.text(0)} of the originals'",
        float((errors.values - kept.values).min()) > 0.2,
    )


# Claims by experiment; the pairs are always there.
_CLAIMS: dict[str, Callable[[dict[str, Groups]], Claim]] = {
    "universal": _one_encoder_serves_all,
    "conditioned": _one_network_is_told,
    "features": _trade_off_on_features,
}


def _partner(group: dict[str, Any], pairs: Groups) -> dict[str, Any]:
    """The pairs of the same rate and seed."""
    return next(pair for pair in pairs if all(pair[key] == group[key] for key in ("bits", "seed")))


def _with_first(group: dict[str, Any], pair: dict[str, Any]) -> dict[str, Any]:
    """The group with the pair of weight 0 in front."""
    joined = {name: [pair[name][0], *group[name]] for name in ("wasserstein", "mse")}
    return {**joined, "bits": group["bits"], "seed": group["seed"]}


def _penalties(groups: Groups, pairs: Groups) -> Values:
    """Distortion divided by that of the pairs at equal perception, at bounds that both reach."""
    ratios = []
    for group in groups:
        ours, theirs = (
            (np.array(g["wasserstein"]), np.array(g["mse"])) for g in (group, _partner(group, pairs))
        )
        low = max(ours[0].min(), theirs[0].min())
        high = min(ours[0][np.argmin(ours[1])], theirs[0][np.argmin(theirs[1])])
        bounds = np.linspace(low, max(low, high), 9)
        ratios.append(least(*ours, bounds) / least(*theirs, bounds))
    return np.concatenate(ratios)


def _penalty(penalties: Values) -> str:
    return (
        f"distortion at equal perception ×{np.median(penalties):.3f} in the median, "
        f"×{penalties.min():.3f} to ×{penalties.max():.3f}"
    )


def _trade_off(claim: str, groups: Groups, distortion: str) -> Claim:
    prices = np.array([hull_ends(group, distortion=distortion) for group in groups])
    gains = np.array([hull_gain(group, distortion=distortion) for group in groups])
    return Claim(
        claim,
        "a trade-off",
        f"from end to end of the hull distortion ×{prices.min():.2f} to ×{prices.max():.2f}, W₁ "
        f"−{100 * gains.min():.0f} to −{100 * gains.max():.0f} %, {len(groups)} rates and seeds",
        prices.min() > CLEAR_PRICE and gains.min() > CLEAR_GAIN,
    )
