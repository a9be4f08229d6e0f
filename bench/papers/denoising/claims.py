"""What Blau & Michaeli (2018) show with their generator, checked on ours."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.papers.denoising.estimators import NAMES
from bench.papers.reproduction import Claim, Reproduction
from bench.papers.wgan.frontier import CLEAR_GAIN, CLEAR_PRICE, hull_ends, hull_gain
from bench.papers.wgan.seeds import CLEAR, OverSeeds


def reproduction(result: dict[str, Any]) -> Reproduction:
    """Claims and curves. result: as `experiments.measured` returns it."""
    claims = [
        _trade_off(result),
        _never_more_than_twice(result),
        _ends(result),
        _estimators(result),
        _sampling_has_the_law(result),
    ]
    return Reproduction(result, claims)


def over_seeds(result: dict[str, Any], name: str) -> OverSeeds:
    """A measure of the denoisers, `[S, M]`, λ rising."""
    return OverSeeds(np.array([group[name] for group in result["denoisers"]]))


def _price(result: dict[str, Any]) -> OverSeeds:
    return OverSeeds(np.array([[hull_ends(group)] for group in result["denoisers"]]))


def _trade_off(result: dict[str, Any]) -> Claim:
    price = _price(result)
    gain = OverSeeds(np.array([[hull_gain(group)] for group in result["denoisers"]]))
    return Claim(
        "from λ = 0 on, denoisers become more real and less close",
        "a trade-off",
        f"MSE from end to end of the hull ×{price.text(0)}",
        price.clearly[0] > CLEAR_PRICE and gain.clearly[0] > CLEAR_GAIN,
    )


def _never_more_than_twice(result: dict[str, Any]) -> Claim:
    price = _price(result)
    return Claim(
        "the best perception costs no more than twice the distortion (3 dB)",
        "≤ 2",
        f"×{price.text(0)}",
        float(price.mean[0] - CLEAR * price.error[0]) <= 2,
    )


def _ends(result: dict[str, Any]) -> Claim:
    """Without squared error only the law of digits counts, and the individual digit suffers."""
    mse, wasserstein = over_seeds(result, "mse"), over_seeds(result, "wasserstein")
    far = OverSeeds(mse.values[:, -1] - mse.values[:, 0])
    near = OverSeeds(wasserstein.values[:, 0] - wasserstein.values[:, -1])
    return Claim(
        "λ = 0 (A) is closest and least real, λ = ∞ (D) more real and farther",
        "opposite ends",
        f"MSE {mse.text(0, 4)} to {mse.text(-1, 4)}, W₁ {wasserstein.text(0)} to {wasserstein.text(-1)}",
        bool(far.clearly > 0 and near.clearly > 0)
        and int(np.argmin(mse.mean)) == int(np.argmax(wasserstein.mean)) == 0,
    )


def _estimators(result: dict[str, Any]) -> Claim:
    mse = dict(zip(NAMES, result["estimators"]["mse"], strict=True))
    ratio = mse["posterior sampling"] / mse["MMSE"]
    return Claim(
        "exact estimators: MMSE is closest, posterior sampling has at most twice its error, MAP is between",
        "1 ≤ MAP ≤ sampling ≤ 2",
        f"MAP ×{mse['MAP'] / mse['MMSE']:.2f}, posterior sampling ×{ratio:.2f}",
        1 < mse["MAP"] / mse["MMSE"] <= ratio <= 2.02,  # 10 000 draws move it by a hundredth
    )


def _sampling_has_the_law(result: dict[str, Any]) -> Claim:
    found = result["estimators"]
    sliced, floor = dict(zip(NAMES, found["sliced"], strict=True)), found["sliced floor"][0]
    return Claim(
        "posterior sampling looks like digits, the MMSE estimate does not",
        "sampling nearer",
        f"sliced distance {sliced['posterior sampling']:.4f} for {sliced['MMSE']:.4f}; halves of the test "
        f"set {floor:.4f}",
        sliced["posterior sampling"] < sliced["MMSE"],
    )
