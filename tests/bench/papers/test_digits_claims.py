"""Claims of the digits on grids whose answers are known."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from bench.papers.digits.claims import bounds_on_perception, equi_perception, reproduction

WEIGHTS = [0, 0.01, 0.02]


def gaussian_grid(
    rates: tuple[float, ...] = (4, 8, 16), seeds: tuple[int, ...] = (0, 1)
) -> list[dict[str, Any]]:
    """Pairs as a Gaussian source would have them: D(R) = 2^(−R/4); the best perception costs twice that."""
    groups = []
    for seed, bits in itertools.product(seeds, rates):
        least = 2 ** (-bits / 4)
        share = np.array([0, 0.5, 1])
        perception = (1.1 - share) * np.sqrt(least)  # short of perfect, as what is trained
        groups.append(
            {
                "seed": seed,
                "bits": bits,
                "weights": WEIGHTS,
                "mse": (least * (1 + share**2)).tolist(),
                "fidelity": (least * (1 + share**2)).tolist(),
                "wasserstein": perception.tolist(),
                "sliced": (perception / 28).tolist(),
                "change": (least * share**2).tolist(),
                "detail": [0.8, 0.9, 1.0],
                "spread": [0.9, 0.95, 1.0],
                "error digit": [0.1, 0.12, 0.15],
            }
        )
    return groups


def claim(record: dict[str, Any], part: str) -> dict[str, Any]:
    (found,) = (claim for claim in record["claims"] if part in claim["claim"])
    return found


def all_experiments() -> dict[str, list[dict[str, Any]]]:
    """The Gaussian grid in every experiment, with the figures that set some of them apart."""
    pairs = gaussian_grid()
    results = {"pairs": pairs, "conditioned": pairs}
    results["features"] = [{**group, "detail": [1.0, 1.0, 1.0]} for group in pairs]
    for layer in "abc":
        results[f"layer-{layer}"] = pairs
        results[f"alone-{layer}"] = [{**group, "error digit": [0.9], "spread": [0.4]} for group in pairs]
    results["universal"] = [
        {name: values[1:] if isinstance(values, list) else values for name, values in group.items()}
        for group in pairs
    ]
    return results


def test_all_claims_hold_on_a_grid_of_the_gaussian_source() -> None:
    record = reproduction(all_experiments()).record()
    assert [c["claim"] for c in record["claims"] if not c["holds"]] == []
    assert len(record["claims"]) == 6 + 4 + 6
    assert "×2.00 ± 0.00 to ×2.00 ± 0.00" in claim(record, "at each rate distortion rises")["ours"]
    assert "×1.000 in the median" in claim(record, "one encoder")["ours"]
    assert [c["claim"] for c in record["claims"] if c["addition"]] == [
        "one network that is told λ does for the 3 of a rate"
    ]


def test_what_is_kept_without_squared_error_is_no_collapse() -> None:
    results = all_experiments()
    results["alone-b"] = [{**group, "error digit": [0.15]} for group in results["pairs"]]
    results["features"] = results["pairs"]  # nothing is clearer
    record = reproduction(results).record()
    assert not claim(record, "on layer b alone")["holds"]
    assert claim(record, "on layer a alone")["holds"]
    assert not claim(record, "clearer, not better")["holds"]


def test_pairs_that_others_beat_do_not_spoil_a_trade_off() -> None:
    """Past the least W₁ training went wrong; a rank correlation along λ would blame the trade-off."""
    pairs = gaussian_grid()
    for group in pairs:
        for name, far in (("wasserstein", 2.0), ("sliced", 2.0), ("mse", 3.0), ("change", 3.0)):
            group[name] += [far + number for number in range(5)]
    record = reproduction({"pairs": pairs}).record()
    assert claim(record, "at each rate distortion rises")["holds"]


def test_claims_fail_where_there_is_no_trade_off() -> None:
    pairs = gaussian_grid()
    for group in pairs:
        group["mse"] = group["mse"][::-1]  # the most realistic images are also the closest
    record = reproduction({"pairs": pairs}).record()
    assert not claim(record, "at each rate distortion rises")["holds"]
    assert not claim(record, "rises as perception tightens")["holds"]


def test_a_worse_encoder_shows_as_a_penalty_of_so_much() -> None:
    pairs = gaussian_grid()
    worse = [{**group, "mse": [1.25 * value for value in group["mse"]]} for group in pairs]
    record = reproduction({"pairs": pairs, "conditioned": worse}).record()
    found = claim(record, "one network")
    assert "×1.250 in the median, ×1.250 to ×1.250" in found["ours"]
    assert not found["holds"]


def test_a_network_that_never_looks_as_good_does_not_do_for_the_pairs() -> None:
    """It loses nothing at the perception that it reaches."""
    pairs = gaussian_grid()
    short = [
        {name: values[:2] if isinstance(values, list) else values for name, values in group.items()}
        for group in pairs
    ]
    for group in pairs:
        group["wasserstein"][2] = 0.25 * group["wasserstein"][1]
    found = claim(reproduction({"pairs": pairs, "conditioned": short}).record(), "one network")
    assert "×1.000 in the median" in found["ours"]
    assert "least W₁ ×4.00 to ×4.00" in found["ours"]
    assert not found["holds"]


def test_equal_perception_is_read_off_the_hull() -> None:
    pairs = gaussian_grid((4,), (0,))
    bounds = bounds_on_perception(pairs)
    assert np.isinf(bounds[-1])
    pairs[0]["wasserstein"], pairs[0]["mse"] = [3.0, 2.0, 1.0], [1.0, 9.0, 2.0]  # the second is beaten
    found = equi_perception(pairs, np.array([0.5, 1.0, 2.0, np.inf]))
    assert found.values[0, 0] == pytest.approx([np.nan, 2.0, 1.5, 1.0], nan_ok=True)


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_trade_off(seed: int) -> None:
    """In noise, the best pair by one measure is not the best by another."""
    random = np.random.default_rng(seed)
    pairs = gaussian_grid(seeds=(0,))
    for group in pairs:
        for name in ("mse", "fidelity", "wasserstein", "sliced"):
            group[name] = (group[name][1] * (1 + 0.01 * random.standard_normal(14))).tolist()
    record = reproduction({"pairs": pairs, "layer-a": pairs, "features": pairs}).record()
    for part in (
        "distortion rises as",
        "rises as perception tightens",
        "perception on layer a",
        "convolution",
    ):
        assert not claim(record, part)["holds"]
