"""Claims about the experiments beside the grid of pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.papers.reproduction import Claim
from bench.papers.wgan.frontier import CLEAR_GAIN, CLEAR_PRICE, hull_ends, hull_gain, least
from bench.papers.wgan.measure import Values

# A claim that two systems are about equally good needs a number; this one is ours, not a paper's.
SMALL_PENALTY = 1.1
LAYERS = ("a", "b", "c")

# What is known about one rate and seed, from `Group.record`.
Record = dict[str, Any]
Groups = list[Record]


def beside_the_pairs(results: dict[str, Groups]) -> list[Claim]:
    """The claims of all experiments that were run."""
    claims = []
    if "universal" in results:
        claims.append(_one_encoder_serves_all(results))
    if "conditioned" in results:
        claims.append(_one_network_is_told(results))
    if "features" in results:
        claims.append(_trade_off_on_features(results))
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
    penalty, small = _does_for(whole, results["pairs"])
    return Claim(
        "one encoder trained for fidelity serves all decoders at little cost (Zhang et al. 2021)",
        "small penalty",
        penalty,
        small,
    )


def _one_network_is_told(results: dict[str, Groups]) -> Claim:
    penalty, small = _does_for(results["conditioned"], results["pairs"])
    count = len(results["conditioned"][0]["weights"])
    return Claim(
        f"one network that is told λ does for the {count} of a rate",
        "small penalty",
        f"{penalty}, in 1/{count} of the training",
        small,
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
    gain = np.array([g["detail"][0] / _partner(g, results["pairs"])["detail"][0] for g in groups])
    penalties = _penalties(groups, results["pairs"])
    return Claim(
        "features beside pixels make images clearer, not better",
        "more detail at no gain",
        f"detail {_ends(gain)} of pixels alone; {_penalty(penalties)}",
        gain.min() > 1 and np.median(penalties) >= 1,
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
    errors = np.array([group["error digit"][0] for group in groups])
    kept = np.array([_partner(group, results["pairs"])["error digit"][0] for group in groups])
    spread = np.array([group["spread"][0] for group in groups])
    return Claim(
        f"on layer {layer} alone, without squared error, the image that was encoded is lost",
        "collapse",
        f"digits not recognised {100 * errors.mean():.0f} % for {100 * kept.mean():.0f} % of the pairs' "
        f"without an adversary; spread {_ends(spread)} of the originals'",
        (errors - kept).min() > 0.2,
    )


def _partner(group: Record, pairs: Groups) -> Record:
    """The pairs of the same rate and seed."""
    return next(pair for pair in pairs if all(pair[key] == group[key] for key in ("bits", "seed")))


def _with_first(group: Record, pair: Record) -> Record:
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


def _does_for(groups: Groups, pairs: Groups) -> tuple[str, bool]:
    """What these cost in place of the pairs, as text, and whether it is little: at equal perception, and in
    the best perception that they reach.
    """
    penalties = _penalties(groups, pairs)
    reach = np.array([min(g["wasserstein"]) / min(_partner(g, pairs)["wasserstein"]) for g in groups])
    small = np.median(penalties) < SMALL_PENALTY and np.median(reach) < SMALL_PENALTY
    return f"{_penalty(penalties)}; least W₁ {_ends(reach)}", bool(small)


def _ends(factors: Values) -> str:
    """The smallest and the largest factor over rates and seeds, as text."""
    return f"×{factors.min():.2f} to ×{factors.max():.2f}"


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
