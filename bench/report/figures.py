"""The report's figures as PNG, for documents: surface, contours, perception-distortion plane, curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.drawing import pyplot

OUR_COLOUR = "#1f5fbf"
PEER_COLOURS = ("#c2571a", "#3f8f5f", "#b03a5b", "#7b5aa6", "#8a7a1f")
PUBLISHED_COLOUR = "#8c8c8c"
DASHES = ("--", ":", "-.", (0, (6, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 4)), (0, (8, 4)))
MARKERS = ("s", "^", "D", "v", "P", "X", "*")
# Elevation and azimuth from which the surface shows its face, in degrees.
VIEW = (22, -128)
# Where logarithmic axes have ticks.
FEW_ROUND_NUMBERS = [factor * 10.0**power for power in range(-3, 4) for factor in (1, 2, 5)]
ROUND_NUMBERS = [factor * 10.0**power for power in range(-3, 4) for factor in (1, 2, 3, 5, 7)]


def write_figures(content: dict[str, Any], folder: Path) -> list[Path]:
    """Write the figures of a report's content (`report.content`) for its first perception measure."""
    folder.mkdir(parents=True, exist_ok=True)
    measure = content["measures"][0]
    figures = {
        "surface": _surface(content, measure),
        "rate-distortion": _curves(content, "psnr", "PSNR, RGB (dB)", False),
        "rate-perception": _curves(content, measure["key"], measure["label"], measure["log"]),
        "perception-distortion": _planes(content, measure),
    }
    if content["contours"][measure["key"]]["equal_perception"]:
        figures["contours"] = _contours(content, measure)
    paths = []
    for name, figure in figures.items():
        figure.suptitle(content["title"], fontsize=11)
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=120)
        pyplot.close(figure)
        paths.append(path)
    return paths


def _surface(content: dict[str, Any], measure: dict[str, Any]) -> Figure:
    """Our surface, its two edges, and the peers as far as they are inside its range of distortion."""
    figure = pyplot.figure(figsize=(9, 7), layout="constrained")
    axes: Any = figure.add_subplot(projection="3d")
    mesh = content["mesh"][measure["key"]]
    psnr, rate = np.array(mesh["psnr"]), np.log2(np.array(mesh["bpp"]))
    perception = _scaled(mesh["perception"], measure["log"])
    if psnr.shape[1] > 1:
        axes.plot_surface(
            psnr, perception, np.broadcast_to(rate[:, None], psnr.shape), cmap="viridis", alpha=0.85
        )
    for edge, style in ((0, "-"), (-1, "--"))[: psnr.shape[1]]:
        label = f"rdpcodec, realism {mesh['realism'][edge]:g}"
        axes.plot(psnr[:, edge], perception[:, edge], rate, color=OUR_COLOUR, linestyle=style, label=label)
    for codec, colour in _coloured(content["codecs"]):
        if codec["kind"] == "peer":
            points = [p for p in codec["points"] if psnr.min() <= p["psnr"] <= psnr.max()]
            axes.plot(
                [p["psnr"] for p in points],
                _scaled([p[measure["key"]] for p in points], measure["log"]),
                np.log2([p["bpp"] for p in points]),
                color=colour,
                marker=".",
                label=codec["label"],
            )
    axes.set(xlabel="PSNR (dB)", ylabel=measure["label"], zlabel="bits per pixel")
    for axis in (axes.zaxis, *([axes.yaxis] if measure["log"] else [])):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{2**value:.3g}"))
        axis.set_major_locator(FixedLocator(list(np.log2(FEW_ROUND_NUMBERS))))
    axes.view_init(*VIEW)
    axes.legend(loc="upper left")
    return figure


def _curves(content: dict[str, Any], metric: str, label: str, log: bool) -> Figure:
    figure, axes = pyplot.subplots(figsize=(10, 5.5), layout="constrained")
    dashes = iter(DASHES * len(content["codecs"]))
    for codec, colour in _coloured(content["codecs"]):
        for realism in sorted({p.get("realism", 0) for p in codec["points"]}):
            points = [
                p for p in codec["points"] if p.get("realism", 0) == realism and p.get(metric) is not None
            ]
            if not points:
                continue
            ours = codec["kind"] == "ours"
            name = f"{codec['label']}, realism {realism:g}" if ours else codec["label"]
            axes.plot(
                [p["bpp"] for p in points],
                [p[metric] for p in points],
                color=colour,
                alpha=1 - 0.6 * realism if ours else 1,
                linewidth=2.2 if ours else 1.3,
                linestyle=next(dashes) if codec["kind"] == "published" else "-",
                marker="." if codec["kind"] != "published" else None,
                label=name + (" (published)" if codec["kind"] == "published" else ""),
            )
            if "interval" in points[0] and metric in points[0]["interval"]:
                low, high = np.array([p["interval"][metric] for p in points], float).T
                axes.fill_between(
                    [p["bpp"] for p in points], low, high, color=colour, alpha=0.08, linewidth=0
                )
    axes.set(xlabel="bits per pixel", ylabel=label)
    _logarithmic(axes, "x")
    if log:
        _logarithmic(axes, "y")
    axes.grid(alpha=0.25)
    figure.legend(fontsize=8, loc="outside right upper")
    return figure


def _contours(content: dict[str, Any], measure: dict[str, Any]) -> Figure:
    figure, panels = pyplot.subplots(1, 2, figsize=(12, 5), layout="constrained")
    for axes, kind, unit in (
        (panels[0], "equal_perception", measure["label"]),
        (panels[1], "equal_distortion", "dB"),
    ):
        lines = content["contours"][measure["key"]][kind]
        for i, contour in enumerate(lines):
            line = np.array(contour["line"])
            if len(line):
                axes.plot(
                    *line.T,
                    color=matplotlib.colormaps["viridis"](i / len(lines)),
                    label=f"{contour['level']:.3g}",
                )
        axes.set(xlabel="bits per pixel")
        _logarithmic(axes, "x")
        axes.grid(alpha=0.25)
        axes.legend(title=unit, fontsize=9)
    panels[0].set(ylabel="PSNR (dB)", title="equal perception")
    panels[1].set(ylabel=measure["label"], title="equal distortion")
    if measure["log"]:
        _logarithmic(panels[1], "y")
    return figure


def _planes(content: dict[str, Any], measure: dict[str, Any]) -> Figure:
    """Every other perception-distortion plane in which we are."""
    ours = content["codecs"][0]["name"]
    planes = [
        plane
        for plane in content["planes"][measure["key"]]
        if any(method["codec"] == ours for method in plane["methods"])
    ][::2]
    count = max(1, len(planes))
    figure, panels = pyplot.subplots(
        1, count, figsize=(3.6 * count + 1.8, 3.8), layout="constrained", squeeze=False
    )
    colours = {codec["name"]: colour for codec, colour in _coloured(content["codecs"])}
    published = [codec["name"] for codec in content["codecs"] if codec["kind"] == "published"]
    markers = dict(zip(published, MARKERS * len(published), strict=False))
    for axes, plane in zip(panels[0], planes, strict=False):
        _draw_methods(axes, plane["methods"], colours, markers)
        axes.set(xlabel="PSNR (dB)", title=f"{plane['bpp']:g} bits per pixel")
        axes.invert_xaxis()
        if measure["log"]:
            _logarithmic(axes, "y")
        axes.grid(alpha=0.25)
    panels[0][0].set_ylabel(measure["label"])
    handles = {
        label: handle
        for axes in panels[0]
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), fontsize=8, loc="outside right upper")
    return figure


def _draw_methods(
    axes: Axes, methods: list[dict[str, Any]], colours: dict[str, str], markers: dict[str, str]
) -> None:
    """The methods of a plane with their intervals, those of one codec connected."""
    for name in dict.fromkeys(method["codec"] for method in methods):
        own = [method for method in methods if method["codec"] == name]
        axes.errorbar(
            [m["psnr"] for m in own],
            [m["perception"] for m in own],
            xerr=_bars(own, "psnr"),
            yerr=_bars(own, "perception"),
            color=colours[name],
            marker=markers.get(name, "o"),
            markersize=4,
            elinewidth=0.6,
            label=own[0]["label"] + (" (published)" if name in markers else ""),
        )


def _bars(methods: list[dict[str, Any]], key: str) -> np.ndarray | None:
    """Error bars as matplotlib wants them, or none when they are not known."""
    intervals = [method[f"{key}_interval"] for method in methods]
    if any(interval is None for interval in intervals):
        return None
    values = np.array([method[key] for method in methods])
    return np.abs(np.array(intervals).T - values)


def _coloured(codecs: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    peers = iter(PEER_COLOURS * len(codecs))
    return [
        (codec, {"ours": OUR_COLOUR, "published": PUBLISHED_COLOUR}.get(codec["kind"]) or next(peers))
        for codec in codecs
    ]


def _scaled(values: Any, log: bool) -> np.ndarray:
    return np.log2(values) if log else np.array(values)


def _logarithmic(axes: Axes, which: str) -> None:
    """A logarithmic axis with plain numbers, as far as the figure's data reach."""
    low, high = getattr(axes, f"get_{which}lim")()
    data = getattr(axes.dataLim, f"interval{which}")
    inverted = bool(low > high)
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(FixedLocator(ROUND_NUMBERS))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    getattr(axes, f"set_{which}lim")(*sorted((data[0] * 0.9, data[1] * 1.1), reverse=inverted))
