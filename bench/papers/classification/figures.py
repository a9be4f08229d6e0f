"""Figures of the classification experiments."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from bench.codecs import OURS
from bench.drawing import pyplot
from bench.papers.classification.claims import Grid, Quantity, designs_of
from bench.papers.wgan.frontier import hull
from bench.papers.wgan.seeds import OverSeeds

_LABELS = {
    "MSE": "D, mean squared error",
    "W₁": "P, Wasserstein-1 (fresh critic)",
    "errors": "C, error rate",
}

# Ticks of a logarithmic axis, in bits per pixel.
_RATES = (0.05, 0.1, 0.2, 0.4)


def curves(result: dict[str, Any]) -> Figure:
    """Each two of the three quantities at levels of the third, a row for each classifier used in training.

    Dots: restorers, means over seeds with their standard errors; lines: hulls of those whose third quantity
    is among the least third, the least two thirds, or anywhere.
    """
    designs = designs_of(result)
    figure, axes = pyplot.subplots(
        len(designs), 3, figsize=(13, 3.9 * len(designs)), layout="constrained", squeeze=False
    )
    for row, design in zip(axes, designs, strict=True):
        grid = Grid.of(result, design)
        for axis, (x, y, third) in zip(
            row,
            (
                (grid.distortion, grid.errors, grid.perception),
                (grid.perception, grid.errors, grid.distortion),
                (grid.perception, grid.distortion, grid.errors),
            ),
            strict=True,
        ):
            _at_levels(axis, x, y, third)
        row[1].set_title(f"trained with the {design} classifier")
    figure.suptitle(result["task"])
    return figure


def _at_levels(axis: Axes, x: Quantity, y: Quantity, third: Quantity) -> None:
    """Two quantities, and their hulls at three levels of a third."""
    for ink, share in zip(("#38761d", "#7f6000", "#0b5394"), (1 / 3, 2 / 3, 1.0), strict=True):
        level = float(np.quantile(third.mean, share))
        within = third.mean <= level
        axis.plot(*hull(x.mean[within], y.mean[within]), color=ink, label=f"{third.name} ≤ {level:.3g}")
    bars = [OverSeeds(quantity.values).error for quantity in (x, y)]
    axis.errorbar(x.mean, y.mean, bars[1], bars[0], fmt="none", ecolor="lightgrey", zorder=1)
    axis.scatter(x.mean, y.mean, c=third.mean, cmap="plasma", s=18, zorder=3)
    axis.set(xlabel=_LABELS[x.name], ylabel=_LABELS[y.name])
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)


def restored_images(group: dict[str, Any], shown: NDArray[np.uint8]) -> Figure:
    """Originals, what restorers were given, and what the corners of the grid of (λ, μ) made of it.

    shown: uint8 `[2 + models, images, H, W, C]`.
    """
    weights, cross = np.array(group["weights"]), np.array(group["cross"])
    corners = [
        int(np.flatnonzero((weights == weight) & (cross == mu))[0])
        for weight in (weights.min(), weights.max())
        for mu in (cross.min(), cross.max())
    ]
    rows = [shown[0], shown[1], *(shown[2 + corner] for corner in corners)]
    side = shown.shape[2]
    figure, axis = pyplot.subplots(figsize=(8.6, 3.9), layout="constrained")
    image = np.concatenate([np.concatenate(list(row), 1) for row in rows])
    axis.imshow(255 - image[:, :, 0] if image.shape[2] == 1 else image, cmap="gray")
    labels = [f"λ = {weights[corner]:g}, μ = {cross[corner]:g}" for corner in corners]
    middles = [side // 2 + side * number for number in range(len(rows))]
    axis.set_yticks(middles, ["original", "given", *labels], fontsize=8)
    axis.set_xticks([])
    return figure


def codecs(axes: dict[str, Any]) -> Figure:
    """Errors of a frozen classifier against rate, PSNR and LPIPS: our codec at each realism and its peers."""
    figure, drawn = pyplot.subplots(1, 3, figsize=(13.5, 4.2), layout="constrained")
    labels = {"bpp": "bits per pixel", "psnr": "PSNR (dB)", "lpips_alex": "LPIPS (AlexNet)"}
    for name, codec in axes.items():
        realisms = codec["realisms"]
        inks = pyplot.get_cmap("viridis")(np.linspace(0, 0.85, len(realisms)))
        for ink, (realism, points) in zip(inks, realisms.items(), strict=True):
            ours = name == OURS
            label = f"{codec['label']}, realism {realism}" if ours else codec["label"]
            style = {"color": ink} if ours else {"linestyle": "--"}
            for axis, (key, text) in zip(drawn, labels.items(), strict=True):
                if key in points:
                    axis.plot(points[key], points["error"], marker="o", markersize=3, label=label, **style)
                axis.set(xlabel=text, ylabel="C, top-1 errors")
    for axis in drawn:
        axis.grid(alpha=0.3)
    drawn[0].set_xscale("log")
    drawn[0].set_xticks([], minor=True)
    drawn[0].set_xticks(_RATES, [f"{rate:g}" for rate in _RATES])
    drawn[0].legend(fontsize=8)
    return figure
