"""Draws the figures that `figures.py` describes as PNGs, for documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.drawing import pyplot, write_figure
from bench.report.figures import PALETTE

# Elevation and azimuth from which the surface shows its face, in degrees.
VIEW = (22, -128)
# An SVG pixel in points, matplotlib's unit for lines.
POINT = 0.75
# The least distance between names in a chart, as a share of its height.
NAME_HEIGHT = 0.045


def write_figures(content: dict[str, Any], folder: Path) -> list[Path]:
    """Write the figures of a report's content for its first perception measure."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = content["figures"]
    chosen = figures["measures"][content["measures"][0]["key"]]
    ours = content["codecs"][0]["label"]
    planes = [p for p in chosen["planes"] if any(s["codec"] == ours for s in p["series"])][::2]
    drawn = {
        "surface": _space(chosen["surface"]),
        "rate-distortion": _charts([figures["psnr"]], (10, 5.5)),
        "rate-perception": _charts([chosen["rate_perception"]], (10, 5.5)),
    }
    if figures["eyes"]:
        drawn["rate-eyes"] = _charts(figures["eyes"], (15, 5.5))
    if planes:
        drawn["perception-distortion"] = _charts(planes, (4.2 * len(planes), 4.2))
    contours = [chosen["equal_perception"], chosen["equal_distortion"]]
    if contours[0]["series"]:
        drawn["contours"] = _charts(contours, (12, 5))
    paths = []
    for name, figure in drawn.items():
        figure.suptitle(content["title"], fontsize=11)
        path = folder / f"{name}.png"
        write_figure(path, figure, dpi=120)
        paths.append(path)
    return paths


def _charts(charts: list[dict[str, Any]], size: tuple[float, float]) -> Figure:
    """Charts side by side."""
    figure, panels = pyplot.subplots(1, len(charts), figsize=size, layout="constrained", squeeze=False)
    for axes, chart in zip(panels[0], charts, strict=True):
        for series in chart["series"]:
            _draw(axes, series)
        axes.set(title=chart["title"])
        for which in ("x", "y"):
            _set_axis(axes, which, chart[which])
        axes.grid(alpha=0.25)
        if chart["gutter"]:
            continue
        if any(series["end"] for series in chart["series"]):
            _name(axes, chart)
        else:
            axes.legend(fontsize=9)
    if any(chart["gutter"] for chart in charts):
        # Panels share their curves, and each is named once.
        handles = [axes.get_legend_handles_labels() for axes in panels[0]]
        named = {label: handle for pair in handles for handle, label in zip(*pair, strict=True)}
        figure.legend(named.values(), named.keys(), fontsize=8, loc="outside right upper")
    return figure


def _draw(axes: Axes, series: dict[str, Any]) -> None:
    """Draw a series of a chart, with its band and bars if it has them."""
    points = series["points"]
    x, y = ([point[key] for point in points] for key in ("x", "y"))
    style: dict[str, Any] = _style(series)
    axes.plot(x, y, label=series["label"], **style)
    colour = style["color"]
    if series["band"] and all(point["y_range"] for point in points):
        low, high = np.transpose([point["y_range"] for point in points])
        axes.fill_between(x, low, high, color=colour, alpha=0.08, linewidth=0)
    if series["bars"]:
        for point in points:
            for (a, b), (c, d) in (
                (point["x_range"] or (point["x"],) * 2, (point["y"],) * 2),
                ((point["x"],) * 2, point["y_range"] or (point["y"],) * 2),
            ):
                axes.plot((a, b), (c, d), color=colour, alpha=0.35, linewidth=POINT)


def _name(axes: Axes, chart: dict[str, Any]) -> None:
    """Write the names of a chart's series beside their last points, pushed apart where they would overlap."""
    ends = [(series["points"][-1], series) for series in chart["series"] if series["end"]]
    places = [(_share(chart["y"], p["y"]), _share(chart["x"], p["x"]), series) for p, series in ends]
    last = -1.0
    for y, x, series in sorted(places, key=lambda place: place[0]):
        last = max(y, last + NAME_HEIGHT)
        left = x > 0.7
        axes.annotate(
            series["end"],
            (x, last),
            (-6 if left else 6, 3),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right" if left else "left",
            color=_style(series)["color"],
            fontsize=7,
        )


def _share(axis: dict[str, Any], value: float) -> float:
    """A value's place on its axis, 0 to 1."""
    low, high, at = np.log((*axis["domain"], value)) if axis["log"] else (*axis["domain"], value)
    share = float((at - low) / (high - low))
    return 1 - share if axis["flip"] else share


def _style(series: dict[str, Any]) -> dict[str, Any]:
    """How matplotlib draws a series's line and dots."""
    dash, name = series["dash"], series["colour"]
    return {
        "color": PALETTE[name][0] if name in PALETTE else {"ink": "black"}.get(name, name),
        "alpha": series["opacity"],
        "linewidth": series["width"] * POINT,
        "linestyle": (0, dash) if dash else "-",
        "marker": "o" if series["dot"] else None,
        "markersize": 2 * series["dot"] * POINT,
    }


def _set_axis(axes: Axes, which: str, axis: dict[str, Any]) -> None:
    """Set the label, scale, range and ticks."""
    if axis["log"]:
        getattr(axes, f"set_{which}scale")("log")
    low, high = axis["domain"]
    getattr(axes, f"set_{which}lim")(*((high, low) if axis["flip"] else (low, high)))
    getattr(axes, f"set_{which}label")(_label(axis))
    drawn = getattr(axes, f"{which}axis")
    drawn.set_major_locator(FixedLocator(axis["ticks"]))
    drawn.set_minor_locator(NullLocator())
    drawn.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _label(axis: dict[str, Any]) -> str:
    return f"{axis['name']}, {axis['unit']}" if axis["unit"] else str(axis["name"])


def _space(surface: dict[str, Any]) -> Figure:
    """The surface in three dimensions. matplotlib has no logarithmic axes there, so logarithms are drawn."""
    figure = pyplot.figure(figsize=(9, 7), layout="constrained")
    axes: Any = figure.add_subplot(projection="3d")
    logs = [axis["log"] for axis in surface["axes"]]

    def scaled(*values: Any) -> list[np.ndarray]:
        return [np.log2(v) if log else np.asarray(v) for v, log in zip(values, logs, strict=True)]

    mesh = surface["mesh"]
    x, y, z = scaled(mesh["x"], mesh["y"], mesh["z"])
    if x.shape[1] > 1:
        axes.plot_surface(x, y, np.broadcast_to(z[:, None], x.shape), cmap="viridis", alpha=0.85)
    for series in surface["series"]:
        line = scaled(*([point[key] for point in series["points"]] for key in "xyz"))
        axes.plot(*line, label=series["label"], **_style(series))
    for which, axis in zip("xyz", surface["axes"], strict=True):
        ticks = np.log2(axis["ticks"]) if axis["log"] else axis["ticks"]
        getattr(axes, f"set_{which}ticks")(ticks, [f"{tick:g}" for tick in axis["ticks"]])
        getattr(axes, f"set_{which}label")(_label(axis))
    axes.view_init(*VIEW)
    axes.legend(loc="upper left")
    return figure
