"""Blau & Michaeli 2018 on the discrete source in noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.papers.reproduction import Claim, Reproduction
from bench.papers.theory import perception_distortion as pd
from bench.papers.theory.claims import distances
from bench.papers.theory.claims.falling_and_convex import SOLVER
from bench.papers.theory.perception import total_variation, transport
from bench.papers.theory.shape import largest_concavity


@dataclass(frozen=True)
class _Source:
    """The observed source. p: P(X = ±1); joint: its law with the cells of Y; the rest are squared errors."""

    p: float
    joint: np.ndarray
    least: float
    least_of_cells: float
    sampling: float
    perfect: float

    @classmethod
    def observed(cls, p: float, cells: int) -> _Source:
        joint = pd.observe(p, cells)
        return cls(
            p,
            joint,
            pd.mmse(p),
            pd.cells_mmse(joint),
            pd.posterior_sampling_mse(p),
            pd.perfect_perception_mse(p),
        )

    @property
    def perfect_from_parts(self) -> float:
        """D* + W₂²(X, X*), what `perfect` should be."""
        return self.least + pd.mmse_to_source(self.p)

    def total_variations(self, distortions: np.ndarray) -> np.ndarray:
        """P(D) for total variation; outputs lie on the source's alphabet or are the posterior mean."""
        return pd.perception_function(
            self.joint, pd.outputs_on_support(self.joint), total_variation, distortions
        )


@dataclass(frozen=True)
class _SquaredWasserstein:
    """P(D) for squared Wasserstein-2 on a grid of outputs, the closed form, and how far P(D) lies outside the
    bounds that the grids imply.
    """

    distortions: np.ndarray
    perceptions: np.ndarray
    closed_form: np.ndarray
    outside: float

    @classmethod
    def solved(cls, source: _Source, step: float) -> _SquaredWasserstein:
        grid = np.linspace(-1, 1, round(2 / step) + 1)
        moving = transport((pd.SUPPORT[:, None] - grid) ** 2)
        # Rounding an output to one of its two neighbours so that its mean is kept adds at most step²/4 to
        # each square.
        rounding = step**2 / 4
        distortions = np.linspace(source.least_of_cells + rounding, 1.06 * source.perfect, 24)
        outputs = np.tile(grid, (source.joint.shape[1], 1))
        squared = pd.perception_function(source.joint, outputs, moving, distortions)
        floor = pd.wasserstein_perception(distortions, source.least, source.perfect) ** 2
        ceiling = (
            pd.wasserstein_perception(distortions - rounding, source.least_of_cells, source.perfect) ** 2
            + rounding
        )
        outside = max(float(np.max(floor - squared)), float(np.max(squared - ceiling)), 0.0)
        return cls(distortions, squared, floor, outside)


# With the default prior the likeliest value is always ±1; with this one it is 0 more often than X is.
_OTHER_PRIOR = 0.3


def reproduction(p: float = 0.4, cells: int = 120, step: float = 0.05) -> Reproduction:
    """Curves and claims. p: P(X = ±1). cells: of Y. step: of the outputs' grid for Wasserstein-2."""
    source = _Source.observed(p, cells)
    grid = np.linspace(source.least_of_cells, 1.06 * source.perfect, 30)
    found = distances.curves(source.joint, grid)
    squared = _SquaredWasserstein.solved(source, step)
    moved = distances.Curve(
        "squared Wasserstein-2", distances.KANTOROVICH, squared.distortions, squared.perceptions
    )
    claims = [
        *(curve.claim() for curve in (*found.values(), moved)),
        _root_of_wasserstein(squared),
        _posterior_sampling(source),
        _never_more_than_twice(source),
        _outputs_of_the_mmse_estimate(found["total_variation"].perception),
        _outputs_of_the_map_estimate(p),
        _perfect_perception(source),
        _closed_form(squared),
        _zero_too_often(_OTHER_PRIOR),
        distances.not_convex_without_the_condition(found["squared_hellinger"]),
    ]
    drawn: dict[str, dict[str, Any]] = {key: curve.record() for key, curve in found.items()}
    drawn["squared_wasserstein"] = {**moved.record(), "closed_form": squared.closed_form}
    settings = {"p": p, "cells": cells, "output_step": step}
    return Reproduction({**settings, **_errors_and_laws(source), "distances": drawn}, claims)


def _errors_and_laws(source: _Source) -> dict[str, Any]:
    x = np.linspace(-0.999, 0.999, 401)
    return {
        "mmse": source.least,
        "mmse_of_cells": source.least_of_cells,
        "posterior_sampling_mse": source.sampling,
        "perfect_perception_mse": source.perfect,
        "map_mse": pd.map_mse(source.p),
        "map_law": pd.map_law(source.p),
        "mmse_law": {"x": x, "density": pd.mmse_density(x, source.p)},
    }


def _posterior_sampling(source: _Source) -> Claim:
    return Claim(
        "posterior sampling, whose perception is perfect, has twice the MMSE (3 dB)",
        "2",
        f"{source.sampling / source.least:.9f}",
        np.isclose(source.sampling, 2 * source.least, rtol=1e-8),
    )


def _never_more_than_twice(source: _Source) -> Claim:
    ratio = source.perfect / source.least
    return Claim(
        "so perfect perception never needs more than twice the MMSE",
        "≤ 2",
        f"{ratio:.4f} ({10 * np.log10(ratio):.2f} dB)",
        source.perfect <= 2 * source.least,
    )


def _outputs_of_the_mmse_estimate(variations: np.ndarray) -> Claim:
    return Claim(
        "the outputs of the MMSE estimate do not have the source's law",
        "> 0",
        f"total variation {variations[0]:.4f}: no output lies on −1, 0, 1",
        variations[0] > 1 - SOLVER,
    )


def _outputs_of_the_map_estimate(p: float) -> Claim:
    law = pd.map_law(p)
    return Claim(
        "the MAP estimate is −1 or 1, ½ each, and never 0",
        "P(±1) = ½, P(0) = 0",
        f"P(±1) = {law[0]:.4f} for {p}, P(0) = {law[1]:.4f} for {1 - 2 * p:.1f}; so from P(±1) > "
        f"{pd.never_zero():.4f} on",
        p > pd.never_zero() and np.allclose(law, (0.5, 0, 0.5)),
    )


def _zero_too_often(p: float) -> Claim:
    law = pd.map_law(p)
    return Claim(
        f"at P(±1) = {p} the MAP estimate's law is wrong in the other direction: 0 too often",
        f"P(0) > {1 - 2 * p:.1f}",
        f"P(0) = {law[1]:.4f}, P(±1) = {law[0]:.4f}",
        law[1] > pd.priors(p)[1],
        addition=True,
    )


def _root_of_wasserstein(squared: _SquaredWasserstein) -> Claim:
    excess = largest_concavity(np.sqrt(squared.closed_form))
    return Claim(
        "P(D) is convex: Wasserstein-2, the root",
        "theorem for this distance alone: closed form (Freirich et al. 2021)",
        f"excess over a chord {excess:.0e}, of the closed form",
        excess < SOLVER,
    )


def _perfect_perception(source: _Source) -> Claim:
    near = source.perfect + np.array([-0.001, 0.001])  # the cells move it by less
    before, behind = source.total_variations(near)
    return Claim(
        "P(D) reaches 0 at D* + W₂²(X, X*), in every distance (Freirich et al. 2021)",
        f"{source.perfect_from_parts:.6f}",
        f"{source.perfect:.6f}; total variation {before:.4f} at 0.001 less, {behind:.0e} at 0.001 more",
        np.isclose(source.perfect, source.perfect_from_parts, rtol=1e-8) and behind < SOLVER < before,
    )


def _closed_form(squared: _SquaredWasserstein) -> Claim:
    apart = np.max(np.abs(squared.perceptions - squared.closed_form)[1:])
    return Claim(
        "for Wasserstein-2, P = √(D₀ − D*) − √(D − D*) (Freirich et al. 2021)",
        "inside the bounds that the grids imply",
        f"{squared.outside:.0e} outside; {apart:.4f} from it at most",
        squared.outside < SOLVER,
    )
