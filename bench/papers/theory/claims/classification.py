"""Liu, Zhang & Xiong 2019 on the Gaussian mixture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.papers.reproduction import Claim, Reproduction
from bench.papers.theory import classification as cdp
from bench.papers.theory.claims.falling_and_convex import SOLVER, convex, falls
from bench.papers.theory.shape import largest_rise

Curves = dict[str, np.ndarray]


@dataclass(frozen=True)
class _AllDenoisers:
    """C(D, P) over all denoisers of cells: errors `[D, P]`, NaN where there is no denoiser."""

    problem: cdp.Cells
    distortions: np.ndarray
    perceptions: np.ndarray
    errors: np.ndarray
    least_distortions: np.ndarray

    @classmethod
    def solved(cls, noise: float, count: int) -> _AllDenoisers:
        problem = cdp.cells(noise, count)
        perceptions = np.linspace(0.0005, 0.0045, 9)
        least = cdp.least_distortions(problem, perceptions)
        distortions = np.linspace(least[-1], least[0] + 0.015, 13)[1:]
        errors = cdp.classification_function(problem, distortions, perceptions)
        return cls(problem, distortions, perceptions, errors, least)


def reproduction(noise: float = 1.0, count: int = 30) -> Reproduction:
    """Curves and claims. noise: deviation of N. count: of cells."""
    gains = np.linspace(0.1, 1.2, 111)
    noises = sorted({0.5, noise, 2.0})
    best = {f"{s:g}": cdp.best_gains(s) for s in noises}
    frontiers = _frontiers(best[f"{noise:g}"], noise)
    denoisers = _AllDenoisers.solved(noise, count)
    points = np.isfinite(denoisers.errors).sum()
    claims = [
        falls("C(D, P) falls with D and with P", [denoisers.errors], f", {points} points over all denoisers"),
        convex("C(D, P) is convex in (D, P)", [denoisers.errors]),
        _three_gains(best, noise),
        _three_trade_offs(frontiers),
        _not_all_least_at_once(denoisers, noise),
        _closed_form(denoisers, noise),
        _no_trade_off_with_errors_alone(noise),
    ]
    curves = {
        "noise": noise,
        "cells": [len(denoisers.problem.observed), len(denoisers.problem.outputs)],
        "mmse_of_cells": denoisers.problem.mmse(),
        "least_error": cdp.least_error(noise),
        "gains": gains,
        "linear": {f"{s:g}": _linear(gains, s) for s in noises},
        "best_gains": best,
        "frontiers": frontiers,
        "all_denoisers": {
            "distortion": denoisers.distortions,
            "perception": denoisers.perceptions,
            "error": denoisers.errors,
            "least_distortion": denoisers.least_distortions,
        },
    }
    return Reproduction(curves, claims)


def _linear(gains: np.ndarray, noise: float) -> Curves:
    """The three quantities of X̂ = aY, over a."""
    return {
        "distortion": cdp.linear_distortion(gains, noise),
        "perception": cdp.linear_perception(gains, noise),
        "error": cdp.linear_error(gains, noise),
    }


def _frontiers(ends: dict[str, float], noise: float) -> dict[str, Curves]:
    """For each two quantities: both, from the gain that is best in one to the gain that is best in the other.

    ends: the best gains, where the error rate is called classification.
    """
    frontiers = {}
    for first, second in (("distortion", "perception"), ("distortion", "error"), ("perception", "error")):
        start, end = (ends["classification" if name == "error" else name] for name in (first, second))
        values = _linear(np.linspace(start, end, 60), noise)
        frontiers[f"{first}-{second}"] = {first: values[first], second: values[second]}
    return frontiers


def _three_gains(best: dict[str, dict[str, float]], noise: float) -> Claim:
    apart = min(np.diff(sorted(ends.values())).min() for ends in best.values())
    middle = best[f"{noise:g}"]
    return Claim(
        "X̂ = aY: distortion, perception and errors are not least at the same a",
        "three gains",
        f"{middle['distortion']:.4f}, {middle['perception']:.4f}, {middle['classification']:.4f} "
        f"(noise {noise:g})",
        apart > 1e-3,
    )


def _three_trade_offs(frontiers: dict[str, Curves]) -> Claim:
    trades = all(
        largest_rise(-first) < 1e-12 and largest_rise(second) < 1e-12
        for first, second in (tuple(curve.values()) for curve in frontiers.values())
    )
    return Claim(
        "X̂ = aY: between two of these gains one quantity falls as the other rises",
        "three trade-offs",
        "strictly, on all three" if trades else "not on all three",
        trades,
    )


def _not_all_least_at_once(denoisers: _AllDenoisers, noise: float) -> Claim:
    errors, floor = denoisers.errors, cdp.least_error(noise)
    tightest = np.where(np.isfinite(errors[:, 0]), errors[:, 0], -1)
    return Claim(
        "all three cannot be least at once",
        "C(D, P) > C(∞, ∞)",
        f"C = {np.nanmax(errors):.4f} at P = {denoisers.perceptions[0]:g} and D = "
        f"{denoisers.distortions[np.nanargmax(tightest)]:.3f}, C(∞, ∞) = {floor:.4f}",
        np.nanmax(errors) > floor + 1e-4,
    )


def _closed_form(denoisers: _AllDenoisers, noise: float) -> Claim:
    unlimited = np.array([2 * cdp.SECOND_MOMENT])
    free = cdp.classification_function(denoisers.problem, unlimited, denoisers.perceptions)[0]
    closed = np.array([cdp.unlimited_distortion_error(bound, noise) for bound in denoisers.perceptions])
    return Claim(
        "C(∞, P) of the program against its closed form",
        "0 to 10⁻⁴ above, for the cells",
        f"{np.min(free - closed):.0e} to {np.max(free - closed):.0e}",
        np.all(free > closed - SOLVER) and np.max(free - closed) < 1e-4,
        addition=True,
    )


def _no_trade_off_with_errors_alone(noise: float) -> Claim:
    at_mmse = float(cdp.mmse_estimate(np.array([cdp.THRESHOLD * (1 + noise**2)]), noise)[0])
    return Claim(
        "this source has no trade-off between distortion and errors alone",
        "E[X|Y] crosses t where Y's best threshold is",
        f"E[X|Y] = {at_mmse:.6f} there, t = {cdp.THRESHOLD:.6f}",
        np.isclose(at_mmse, cdp.THRESHOLD),
        addition=True,
    )
