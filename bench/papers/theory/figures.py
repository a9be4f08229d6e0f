"""Figures of the theory, drawn from the curves that `claims` computes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.drawing import pyplot

_KL = r"KL($p_X\,\|\,p_{\hat{X}}$)"
_INK = ("#0b5394", "#cc4125", "#38761d", "#7f6000")


def estimators(curves: dict[str, Any]) -> Figure:
    """The laws of source, MAP and MMSE outputs; P(D) for eight distances."""
    figure, axes = pyplot.subplots(2, 2, figsize=(10.5, 7.6), layout="constrained")
    laws, bounded, unbounded, moved = axes.flat
    _laws(laws, curves)
    solved = curves["distances"]
    for axis, keys, ylabel in (
        (bounded, ("total_variation", "squared_hellinger", "jensen_shannon_nats"), "P(D)"),
        (unbounded, ("chi_squared", "renyi_two_nats", "kl_nats", "renyi_half_nats"), "P(D), χ² or nats"),
    ):
        for ink, key in zip(_INK, keys, strict=False):
            curve = solved[key]
            axis.plot(
                curve["distortion"],
                curve["perception"],
                "o-",
                markersize=3.5,
                color=ink,
                label=curve["label"],
            )
        axis.set(ylabel=ylabel)
    wasserstein = solved["squared_wasserstein"]
    at = wasserstein["distortion"]
    moved.plot(at, np.sqrt(wasserstein["closed_form"]), color="black", linewidth=1, label="closed form")
    roots = np.sqrt(np.maximum(wasserstein["perception"], 0))
    moved.plot(at, roots, "o", markersize=3.5, color=_INK[2], label="convex program")
    moved.set(ylabel="P(D)")
    titles = ("Distances of at most 1", "Distances without a bound", "Wasserstein-2")
    for axis, title in zip((bounded, unbounded, moved), titles, strict=True):
        for place, label, style in (
            ("mmse", "D*, the MMSE", "--"),
            ("perfect_perception_mse", "D₀, least at P = 0", "-."),
        ):
            axis.axvline(curves[place], color="grey", linestyle=style, linewidth=1, label=label)
        axis.set(title=title, xlabel="D, mean squared error")
        axis.legend(fontsize=8)
    return figure


def _laws(axis: Axes, curves: dict[str, Any]) -> None:
    """The laws of the source and of two estimators' outputs."""
    p = curves["p"]
    for shift, law, ink, label in (
        (-0.02, (p, 1 - 2 * p, p), _INK[0], "source X"),
        (0.02, curves["map_law"], _INK[1], "MAP estimate"),
    ):
        axis.vlines(np.array([-1, 0, 1]) + shift, 0, law, ink, linewidth=5, label=f"{label}: probability")
    axis.plot(
        curves["mmse_law"]["x"], curves["mmse_law"]["density"], color=_INK[2], label="MMSE estimate: density"
    )
    axis.set(title="Outputs of the estimators", xlabel="x", ylabel="probability or density")
    axis.set(xlim=(-1.15, 1.15), ylim=(0, 1))
    axis.legend(loc="upper center")


def bernoulli(curves: dict[str, Any]) -> Figure:
    """R(D, P) of the Bernoulli source: surface, contours with the regions, cuts."""
    source = curves["bernoulli"]
    axis_d, axis_p, bits = (np.asarray(source[key]) for key in ("distortion", "total_variation", "bits"))
    p = source["p"]
    figure, contours, cuts = _surface(
        axis_d,
        axis_p,
        bits,
        f"Bernoulli({p:g}), Hamming distortion",
        "D, Hamming distortion",
        "P, total variation",
        [0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4],
        [0, p / 4, p / 2, p],
    )
    for key, style, label in (
        ("first_region_ends", "-", "D₁: P binds"),
        ("second_region_ends", "--", "D₂: R = 0"),
    ):
        contours.plot(source[key], axis_p, color="crimson", linestyle=style, linewidth=1.8, label=label)
    contours.set_xlim(axis_d[0], axis_d[-1])
    contours.legend(loc="upper right", fontsize=8)
    found = [point for point in source["solver"] if point["perception"] in (0, p / 4, p / 2, p)]
    cuts.plot(
        [point["distortion"] for point in found],
        [point["bits"] for point in found],
        "k.",
        label="convex program",
    )
    cuts.legend()
    return figure


def gaussian(curves: dict[str, Any]) -> Figure:
    """R(D, P) of the Gaussian source with squared Wasserstein-2: surface, contours, cuts."""
    source = curves["gaussian"]
    names = ("distortion", "perception", "bits_wasserstein")
    axis_d, axis_p, bits = (np.asarray(source[name]) for name in names)
    figure, contours, cuts = _surface(
        axis_d,
        axis_p,
        bits,
        "N(0, 1), squared error, W₂²",
        "D, mean squared error",
        "P, squared Wasserstein-2",
        [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2],
        [0, 0.05, 0.2, 0.5],
    )
    binding = axis_d[axis_d <= 1]
    least = (1 - np.sqrt(1 - binding)) ** 2
    contours.plot(binding, least, color="crimson", linewidth=1.8, label="the bound on P binds below")
    contours.set_ylim(axis_p[0], axis_p[-1])
    contours.legend(loc="upper right", fontsize=8)
    j = int(np.argmin(np.abs(axis_p - 0.05)))
    cuts.plot(axis_d, np.asarray(source["bits_kl"])[:, j], ":", color="black", label="KL ≤ 0.05 nats")
    cuts.set_ylim(-0.05, 2)
    cuts.legend()
    return figure


def linear_denoiser(curves: dict[str, Any]) -> Figure:
    """Distortion, perception and errors of X̂ = aY against a."""
    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    for axis, key, goal, ylabel in (
        (axes[0], "distortion", "distortion", "D, mean squared error"),
        (axes[1], "perception", "perception", f"P, {_KL} (nats)"),
        (axes[2], "error", "classification", "C, error rate"),
    ):
        for ink, (noise, linear) in zip(_INK, curves["linear"].items(), strict=False):
            gains, values = np.asarray(curves["gains"]), np.asarray(linear[key])
            axis.plot(gains, values, color=ink, label=f"noise deviation {noise}")
            best = curves["best_gains"][noise][goal]
            axis.plot(best, np.interp(best, gains, values), "o", color=ink)
        axis.set(xlabel="gain a of the denoiser X̂ = aY", ylabel=ylabel)
        axis.grid(alpha=0.3)
    axes[0].set_ylim(0, 3)
    axes[1].set_ylim(0, 1.5)
    axes[0].legend()
    figure.suptitle("The linear denoiser; dots are the least values")
    return figure


def classification_tradeoffs(curves: dict[str, Any]) -> Figure:
    """The three pairwise curves of X̂ = aY, and C(D, P) over all denoisers."""
    figure, axes = pyplot.subplots(2, 2, figsize=(10.5, 8), layout="constrained")
    labels = {
        "distortion": "D, mean squared error",
        "perception": f"P, {_KL} (nats)",
        "error": "C, error rate",
    }
    whole = curves["linear"][f"{curves['noise']:g}"]
    for axis, (name, frontier) in zip(axes.flat, curves["frontiers"].items(), strict=False):
        first, second = name.split("-")
        axis.plot(whole[first], whole[second], color="lightgrey", label="all a in 0.1 … 1.2")
        axis.plot(frontier[first], frontier[second], color=_INK[0], linewidth=2.5, label="trade-off")
        for measure, edges in ((first, axis.set_xlim), (second, axis.set_ylim)):
            low, high = min(frontier[measure]), max(frontier[measure])
            edges(low - 0.3 * (high - low), high + 0.6 * (high - low))
        axis.set(title=f"X̂ = aY: {first} and {second}", xlabel=labels[first], ylabel=labels[second])
        axis.legend()
    every = curves["all_denoisers"]
    axis = axes[1, 1]
    for ink, j in zip(_INK, (0, 1, 3, 8), strict=True):
        axis.plot(
            every["distortion"],
            np.asarray(every["error"])[:, j],
            "o-",
            markersize=3.5,
            color=ink,
            label=f"P ≤ {every['perception'][j]:g} nats",
        )
    axis.axhline(curves["least_error"], color="grey", linestyle="--", linewidth=1, label="C(∞, ∞)")
    axis.ticklabel_format(axis="y", useOffset=False)
    axis.set(title="C(D, P) over all denoisers", xlabel=labels["distortion"], ylabel="C(D, P), error rate")
    axis.legend()
    return figure


def _surface(
    axis_d: np.ndarray,
    axis_p: np.ndarray,
    bits: np.ndarray,
    title: str,
    label_d: str,
    label_p: str,
    levels: list[float],
    cut_at: list[float],
) -> tuple[Figure, Any, Any]:
    """Surface, contours and cuts of R(D, P); returns the axes of the last two to draw more into."""
    figure = pyplot.figure(figsize=(14, 4.8), layout="constrained")
    grid = figure.add_gridspec(1, 3, width_ratios=(1.15, 1, 1))
    surface = figure.add_subplot(grid[0], projection="3d")
    contours, cuts = figure.add_subplot(grid[1]), figure.add_subplot(grid[2])
    d, p = np.meshgrid(axis_d, axis_p, indexing="ij")
    surface.plot_surface(d, p, bits, cmap="viridis", rstride=2, cstride=2, linewidth=0)
    surface.set(xlabel=label_d, ylabel=label_p, zlabel="R(D, P) (bits)")
    surface.view_init(elev=24, azim=40)
    surface.set_box_aspect(None, zoom=0.9)
    for axis in (surface.xaxis, surface.yaxis, surface.zaxis):
        axis.set_major_locator(MaxNLocator(4))
        axis.labelpad = 8
    drawn = contours.contour(d, p, bits, levels=levels, cmap="viridis")
    contours.clabel(drawn, fmt="%g", fontsize=7)
    contours.set(title="Contours of R(D, P) (bits)", xlabel=label_d, ylabel=label_p)
    for ink, at in zip(_INK, cut_at, strict=True):
        j = int(np.argmin(np.abs(axis_p - at)))
        cuts.plot(axis_d, bits[:, j], color=ink, label=f"P ≤ {axis_p[j]:.3g}")
    cuts.set(title="Cuts at equal P", xlabel=label_d, ylabel="R(D, P) (bits)")
    cuts.grid(alpha=0.3)
    figure.suptitle(title)
    return figure, contours, cuts
