"""What theory says about a rate-distortion-perception surface, checked on a measured one.

Each statement becomes a figure at many places of the surface and a limit that it must not exceed. A statement
holds when no place exceeds the limit, holds within error when no place exceeds it in more than 97.5 % of the
resamplings of the images, and fails otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from scipy.spatial import ConvexHull

from bench.analysis.measured import INTERVAL, PERCEPTION, Measured

HOLDS, WITHIN_ERROR, FAILS, NOT_MEASURED = "holds", "holds within error", "fails", "not measured"


@dataclass(frozen=True)
class Check:
    """One statement, whether it holds, and the figure at the worst place as evidence."""

    statement: str
    verdict: str
    figure: str


def checks(measured: Measured, weights: np.ndarray) -> list[Check]:
    """All checks of one codec; weights: resamplings of its images `[S, N]`."""
    return [
        distortion_falls_with_rate(measured, weights),
        *(
            perception_improves_with_realism(measured, weights, metric)
            for metric in PERCEPTION
            if measured.has(metric)
        ),
        surface_is_convex(measured, weights),
        *(
            mixtures_lie_under_the_chord(measured, weights, metric)
            for metric in ("lpips_alex", "kernel_held_out", "kernel")
            if measured.has(metric)
        ),
    ]


def distortion_falls_with_rate(measured: Measured, weights: np.ndarray) -> Check:
    """Mean MSE falls with every step of quality, at each realism."""
    places = [
        f"quality {low:g} → {high:g}{_at_realism(measured, b)}"
        for (low, high), b in product(_steps(measured.qualities), measured.realisms)
    ]
    return _judged(
        "Distortion falls with rate at each realism",
        lambda mse: 100 * (mse[..., 1:, :] / mse[..., :-1, :] - 1),
        ("mse",),
        measured,
        weights,
        places,
        "{:+.1f} %",
        " of the MSE",
    )


def perception_improves_with_realism(measured: Measured, weights: np.ndarray, metric: str) -> Check:
    """The perception measure falls with every step of realism, at each quality."""
    statement = f"Perception improves with realism at each rate: {PERCEPTION[metric].label}"
    if len(measured.realisms) < 2:
        return _no_dial(statement)
    places = [
        f"quality {q:g}, realism {low:g} → {high:g}"
        for q, (low, high) in product(measured.qualities, _steps(measured.realisms))
    ]
    return _judged(
        statement,
        lambda p: p[..., 1:] - p[..., :-1],
        (metric,),
        measured,
        weights,
        places,
        "{:+.3g}",
    )


def surface_is_convex(measured: Measured, weights: np.ndarray) -> Check:
    """R(D, P) is convex (Blau & Michaeli 2019): no mixture of settings does better than a setting.

    The figure is the share of bits that coding some images at other settings would save at the same mean
    MSE and the same mean LPIPS. Theory speaks of a divergence between distributions. LPIPS stands in for it
    because each image has its own value, so that the error is known.
    """
    places = [
        f"quality {q:g}{_at_realism(measured, b)}" for q, b in product(measured.qualities, measured.realisms)
    ]
    return _judged(
        "The surface R(D, P) is convex (D: MSE, P: LPIPS)",
        lambda *grids: _over_resamplings(bits_saved_by_mixing, grids),
        ("bpp", "mse", "lpips_alex"),
        measured,
        weights,
        places,
        "{:.2f} %",
        " of the bits saved by a mixture",
        limit=0.01,  # what rounding the stored figures to six digits could feign
    )


def mixtures_lie_under_the_chord(measured: Measured, weights: np.ndarray, metric: str) -> Check:
    """A mixture of two decoders has no more MSE than the chord between them at the same perception (2018).

    The chord is the straight line between realism 0 and 1 in the perception-distortion plane, level beyond
    its ends.
    """
    statement = f"Mixtures of the two decoders lie on or under the chord: {PERCEPTION[metric].label}"
    if len(measured.realisms) < 3:
        return _no_dial(statement)
    places = [
        f"quality {q:g}, realism {b:g}" for q, b in product(measured.qualities, measured.realisms[1:-1])
    ]
    return _judged(
        statement,
        _over_chord,
        ("mse", metric),
        measured,
        weights,
        places,
        "{:+.2f} %",
        " of the MSE against the chord",
    )


def bits_saved_by_mixing(bpp: np.ndarray, mse: np.ndarray, perception: np.ndarray) -> np.ndarray:
    """How far each point lies above the convex hull of all, in per cent of its bits; 0 for a point on the
    hull.

    All arrays are `[n]`. The hull holds everything that is no better than a mixture, so it also includes each
    point with more distortion and with worse perception.
    """
    # Without a realism setting perception follows distortion. A constant axis would leave a plane, which has
    # no 3-D hull.
    axes = [axis for axis in (mse, perception) if np.ptp(axis) > 0]
    if not axes:
        return np.zeros_like(bpp)
    scaled = np.stack([*((axis - axis.min()) / np.ptp(axis) for axis in axes), bpp / bpp.max()], axis=1)
    worse = []
    for axis in range(len(axes)):
        moved = scaled.copy()
        moved[:, axis] = 2
        worse.append(moved)
    above = scaled.copy()
    above[:, -1] = 2
    hull = ConvexHull(np.concatenate([scaled, *worse, above]))
    faces = hull.equations[hull.equations[:, -2] < -1e-9]  # those seen from below
    floor = -(scaled[:, :-1] @ faces[:, :-2].T + faces[:, -1]) / faces[:, -2]
    return 100 * np.clip(1 - floor.max(axis=1) / scaled[:, -1], 0, None)


def _over_resamplings(function: Callable[..., np.ndarray], grids: tuple[np.ndarray, ...]) -> np.ndarray:
    """Apply a function of flat grids to grids `[Q, B]`, or to each of `[S, Q, B]`."""
    if grids[0].ndim == 2:
        return function(*(grid.ravel() for grid in grids))
    return np.array([function(*(grid.ravel() for grid in point)) for point in zip(*grids, strict=True)])


def _over_chord(mse: np.ndarray, perception: np.ndarray) -> np.ndarray:
    """MSE of the inner realisms over that of the chord at equal perception, in per cent, `[…, B − 2]`."""
    ends_d, ends_p = mse[..., [0, -1]], perception[..., [0, -1]]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (ends_p[..., :1] - perception[..., 1:-1]) / (ends_p[..., :1] - ends_p[..., 1:])
    share = np.clip(np.nan_to_num(share), 0, 1)
    chord = ends_d[..., :1] + share * (ends_d[..., 1:] - ends_d[..., :1])
    return 100 * (mse[..., 1:-1] / chord - 1)


def _judged(
    statement: str,
    function: Callable[..., np.ndarray],
    metrics: tuple[str, ...],
    measured: Measured,
    weights: np.ndarray,
    places: list[str],
    form: str,
    of_what: str = "",
    limit: float = 0.0,
) -> Check:
    """Check `function` of metrics against a limit at each place.

    function: of one array for each metric, `[Q, B]` or `[S, Q, B]`, to the figures of all places, the same
    with another Q and B. form, of_what: how a figure is written, and what follows it.
    """
    figures = function(*(measured.mean(metric) for metric in metrics)).ravel()
    drawn = function(*(measured.resampled(metric, weights) for metric in metrics))
    bounds = np.percentile(drawn.reshape(-1, figures.size), INTERVAL, axis=0)
    exceeding = int((figures > limit).sum())
    if not exceeding:
        verdict = HOLDS
    elif (bounds[0] > limit).any():
        verdict = FAILS
    else:
        verdict = WITHIN_ERROR
    worst = int(np.argmax(figures))
    worst_figure, low, high = (
        form.format(value).replace("-", "−") for value in (figures[worst], *bounds[:, worst])
    )
    return Check(
        statement,
        verdict,
        f"{figures.size - exceeding} of {figures.size} places; least favourable {worst_figure}{of_what} "
        f"(95 %: {low} to {high}) at {places[worst]}",
    )


def _no_dial(statement: str) -> Check:
    return Check(statement, NOT_MEASURED, "these weights have no realism setting")


def _steps(values: np.ndarray) -> list[tuple[float, float]]:
    return list(pairwise(values))


def _at_realism(measured: Measured, realism: float) -> str:
    return f", realism {realism:g}" if len(measured.realisms) > 1 else ""
