"""What Blau & Michaeli (2018) show with their generator, checked on ours."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.papers.denoising.estimators import NAMES
from bench.papers.reproduction import Claim, Reproduction
from bench.papers.wgan.frontier import CLEAR_GAIN, CLEAR_PRICE, hull_ends, hull_gain
from bench.papers.wgan.seeds import OverSeeds


def reproduction(result: dict[str, Any]) -> Reproduction:
    """Claims and curves. result: as `experiments.measured` returns it."""
    claims = [
        _trade_off(result),
        _ends(result),
        _estimators(result),
    ]
    return Reproduction(result, claims)


def over_seeds(result: dict[str, Any], name: str) -> OverSeeds:
    """A measure of the denoisers, `[S, M]`, λ rising."""
    return OverSeeds(np.array([group[name] for group in result["denoisers"]]))


def _trade_off(result: dict[str, Any]) -> Claim:
    price = OverSeeds(np.array([[hull_ends(group)] for group in result["denoisers"]]))
    gain = OverSeeds(np.array([[hull_gain(group)] for group in result["denoisers"]]))
    return Claim(
        "from λ = 0 on, denoisers become more real and less close",
        "a trade-off",
        f"MSE from end to end of the hull ×{price.text(0)}",
        price.clearly[0] > CLEAR_PRICE and gain.clearly[0] > CLEAR_GAIN,
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
    """Their prior is the training digits. The test digits are not among these, so theory promises nothing."""
    mse = dict(zip(NAMES, result["estimators"]["mse"], strict=True))
    likeliest, drawn = (mse[name] / mse["MMSE"] for name in ("MAP", "posterior sampling"))
    return Claim(
        "with the training digits as prior, the posterior's mean is closest to test digits, a draw farthest",
        "mean, mode, draw",
        f"MSE {mse['MMSE']:.4f} of the mean, ×{likeliest:.2f} of the mode, ×{drawn:.2f} of a draw",
        1 < likeliest <= drawn,
        addition=True,
    )
