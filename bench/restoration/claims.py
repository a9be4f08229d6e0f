"""What Liu, Zhang & Xiong (2019) claim of restored pictures, checked on ours."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.adversarial.frontier import rank_correlation
from bench.adversarial.measure import Values
from bench.reproduction import Claim, Reproduction

# What counts as a trend along a dial of a few settings; the paper draws curves and gives no number.
CLEAR_TREND = 0.7


def reproduction(result: dict[str, Any]) -> Reproduction:
    """Claims and curves of one task. result: as `experiments.run` returns it."""
    claims: list[Claim] = []
    for design, group in result["groups"].items():
        claims += _claims(design, group, result["error of originals"])
    return Reproduction(result, claims)


def _claims(design: str, group: dict[str, Any], originals: dict[str, float]) -> list[Claim]:
    mse, perception, error = (np.array(group[name]) for name in ("mse", "wasserstein", f"error {design}"))
    (other,) = (name for name in originals if name != design)
    elsewhere = np.array(group[f"error {other}"])
    weights, cross = np.array(group["weights"]), np.array(group["cross"])
    best = [int(np.argmin(values)) for values in (mse, perception, error)]
    names = [f"λ = {weights[m]:g}, μ = {cross[m]:g}" for m in best]
    plain, heard = weights == 0, cross == 0
    strongest = weights == weights.max()
    at_least = ("MSE", mse), ("W₁", perception), ("errors", error)
    costs = ", ".join(f"{name} ×{values[best[2]] / values.min():.2f}" for name, values in at_least[:2])
    return [
        Claim(
            f"no restorer is best in distortion, perception and errors at once ({design} classifier)",
            "three restorers",
            f"least MSE at {names[0]}; least W₁ at {names[1]}; least errors at {names[2]}, with {costs}",
            len(set(best)) == 3,
        ),
        _trade(
            f"errors against distortion ({design} classifier)",
            "distortion rises as errors fall",
            error[plain],
            mse[plain],
            ("errors", "MSE"),
            "λ = 0, μ rising",
        ),
        _trade(
            f"distortion against perception ({design} classifier)",
            "distortion rises as perception improves",
            perception[heard],
            mse[heard],
            ("W₁", "MSE"),
            "μ = 0, λ rising",
        ),
        _trade(
            f"errors against perception ({design} classifier)",
            "perception worsens as errors fall",
            error[strongest],
            perception[strongest],
            ("errors", "W₁"),
            f"λ = {weights.max():g}, μ rising",
        ),
        Claim(
            f"what the {design} classifier asked for also helps the {other} one (ours)",
            "–",
            f"errors {elsewhere[plain][0]:.1%} to {elsewhere[plain].min():.1%} with it, "
            f"{error[plain][0]:.1%} to {error[plain].min():.1%} with the one that was asked; "
            f"originals {originals[other]:.1%} and {originals[design]:.1%}",
            elsewhere[plain].min() < elsewhere[plain][0],
        ),
    ]


def _trade(claim: str, paper: str, x: Values, y: Values, names: tuple[str, str], dial: str) -> Claim:
    correlation = rank_correlation(x, y)
    return Claim(
        claim,
        paper,
        f"{names[0]} {x[0]:.4g} to {x[-1]:.4g}, {names[1]} {y[0]:.4g} to {y[-1]:.4g} ({dial}); "
        f"rank correlation {correlation:.2f}",
        correlation < -CLEAR_TREND,
    )
