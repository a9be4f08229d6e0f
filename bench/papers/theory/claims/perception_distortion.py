"""Blau & Michaeli 2018 on the discrete source in noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.papers.reproduction import Claim, Reproduction
from bench.papers.theory import perception_distortion as pd
from bench.papers.theory.claims.common import SOLVER, convex, falls
from bench.papers.theory.perception import kullback_leibler, total_variation, transport


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
        """P(D) for total variation; as for KL, outputs lie on the source's alphabet."""
        return pd.perception_function(
            self.joint, pd.outputs_on_support(self.joint), total_variation, distortions
        )

    def divergences(self, distortions: np.ndarray) -> np.ndarray:
        """P(D) for KL, in nats."""
        return pd.perception_function(
            self.joint, pd.outputs_on_support(self.joint), kullback_leibler, distortions
        )


@dataclass(frozen=True)
class _SquaredWasserstein:
    """P(D) for squared Wasserstein-2 on a grid of outputs, the closed form, and how far outside of what the
    grids allow it is.
    """

    distortions: np.ndarray
    perceptions: np.ndarray
    closed_form: np.ndarray
    outside: float

    @classmethod
    def solved(cls, source: _Source, step: float) -> _SquaredWasserstein:
        grid = np.linspace(-1, 1, round(2 / step) + 1)
        moving = transport((pd.SUPPORT[:, None] - grid) ** 2)
        # Rounding an output to one of its two neighbours, its mean kept, adds at most step²/4 to each square.
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


def reproduction(p: float = 0.3, cells: int = 120, step: float = 0.05) -> Reproduction:
    """Curves and claims. p: P(X = ±1). cells: of Y. step: of the outputs' grid for Wasserstein-2."""
    source = _Source.observed(p, cells)
    distortions = np.linspace(source.least_of_cells, 1.06 * source.perfect, 30)
    variations = source.total_variations(distortions)
    # At D = MMSE no mass lies on the source's alphabet and KL is infinite: its curve begins one step on.
    divergences = source.divergences(distortions[1:])
    squared = _SquaredWasserstein.solved(source, step)
    functions = (variations, divergences, squared.perceptions)
    claims = [
        falls("P(D) falls with D, for total variation, KL and Wasserstein-2", functions),
        convex("P(D) is convex where the distance is convex in its second argument", functions),
        _posterior_sampling(source),
        _never_more_than_twice(source),
        _outputs_of_the_mmse_estimate(variations),
        _outputs_of_the_map_estimate(p),
        _perfect_perception(source),
        _closed_form(squared),
    ]
    curves = {
        "p": p,
        "cells": cells,
        "output_step": step,
        **_errors_and_laws(source),
        "total_variation": {"distortion": distortions, "perception": variations},
        "kl_nats": {"distortion": distortions[1:], "perception": divergences},
        "squared_wasserstein": {
            "distortion": squared.distortions,
            "perception": squared.perceptions,
            "closed_form": squared.closed_form,
        },
    }
    return Reproduction(curves, claims)


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
    variation = abs(law[1] - pd.priors(p)[1])
    return Claim(
        "nor do those of the MAP estimate",
        "> 0",
        f"P(±1) = {law[0]:.4f} for {p}, P(0) = {law[1]:.4f} for {1 - 2 * p:.1f}: total variation "
        f"{variation:.4f}",
        variation > 0,
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
