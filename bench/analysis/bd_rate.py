"""Bjøntegaard delta rates: how many bits more one codec needs than another for the same quality, in per cent.

They compare plain curves, surfaces, and the records in CompressAI's schema that `python -m bench measure rd`
writes.
"""

from __future__ import annotations

import math
from typing import Any

import bjontegaard
import numpy as np

from bench.analysis.curve import Curve
from bench.analysis.measured import Measured, with_interval

# What 1 - MS-SSIM counts as for identical images: 100 dB.
LEAST_ERROR = 1e-10
# A hundred BD-rates take a second, so more resamplings would take minutes.
BD_RESAMPLINGS = 200


def quality_curve(bpp: Any, values: Any, metric: str) -> Curve:
    """A metric as a quality that rises as images get better.

    MS-SSIM in decibels, −10·log₁₀(1 − MS-SSIM); LPIPS and Butteraugli in octaves; all else as it is.
    """
    quality = np.asarray(values, float)
    if metric.startswith(("ms-ssim", "ms_ssim")):
        quality = -10 * np.log10(np.maximum(1 - quality, LEAST_ERROR))
    elif metric.startswith(("lpips", "butteraugli")):
        with np.errstate(divide="ignore"):  # 0 for equal images, a point that curves leave out
            quality = -np.log2(quality)
    return Curve(np.asarray(bpp, float), quality)


def bd_rate(anchor: Curve, test: Curve) -> float:
    """The BD-rate (PCHIP) of `test` against `anchor`, negative where `test` needs fewer bits."""
    return float(
        bjontegaard.bd_rate(
            anchor.bpp,
            anchor.values,
            test.bpp,
            test.values,
            method="pchip",
            require_matching_points=False,
            min_overlap=0,
        )
    )


def bd_rate_if_shared(
    anchor: Curve,
    test: Curve,
    bpp_range: tuple[float, float] | None = None,
    least: float = -math.inf,
) -> float:
    """The BD-rate without points that improve nothing; NaN where the curves share no quality to compare.

    bpp_range: compare only the qualities that the anchor has between these rates. least: compare only
    qualities of at least this.
    """
    first, second = anchor.improving(), test.improving()
    if min(len(first.values), len(second.values)) < 2:
        return math.nan
    most = math.inf
    if bpp_range:
        low, most = first.at(np.clip(bpp_range, first.bpp[0], first.bpp[-1]))
        least = max(least, low)
    if max(first.values[0], second.values[0], least) >= min(first.values[-1], second.values[-1], most):
        return math.nan
    if least > -math.inf:
        first, second = first.between(least, most), second.between(least, most)
    return bd_rate(first, second)


def stored_rate(rate: float) -> float | None:
    """A BD-rate as records have it: to two digits, or None where it is undefined."""
    return round(rate, 2) if math.isfinite(rate) else None


def rate_text(rate: float | None) -> str:
    """A stored BD-rate in words."""
    return "undefined" if rate is None else f"{rate:+.1f} %"


def mean_curve(record: dict[str, Any], metric: str) -> Curve:
    """The curve of a record's means over images."""
    return quality_curve(record["results"]["bpp"], record["results"][metric], metric)


def bd_rates_of_images(anchor: dict[str, Any], test: dict[str, Any], metric: str) -> dict[str, float]:
    """The BD-rate of each image, for two records of the same images; NaN where curves share no quality."""
    return {
        name: bd_rate_if_shared(_image_curve(points, metric), _image_curve(test["images"][name], metric))
        for name, points in anchor["images"].items()
    }


def bd_rate_by_image(anchor: dict[str, Any], test: dict[str, Any], metric: str) -> float:
    """The mean of the images' own BD-rates.

    The BD-rate of mean curves also counts how a setting spreads bits over images: a codec whose curve is
    worse on every image can still have the better mean curve (docs/glossary.md, BD-rate).
    """
    return float(np.mean(list(bd_rates_of_images(anchor, test, metric).values())))


def _image_curve(points: list[dict[str, float]], metric: str) -> Curve:
    return quality_curve([point["bpp"] for point in points], [point[metric] for point in points], metric)


def measured_bd_rate(
    anchor: Measured,
    test: Measured,
    metric: str,
    realisms: tuple[int, int],
    weights: np.ndarray,
    *,
    least: float = -math.inf,
) -> dict[str, Any]:
    """The BD-rate of one surface against another, each at one realism, with its interval.

    realisms: their columns; least: compare only qualities of at least this, on the scale of `quality_curve`.
    """
    sides = list(zip((anchor, test), realisms, strict=True))
    first, second = (measured_curve(codec, metric, column) for codec, column in sides)
    drawn = zip(
        *(codec.resampled(m, weights)[..., column] for codec, column in sides for m in ("bpp", metric)),
        strict=True,
    )
    values = [
        bd_rate_if_shared(quality_curve(ar, av, metric), quality_curve(tr, tv, metric), least=least)
        for ar, av, tr, tv in drawn
    ]
    return with_interval(bd_rate_if_shared(first, second, least=least), np.array(values))


def measured_curve(codec: Measured, metric: str, column: int) -> Curve:
    """A codec's means over images at one realism."""
    return quality_curve(codec.mean("bpp")[:, column], codec.mean(metric)[:, column], metric)
