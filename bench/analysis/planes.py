"""Perception-distortion planes: the methods at one rate, and which of them dominates which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.analysis.curve import Curve
from bench.analysis.measured import INTERVAL, Measure, Measured

# Where the perception-distortion plane is cut, in bits per pixel.
PLANE_RATES = np.array([0.08, 0.12, 0.18, 0.25, 0.35, 0.5, 0.7, 1.0])


@dataclass(frozen=True)
class Method:
    """A codec at a realism, at all of `PLANE_RATES`.

    losses: negated PSNR, and perception, `[R, 2]`, NaN where they were not measured;
    resampled: the same in each resampling, `[S, R, 2]`, or None where errors are unknown.
    """

    codec: str
    label: str
    realism: float
    losses: np.ndarray
    resampled: np.ndarray | None


def planes(
    codecs: Iterable[Measured], published: list[dict[str, Any]], measure: Measure, weights: np.ndarray
) -> list[dict[str, Any]]:
    """The perception-distortion plane at each of `PLANE_RATES`: methods, and who dominates whom.

    Dominance is a triple: the better method, the worse one, and the share of resamplings in which this holds,
    null where there are no resamplings.
    """
    methods = [
        method for codec in codecs if codec.has(measure.key) for method in _measured(codec, measure, weights)
    ]
    methods += _published(published, measure)
    return [_plane(rate, r, methods) for r, rate in enumerate(PLANE_RATES)]


def dominates(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether one method is better than another in both distortion and perception (Blau & Michaeli 2018).

    first, second: `[…, 2]`, smaller is better. False where one is NaN.
    """
    return np.asarray((first < second).all(axis=-1))


def _measured(codec: Measured, measure: Measure, weights: np.ndarray) -> list[Method]:
    """A codec at each of its realisms."""
    metrics = ("bpp", "psnr", measure.key)
    bpp, psnr, perception = (codec.mean(metric) for metric in metrics)
    errors_known = measure.key in codec.values or measure.key in codec.errors
    drawn = [codec.resampled(metric, weights) for metric in metrics] if errors_known else None
    methods = []
    for b, realism in enumerate(codec.realisms):
        resampled = None
        if drawn:
            columns = zip(*(draw[..., b] for draw in drawn), strict=True)
            resampled = np.stack([_losses(r, d, p, measure) for r, d, p in columns])
        losses = _losses(bpp[:, b], psnr[:, b], perception[:, b], measure)
        methods.append(Method(codec.name, codec.label, realism, losses, resampled))
    return methods


def _published(curves: list[dict[str, Any]], measure: Measure) -> list[Method]:
    """The published curves that give this measure."""
    methods = []
    for curve in curves:
        points = [point for point in curve["points"] if {"psnr", measure.key} <= point.keys()]
        if points:
            metrics = ("bpp", "psnr", measure.key)
            bpp, psnr, perception = (np.array([point[metric] for point in points]) for metric in metrics)
            losses = _losses(bpp, psnr, perception, measure)
            methods.append(Method(curve["name"], curve["label"], 0.0, losses, None))
    return methods


def _losses(bpp: np.ndarray, psnr: np.ndarray, perception: np.ndarray, measure: Measure) -> np.ndarray:
    """`Method.losses` of a measured curve."""
    at_rates = Curve(bpp, np.stack([-psnr, measure.scaled(perception)], axis=1)).at(PLANE_RATES)
    return np.stack([at_rates[:, 0], measure.unscaled(at_rates[:, 1])], axis=1)


def _plane(rate: float, r: int, methods: list[Method]) -> dict[str, Any]:
    """The plane at one rate, of the methods that were measured there."""
    present = [method for method in methods if np.isfinite(method.losses[r]).all()]
    dominance = [
        [a, b, _share_dominating(first, second, r)]
        for a, first in enumerate(present)
        for b, second in enumerate(present)
        if dominates(first.losses[r], second.losses[r])
    ]
    return {"bpp": rate, "methods": [_shown(method, r) for method in present], "dominance": dominance}


def _share_dominating(first: Method, second: Method, r: int) -> float | None:
    if first.resampled is None or second.resampled is None:
        return None
    return float(dominates(first.resampled[:, r], second.resampled[:, r]).mean())


def _shown(method: Method, r: int) -> dict[str, Any]:
    """A method's place in the plane, with its intervals."""
    bounds = None
    if method.resampled is not None:
        bounds = np.nanpercentile(method.resampled[:, r], INTERVAL, axis=0)
    return {
        "codec": method.codec,
        "label": method.label,
        "realism": method.realism,
        "psnr": -method.losses[r, 0],
        "perception": method.losses[r, 1],
        "psnr_interval": None if bounds is None else -bounds[::-1, 0],
        "perception_interval": None if bounds is None else bounds[:, 1],
    }
