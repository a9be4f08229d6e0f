"""The report's figures, described once: `draw.py` makes PNGs of them, `page/plot.js` draws them on the page.

A description consists of plain values from `charts.py` and names of colours.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import matplotlib
import numpy as np

from bench.analysis.bd_rate import LEAST_ERROR
from bench.report.charts import Axis, Chart, Point, Series

# Colours by name, for a light and a dark page.
PALETTE = {
    "ours": ("#1f5fbf", "#7fb0ff"),
    "published": ("#757d85", "#8e979f"),
    "peer-0": ("#c2571a", "#ef9a62"),
    "peer-1": ("#3f8f5f", "#7fcf9d"),
    "peer-2": ("#b03a5b", "#ee86a3"),
    "peer-3": ("#7b5aa6", "#b99be3"),
    "peer-4": ("#8a7a1f", "#d3c25e"),
    "peer-5": ("#2a8f9c", "#76cfda"),
}
PEER_COLOURS = 6
# Dashes of published curves, in line widths: drawn and left out.
DASHES = ((5, 3), (1, 2), (5, 2, 1, 2), (8, 2), (3, 1, 1, 1, 1, 1), (1, 4), (8, 4))
# Published curves reach far beyond the rates measured here, so they are cut at these multiples of our ends.
REACH = (0.8, 1.3)

RATE = Axis("Rate", "bits per pixel", log=True, decimals=3)
PSNR = Axis("PSNR", "dB", decimals=2)
MS_SSIM = Axis("MS-SSIM", "dB", decimals=2)
EYES = {"ssimulacra2": Axis("SSIMULACRA2", decimals=1), "butteraugli": Axis("Butteraugli 3-norm", log=True)}


def specification(content: dict[str, Any]) -> dict[str, Any]:
    """The figures of a report's content (`report.content`) as plain JSON, by their names."""
    styles = {codec["name"]: style for codec, style in _styled(content["codecs"])}
    by_measure = {}
    for measure in content["measures"]:
        axis = Axis(measure["label"], log=measure["log"])
        by_measure[measure["key"]] = {
            "surface": _surface(content, measure["key"], axis, styles),
            "rate_perception": asdict(_curves(content, measure["key"], axis, styles)),
            "planes": [
                asdict(_plane(content, plane, axis, styles)) for plane in content["planes"][measure["key"]]
            ],
            **_contours(content["contours"][measure["key"]], axis),
        }
    return {
        "palette": PALETTE,
        "styles": {name: {"colour": s.colour, "dash": s.dash} for name, s in styles.items()},
        "psnr": asdict(_curves(content, "psnr", PSNR, styles)),
        "ms_ssim": asdict(_curves(content, "ms_ssim", MS_SSIM, styles)),
        "eyes": [
            asdict(_curves(content, metric, axis, styles))
            for metric, axis in EYES.items()
            if metric in content["codecs"][0]["points"][0]
        ],
        "measures": by_measure,
    }


def _styled(codecs: list[dict[str, Any]]) -> list[tuple[dict[str, Any], Series]]:
    """Each codec with an empty series that has its colour, width, dash and name."""
    peers = iter(f"peer-{i % PEER_COLOURS}" for i in range(len(codecs)))
    dashes = iter(DASHES * len(codecs))
    styled = []
    for codec in codecs:
        label, kind = codec["label"], codec["kind"]
        style = Series(label, "ours", [], codec=label, width=2.6, dot=2.6)
        if kind == "peer":
            style = replace(style, colour=next(peers), width=1.6)
        elif kind == "published":
            label = f"{label} (published)"
            style = replace(style, label=label, colour="published", width=1.2, dot=0.0, dash=next(dashes))
            style = replace(style, end=codec["label"])
        styled.append((codec, style))
    return styled


def _curves(content: dict[str, Any], metric: str, axis: Axis, styles: dict[str, Series]) -> Chart:
    """All codecs over rate, ours once for each realism."""
    own = [point["bpp"] for point in content["codecs"][0]["points"]]
    low, high = min(own) * REACH[0], max(own) * REACH[1]
    series = []
    for codec in content["codecs"]:
        for realism in dict.fromkeys(p.get("realism", 0) for p in codec["points"]):
            points = [
                _rate_point(p, metric)
                for p in codec["points"]
                if p.get("realism", 0) == realism and p.get(metric) is not None and low <= p["bpp"] <= high
            ]
            style = styles[codec["name"]]
            if codec["kind"] == "ours" and len(content["realisms"]) > 1:
                # Realism 0 is the strongest line, realism 1 the palest.
                style = replace(
                    style, label=f"{codec['label']}, realism {realism:g}", opacity=1 - 0.62 * realism
                )
            band = codec["kind"] == "ours" and realism in (0, 1)
            if points:
                series.append(replace(style, points=points, band=band))
    return Chart(f"{axis.name} over rate", RATE, axis, series, gutter=True).fitted()


def _rate_point(point: dict[str, Any], metric: str) -> Point:
    value, interval = point[metric], point.get("interval", {}).get(metric)
    if metric == "ms_ssim":
        value, interval = _decibel(value), interval and tuple(map(_decibel, interval))
    return Point(point["bpp"], value, y_range=interval and tuple(interval), note=_setting(point))


def _decibel(ms_ssim: float) -> float:
    return -10 * math.log10(max(1 - ms_ssim, LEAST_ERROR))


def _setting(point: dict[str, Any]) -> str:
    return f"setting {point['quality']:g}" if "quality" in point else ""


def _plane(content: dict[str, Any], plane: dict[str, Any], axis: Axis, styles: dict[str, Series]) -> Chart:
    """Every codec's methods at one rate, those of one codec connected."""
    series = []
    for name in dict.fromkeys(method["codec"] for method in plane["methods"]):
        own = [method for method in plane["methods"] if method["codec"] == name]
        ours = name == content["codecs"][0]["name"] and len(content["realisms"]) > 1
        points = [
            Point(
                m["psnr"],
                m["perception"],
                x_range=m["psnr_interval"] and tuple(m["psnr_interval"]),
                y_range=m["perception_interval"] and tuple(m["perception_interval"]),
                note=f"realism {m['realism']:g}" if ours else "",
            )
            for m in own
        ]
        label = styles[name].label
        end = f"{label}, realism {own[-1]['realism']:g}" if ours else label
        series.append(replace(styles[name], points=points, width=2, dash=None, dot=4.5, bars=True, end=end))
    return Chart(f"{plane['bpp']:g} bits per pixel", replace(PSNR, flip=True), axis, series).fitted()


def _contours(contours: dict[str, Any], axis: Axis) -> dict[str, Any]:
    """Lines of equal perception and of equal distortion over rate."""
    charts = {}
    for kind, y, level in (("equal_perception", PSNR, axis), ("equal_distortion", axis, PSNR)):
        lines = [line for line in contours[kind] if line["line"]]
        series = [
            Series(
                f"{level.name} {line['level']:.3g}{' ' * bool(level.unit)}{level.unit}",
                _viridis(0.08 + 0.77 * i / max(1, len(lines) - 1)),
                [Point(*point) for point in line["line"]],
                width=2.2,
            )
            for i, line in enumerate(lines)
        ]
        charts[kind] = asdict(Chart(kind.replace("_", " "), RATE, y, series).fitted())
    return charts


def _surface(content: dict[str, Any], key: str, axis: Axis, styles: dict[str, Series]) -> dict[str, Any]:
    """Rate over distortion and perception: our mesh, its measured points, and the peers' in its PSNR range.

    mesh: x and y `[rates][realisms]`, z `[rates]`; colours: one for each rate.
    """
    mesh = content["mesh"][key]
    low, high = np.min(mesh["psnr"]), np.max(mesh["psnr"])
    lines = []
    for codec in content["codecs"]:
        if codec["kind"] == "published" or any(key not in p for p in codec["points"]):
            continue
        ours = codec["kind"] == "ours" and len(content["realisms"]) > 1
        points = [
            Point(p["psnr"], p[key], p["bpp"], note=_setting(p) + f", realism {p['realism']:g}" * ours)
            for p in codec["points"]
            if low <= p["psnr"] <= high
        ]
        dots = {"width": 0, "dot": 1.8, "colour": "ink"} if ours else {"dot": 3.2}
        if points:
            lines.append(replace(styles[codec["name"]], points=points, **dots))
    points = [point for line in lines for point in line.points]
    axes = (
        PSNR.holding([*np.ravel(mesh["psnr"]), *(p.x for p in points)], 0.04),
        axis.holding([*np.ravel(mesh["perception"]), *(p.y for p in points)], 0.04),
        RATE.holding([*mesh["bpp"], *(p.z for p in points if p.z)], 0.04),
    )
    shades = [_viridis(i / max(1, len(mesh["bpp"]) - 1)) for i in range(len(mesh["bpp"]))]
    return {
        "title": "Rate over distortion and perception",
        "axes": [asdict(one) for one in axes],
        "mesh": {"x": mesh["psnr"], "y": mesh["perception"], "z": mesh["bpp"], "colours": shades},
        "series": [asdict(line) for line in lines],
    }


def _viridis(share: float) -> str:
    return matplotlib.colors.to_hex(matplotlib.colormaps["viridis"](share))
