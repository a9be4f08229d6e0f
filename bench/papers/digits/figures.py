"""Figures of the MNIST experiments."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from bench.drawing import pyplot
from bench.papers.wgan.frontier import hull

_PERCEPTION = "P, Wasserstein-1 (fresh critic)"
_RATE = "R, bits an image"
_DISTORTION = "D, mean squared error"


def surface(curves: dict[str, Any]) -> Figure:
    """All pairs in space, curves of equal perception, and distortion against perception at each rate.

    Hulls are those of the first seed, dots those of all seeds.
    """
    pairs = curves["results"]["pairs"]
    figure = pyplot.figure(figsize=(14, 4.6), layout="constrained")
    grid = figure.add_gridspec(1, 3, width_ratios=(1.1, 1, 1))
    space, equal = figure.add_subplot(grid[0], projection="3d"), figure.add_subplot(grid[1])
    planes = figure.add_subplot(grid[2])
    rates = sorted({group["bits"] for group in pairs})
    inks = dict(zip(rates, pyplot.get_cmap("viridis")(np.linspace(0, 0.9, len(rates))), strict=True))
    for group in pairs:
        p, d, bits = (np.array(group[name]) for name in ("wasserstein", "mse", "bits"))
        ink, first = inks[group["bits"]], group["seed"] == pairs[0]["seed"]
        planes.plot(p, d, "o", color=ink, markersize=3.5 if first else 2)
        if first:
            space.plot(p, d, np.full(len(p), bits), "o-", color=ink, markersize=3)
            planes.plot(*hull(p, d), color=ink, label=f"{bits:g} bits")
    space.set(xlabel=_PERCEPTION, ylabel=_DISTORTION, zlabel=_RATE)
    for dimension in (space.xaxis, space.yaxis, space.zaxis):
        dimension.set_major_locator(MaxNLocator(4))
        dimension.labelpad = 8
    space.view_init(elev=22, azim=35)
    space.set_box_aspect(None, zoom=0.85)
    planes.set(title="Distortion and perception at each rate", xlabel=_PERCEPTION, ylabel=_DISTORTION)
    planes.legend(fontsize=8)
    _equal_perception(equal, curves["equi_perception"])
    for axis in (equal, planes):
        axis.grid(alpha=0.3)
    return figure


def _equal_perception(axis: Axes, lines: dict[str, Any]) -> None:
    """Rate against the least distortion under each bound, with standard errors over seeds."""
    distortions, errors = np.asarray(lines["mse"]), np.asarray(lines["standard_error"])
    inks = pyplot.get_cmap("plasma")(np.linspace(0, 0.85, len(lines["bounds"])))
    for ink, bound, values, bars in zip(inks, lines["bounds"], distortions.T, errors.T, strict=True):
        label = f"P ≤ {bound:.2f}" if np.isfinite(bound) else "no bound"
        axis.errorbar(
            values, lines["bits"], xerr=bars, fmt="o-", color=ink, markersize=4, capsize=2, label=label
        )
    axis.set(title="Curves of equal perception", xlabel=_DISTORTION, ylabel=_RATE)
    axis.legend()


_VARIANTS = {
    "universal": "one encoder, frozen",
    "conditioned": "one network, told λ",
    "features": "distortion with features",
    "layer-a": "perception on layer a",
    "layer-b": "perception on layer b",
    "layer-c": "perception on layer c",
}


def variants(curves: dict[str, Any]) -> Figure:
    """The other experiments beside the pairs, at the rates they share, for the first seed."""
    results = curves["results"]
    seed = results["pairs"][0]["seed"]
    drawn = [name for name in _VARIANTS if name in results]
    rates = sorted({group["bits"] for name in drawn for group in results[name]})
    width = max(1, len(rates))
    figure, axes = pyplot.subplots(1, width, figsize=(4.7 * width, 4.2), layout="constrained", squeeze=False)
    inks = ("#cc4125", "#38761d", "#7f6000", "#674ea7", "#a64d79", "#45818e")
    for axis, bits in zip(axes[0], rates, strict=False):
        pair = next(g for g in results["pairs"] if (g["bits"], g["seed"]) == (bits, seed))
        axis.plot(pair["wasserstein"], pair["mse"], "o-", color="#0b5394", label="a pair for each λ")
        for ink, name in zip(inks, _VARIANTS, strict=True):
            for group in results.get(name, []):
                if (group["bits"], group["seed"]) == (bits, seed):
                    axis.plot(group["wasserstein"], group["mse"], "s--", color=ink, label=_VARIANTS[name])
        axis.set(title=f"{bits:g} bits", xlabel=_PERCEPTION, ylabel=_DISTORTION)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    return figure


def reconstructions(pairs: list[dict[str, Any]], shown: list[NDArray[np.uint8]]) -> Figure:
    """Decoded digits: a block for each of at most four rates, with a row for each of at most four weights.

    shown: for each rate `[1 + models, digits, 28, 28]`, originals first.
    """
    rows, rates = _spread(len(pairs[0]["weights"])), _spread(len(pairs))
    figure, axes = pyplot.subplots(
        len(rates), 1, figsize=(4.4, 1.9 * len(rates)), layout="constrained", squeeze=False
    )
    for axis, rate in zip(axes[:, 0], rates, strict=True):
        group, images = pairs[rate], shown[rate]
        lines = [images[0], *(images[1 + row] for row in rows)]
        axis.imshow(255 - np.concatenate([np.concatenate(list(line), 1) for line in lines]), cmap="gray")
        labels = ["original", *(f"λ = {group['weights'][row]:g}" for row in rows)]
        axis.set_yticks([14 + 28 * number for number in range(len(lines))], labels, fontsize=8)
        axis.set_xticks([])
        axis.set_title(f"{group['bits']:g} bits", fontsize=9)
    return figure


def _spread(count: int, most: int = 4) -> list[int]:
    """At most `most` of 0..count−1, evenly spread, both ends included."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int)).tolist()
