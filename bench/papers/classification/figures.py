"""Figures of the classification experiments."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from bench.codecs import OURS
from bench.drawing import pyplot
from bench.papers.wgan.frontier import hull

_LABELS = {
    "mse": "D, mean squared error",
    "wasserstein": "P, Wasserstein-1 (fresh critic)",
    "error": "C, error rate",
}

# Ticks of a logarithmic axis, in bits per pixel.
_RATES = (0.05, 0.1, 0.2, 0.4)


def curves(result: dict[str, Any]) -> Figure:
    """Three pairs of quantities, a row for each classifier that was trained with.

    Dots: restorers, brighter with μ; the line is the hull of those that are best in the two.
    """
    groups = result["groups"]
    figure, axes = pyplot.subplots(
        len(groups), 3, figsize=(13, 3.9 * len(groups)), layout="constrained", squeeze=False
    )
    for row, (design, group) in zip(axes, groups.items(), strict=True):
        (other,) = (name for name in groups if name != design)
        cross = np.array(group["cross"])
        inks = np.searchsorted(np.unique(cross), cross)
        for axis, (x, y) in zip(
            row, (("mse", "error"), ("wasserstein", "error"), ("wasserstein", "mse")), strict=True
        ):
            values = {"mse": group["mse"], "wasserstein": group["wasserstein"]}
            across = np.array(values[x])
            up = np.array(group[f"error {design}"] if y == "error" else values[y])
            axis.plot(*hull(across, up), color="#0b5394", linewidth=1.5)
            axis.scatter(across, up, c=inks, cmap="plasma", zorder=3, label="the classifier of training")
            if y == "error":
                elsewhere = np.array(group[f"error {other}"])
                axis.scatter(across, elsewhere, c=inks, cmap="plasma", marker="x", label="the other one")
                axis.legend(fontsize=8)
            axis.set(xlabel=_LABELS[x], ylabel=_LABELS[y])
            axis.xaxis.set_major_locator(MaxNLocator(5))
            axis.grid(alpha=0.3)
        row[1].set_title(f"trained with the {design} classifier")
    figure.suptitle(result["task"])
    return figure


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
    figure, axis = pyplot.subplots(figsize=(4.4, 2.6), layout="constrained")
    image = np.concatenate([np.concatenate(list(row), 1) for row in rows])
    axis.imshow(255 - image[:, :, 0] if image.shape[2] == 1 else image, cmap="gray")
    labels = [f"λ = {weights[corner]:g}, μ = {cross[corner]:g}" for corner in corners]
    middles = [side // 2 + side * number for number in range(len(rows))]
    axis.set_yticks(middles, ["original", "given", *labels], fontsize=8)
    axis.set_xticks([])
    return figure


def codecs(axes: dict[str, Any]) -> Figure:
    """Errors of a frozen classifier against rate, PSNR and LPIPS, for our codec's dial and its peers."""
    figure, drawn = pyplot.subplots(1, 3, figsize=(13.5, 4.2), layout="constrained")
    labels = {"bpp": "bits per pixel", "psnr": "PSNR (dB)", "lpips_alex": "LPIPS (AlexNet)"}
    for name, codec in axes.items():
        dials = codec["dials"]
        inks = pyplot.get_cmap("viridis")(np.linspace(0, 0.85, len(dials)))
        for ink, (realism, dial) in zip(inks, dials.items(), strict=True):
            ours = name == OURS
            label = f"{codec['label']}, realism {realism}" if ours else codec["label"]
            style = {"color": ink} if ours else {"linestyle": "--"}
            for axis, (key, text) in zip(drawn, labels.items(), strict=True):
                if key in dial:
                    axis.plot(dial[key], dial["error"], marker="o", markersize=3, label=label, **style)
                axis.set(xlabel=text, ylabel="C, top-1 errors")
    for axis in drawn:
        axis.grid(alpha=0.3)
    drawn[0].set_xscale("log")
    drawn[0].set_xticks([], minor=True)
    drawn[0].set_xticks(_RATES, [f"{rate:g}" for rate in _RATES])
    drawn[0].legend(fontsize=8)
    return figure
