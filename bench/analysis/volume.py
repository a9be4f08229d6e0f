"""The rate-distortion-perception function of a measured codec, and the volume under it: one number for a
surface.

D(R, P) is the least distortion that the codec reaches with at most R bits per pixel and a perception measure
of at most P (as in Blau & Michaeli 2019, but over what a codec's settings reach instead of over all codes).
docs/measuring.md defines the volume and gives the reasons for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.analysis.curve import Curve
from bench.analysis.measured import PERCEPTION, Measured


@dataclass(frozen=True)
class Box:
    """Where surfaces are compared: bits per pixel, PSNR in dB, perception; each from low to high."""

    bpp: tuple[float, float] = (1 / 16, 1.0)
    psnr: tuple[float, float] = (20.0, 40.0)
    perception: tuple[float, float] = (0.01, 0.64)


# Four octaves of rate, 20 dB and six octaves of perception cover what photographs are exchanged at, from
# coarse to hardly distinguishable. The boxes never change with data or weights, because volumes in different
# boxes cannot be compared. The first is for LPIPS, a distortion; the second for a divergence between
# distributions.
BOX = Box()
BOXES = {"lpips_alex": BOX, "kernel_held_out": Box(perception=(0.001, 0.064))}
REWARDS = {
    "lpips_alex": "rewards closeness as a network sees it; moderate noise lowers it",
    "kernel_held_out": "rewards images that look like originals as a set, wherever their detail lies; "
    "moderate noise lowers it too",
}
# A divergence may be measured as zero or less, so it is clipped at this many octaves below its box.
_OCTAVES_BELOW = 4
# Nodes of the integral along rate and perception: with more of them the volume of a measured surface moves by
# less than 0.001.
_NODES = (65, 193)


def attained(
    bpp: np.ndarray, bound: np.ndarray, value: np.ndarray, rates: np.ndarray, bounds: np.ndarray
) -> np.ndarray:
    """The least `value` reached with at most `rates` bits per pixel and at most `bounds` in the other
    measure.

    bpp, bound, value: of a grid of points, `[Q, B]`, on the scales on which they are interpolated: along
    quality by `Curve`, between neighbouring realisms linearly. rates: `[R]`, rising; bounds: `[L]`.
    Returns `[R, L]`, inf where nothing is reached. A codec may use fewer bits than allowed, so beyond its
    last point it keeps the value it has there.
    """
    # A measured point below a rate counts at that rate, whatever lies between them.
    every = np.union1d(rates, bpp[bpp < rates[-1]])
    pair = np.stack([bound, value], axis=-1)
    at_rate = np.stack([_held(bpp[:, b], pair[:, b], every) for b in range(bpp.shape[1])])  # [B, every, 2]
    a, v = at_rate[:, :, None, 0], at_rate[:, :, None, 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        least = np.where(a <= bounds, v, np.inf).min(axis=0)
        # On the segment between two realisms, value is linear: the least lies at an end or where the bound is
        # met.
        share = (bounds - a[:-1]) / (a[1:] - a[:-1])
        crossing = v[:-1] + share * (v[1:] - v[:-1])
        inside = (share > 0) & (share < 1)
        least = np.minimum(least, np.where(inside, crossing, np.inf).min(axis=0, initial=np.inf))
    return np.minimum.accumulate(least, axis=0)[np.searchsorted(every, rates)]


def _held(bpp: np.ndarray, values: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Interpolated values, held beyond the last point; NaN before the first."""
    return Curve(bpp, values).at(np.where(rates > bpp.min(), np.minimum(rates, bpp.max()), rates))


def volume(bpp: np.ndarray, psnr: np.ndarray, perception: np.ndarray, box: Box = BOX) -> float:
    """The volume under D(R, P) in the box, as a share of the box: 0 is best, 1 if nothing in it is reached.

    bpp, psnr, perception: of the whole set, `[Q, B]`. Axes are log2 of the rate, dB and log2 of perception.
    """
    rates = np.geomspace(box.bpp[0], box.bpp[1], _NODES[0])
    levels = np.linspace(np.log2(box.perception[0]), np.log2(box.perception[1]), _NODES[1])
    octaves = np.log2(np.maximum(perception, box.perception[0] / 2**_OCTAVES_BELOW))
    loss = attained(bpp, octaves, -psnr, rates, levels)
    low, high = box.psnr
    height = np.clip((loss + high) / (high - low), 0, 1)
    return float(np.trapezoid(np.trapezoid(height, axis=1), axis=0) / ((_NODES[0] - 1) * (_NODES[1] - 1)))


def measured_volume(measured: Measured, perception: str = "lpips_alex") -> float:
    """The volume of a codec's means, by one of `BOXES`."""
    bpp, psnr, perceived = (measured.mean(metric) for metric in ("bpp", "psnr", perception))
    return volume(bpp, psnr, perceived, BOXES[perception])


def resampled_volumes(measured: Measured, weights: np.ndarray, perception: str = "lpips_alex") -> np.ndarray:
    """The volumes under weights of images `[S, N]`, as `[S]`."""
    metrics = [measured.resampled(metric, weights, together=True) for metric in ("bpp", "psnr", perception)]
    drawn = zip(*metrics, strict=True)
    return np.array([volume(bpp, psnr, perceived, BOXES[perception]) for bpp, psnr, perceived in drawn])


def contours(
    measured: Measured, perception: str, count: int = 6
) -> dict[str, list[tuple[float, np.ndarray]]]:
    """Sections of the surface: `equal_perception` in the rate-distortion plane, as in the 2019 paper,
    and `equal_distortion` in the rate-perception plane.

    Each lists levels and their lines `[n, 2]`: bits per pixel, then PSNR in dB or the perception measure.
    Both are empty for a codec without a realism setting, whose surface is a line.
    """
    if len(measured.realisms) < 2:
        return {"equal_perception": [], "equal_distortion": []}
    measure = PERCEPTION[perception]
    bpp, psnr = measured.mean("bpp"), measured.mean("psnr")
    perceived = measure.scaled(measured.mean(perception))
    rates = np.geomspace(bpp.min(), bpp.max(), 97)
    # Not the extremes, which are reached at one rate only.
    shares = np.linspace(0, 1, count)
    levels, dbs = (
        (1 - shares) * np.quantile(v, 0.1) + shares * np.quantile(v, 0.9) for v in (perceived, psnr)
    )
    distortion = -attained(bpp, perceived, -psnr, rates, levels)
    perception_at = measure.unscaled(attained(bpp, -psnr, perceived, rates, -dbs))
    return {
        "equal_perception": [
            (level, _line(rates, distortion[:, i])) for i, level in enumerate(measure.unscaled(levels))
        ],
        "equal_distortion": [(level, _line(rates, perception_at[:, i])) for i, level in enumerate(dbs)],
    }


def _line(rates: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The part of a line that is reached."""
    return np.stack([rates, values], axis=1)[np.isfinite(values)]
