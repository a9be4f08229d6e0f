"""Figure of the generator: its curve with the points A to D, beside the posterior's estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bench.drawing import pyplot
from bench.papers.denoising.claims import over_seeds
from bench.papers.wgan.frontier import hull


def curve(result: dict[str, Any], points: dict[str, int]) -> Figure:
    """Perception against distortion. points: for the names A to D, the numbers of their denoisers."""
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    for axis, key, label in (
        (axes[0], "wasserstein", "P, Wasserstein-1 (fresh critic)"),
        (axes[1], "sliced", "P, sliced Wasserstein"),
    ):
        mse, perception = over_seeds(result, "mse"), over_seeds(result, key)
        axis.plot(*reversed(hull(perception.mean, mse.mean)), color="#0b5394", label="hull of the denoisers")
        axis.errorbar(
            mse.mean, perception.mean, perception.error, mse.error, fmt="o", color="#0b5394", markersize=4
        )
        for name, number in points.items():
            axis.annotate(
                name,
                (mse.mean[number], perception.mean[number]),
                xytext=(5, 5),
                textcoords="offset points",
                weight="bold",
            )
        exact = result["estimators"]
        for mark, name, x, y in zip("s^*", exact["names"], exact["mse"], exact[key], strict=True):
            axis.plot(x, y, mark, color="#cc4125", markersize=8, label=name)
        axis.axvline(2 * float(np.min(mse.mean)), color="grey", linestyle=":", label="twice the least error")
        axis.set(xlabel="D, mean squared error", ylabel=label)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    return figure
