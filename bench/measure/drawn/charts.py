"""Charts as matplotlib draws them: curves, bars, points, pies, areas, fields."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image


def images() -> dict[str, Image.Image]:
    """Ten charts of 640×480."""
    from bench.drawing import pyplot

    found = {}
    for seed, (name, draw) in enumerate(_CHARTS.items()):
        random = np.random.default_rng(seed)
        figure, axes = pyplot.subplots(figsize=(6.4, 4.8), dpi=100)
        draw(axes, random)
        axes.set_title(f"Figure {seed + 1}: {name}")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        pyplot.close(figure)
        found[name] = Image.open(buffer).convert("RGB")
    return found


def _curves(axes: Any, random: np.random.Generator) -> None:
    x = np.linspace(0, 10, 200)
    for k in range(5):
        axes.plot(x, np.sin(x * random.uniform(0.5, 2)) + k, label=f"series {k}")
    axes.legend()
    axes.grid(alpha=0.4)


def _bars(axes: Any, random: np.random.Generator) -> None:
    axes.bar(range(14), random.uniform(1, 10, 14), color=[f"C{i}" for i in range(14)], edgecolor="black")
    axes.set(xlabel="month", ylabel="rate (bpp)")


def _points(axes: Any, random: np.random.Generator) -> None:
    axes.scatter(
        *random.normal(size=(2, 400)), c=random.uniform(size=400), s=random.uniform(4, 60, 400), alpha=0.6
    )


def _pie(axes: Any, random: np.random.Generator) -> None:
    axes.pie(random.uniform(1, 5, 7), labels=[f"part {i}" for i in range(7)], autopct="%.0f %%")


def _areas(axes: Any, random: np.random.Generator) -> None:
    axes.stackplot(range(60), np.abs(np.cumsum(random.normal(size=(5, 60)), 1)) + 1)


def _field(axes: Any, random: np.random.Generator) -> None:
    y, x = np.mgrid[-3:3:120j, -3:3:120j]
    axes.contourf(x, y, np.sin(x**2 + y) * np.exp(-(x**2 + y**2) / 6), 16)


def _matrix(axes: Any, random: np.random.Generator) -> None:
    axes.imshow(random.uniform(size=(12, 12)), cmap="viridis")
    for i in range(12):
        axes.text(i, i, f"{i}", ha="center", va="center", color="white")


def _boxes(axes: Any, random: np.random.Generator) -> None:
    axes.boxplot(random.normal(size=(50, 8)) + np.arange(8) / 3)


def _histogram(axes: Any, random: np.random.Generator) -> None:
    axes.hist([random.normal(k, 1, 500) for k in range(3)], 30, label=["a", "b", "c"])
    axes.legend()


def _arrows(axes: Any, random: np.random.Generator) -> None:
    y, x = np.mgrid[-2:2:20j, -2:2:20j]
    axes.quiver(x, y, -y, x, np.hypot(x, y))


_CHARTS: dict[str, Callable[[Any, np.random.Generator], None]] = {
    "curves": _curves,
    "bars": _bars,
    "points": _points,
    "pie": _pie,
    "areas": _areas,
    "field": _field,
    "matrix": _matrix,
    "boxes": _boxes,
    "histogram": _histogram,
    "arrows": _arrows,
}
