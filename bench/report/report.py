"""`python -m bench report page`: a page and its figures from what `measure surface` and `peers` stored.

This module turns figures into a page's content; `page/` holds the page itself. The page loads nothing: style,
script, figures and images are inside it.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np

from bench.analysis.bd_rate import (
    BD_RESAMPLINGS,
    bd_rate_if_shared,
    measured_bd_rate,
    measured_curve,
    quality_curve,
)
from bench.analysis.checks import NOT_MEASURED, checks
from bench.analysis.curve import Curve
from bench.analysis.measured import (
    FIDELITY,
    INTERVAL,
    PERCEPTION,
    RESAMPLINGS,
    Measure,
    Measured,
    image_weights,
    load_measured,
    say_if_few,
    with_interval,
)
from bench.analysis.planes import planes
from bench.analysis.volume import BOXES, REWARDS, contours, measured_volume, resampled_volumes
from bench.codecs import OURS
from bench.folder import FOLDER
from bench.options import lpips_option
from bench.record import rounded, write_file
from bench.report.crops import Crop, coded_crops, default_crops
from bench.report.draw import write_figures
from bench.report.figures import specification
from bench.report.headlines import headlines
from bench.report.published import own_curves, published_curves
from rdpcodec.errors import UsageError
from rdpcodec.pages import assembled

_FOLDER = Path(__file__).parent / "page"
# What each point of a curve shows.
_METRICS = (
    *("bpp", "mse", "ssim", *FIDELITY, "lpips_squeeze", "niqe", "brisque"),
    *("energy_1", "energy_2", "energy_3"),
)


def content(
    ours: Measured, peers: list[Measured], curves: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """All figures of the page, without images, as plain JSON; curves: the user's own, see `own_curves`."""
    weights = image_weights(len(ours.images))
    measures = [measure for key, measure in PERCEPTION.items() if ours.has(key)]
    published = published_curves(ours) + (curves or [])
    volumes = {key: volume_table((ours, *peers), key, weights) for key in BOXES if ours.has(key)}
    bd_rates = bd_rate_table(ours, peers, published, weights)
    judged = checks(ours, weights)
    result = {
        "title": f"{ours.label} on {len(ours.images)} images of {ours.data}",
        "data": ours.data,
        "images": len(ours.images),
        "description": ours.description,
        "resamplings": RESAMPLINGS,
        "measures": [{"key": m.key, "label": m.label, "log": m.log} for m in measures],
        "qualities": ours.qualities,
        "realisms": ours.realisms,
        "codecs": [curve(codec, weights) for codec in (ours, *peers)] + published,
        "mesh": {m.key: mesh(ours, m) for m in measures},
        "contours": {m.key: _contour_lines(ours, m) for m in measures},
        "planes": {m.key: planes((ours, *peers), published, m, weights) for m in measures},
        "bd_rates": bd_rates,
        "volumes": volumes,
        "checks": [vars(check) for check in judged],
        "headlines": headlines(ours, volumes, bd_rates, weights),
    }
    plain = rounded(result)
    return {**plain, "figures": rounded(specification(plain))}


def page_text(content: dict[str, Any], crops: list[dict[str, Any]]) -> str:
    """The text of the page. crops: from `coded_crops`; empty for a page without images."""
    shown = {key: value for key, value in content.items() if key not in ("mesh", "contours")}
    shown["codecs"] = [{key: codec[key] for key in codec if key != "points"} for codec in content["codecs"]]
    return assembled(_FOLDER / "report", {**shown, "crops": crops}, "base", str(_FOLDER / "plot"))


def volume_table(codecs: tuple[Measured, ...], perception: str, weights: np.ndarray) -> dict[str, Any]:
    """The volumes of all codecs that have this perception measure, the box, and what the measure rewards."""
    rows = [
        {
            "label": codec.label,
            **with_interval(
                measured_volume(codec, perception), resampled_volumes(codec, weights, perception)
            ),
        }
        for codec in codecs
        if codec.has(perception)
    ]
    label = PERCEPTION[perception].label
    return {"label": label, "box": vars(BOXES[perception]), "rewards": REWARDS[perception], "rows": rows}


def curve(codec: Measured, weights: np.ndarray) -> dict[str, Any]:
    """One codec's points: means and their 95 % intervals; for distances, two standard errors."""
    metrics = [m for m in (*_METRICS, *PERCEPTION) if codec.has(m)]
    means = {metric: codec.mean(metric) for metric in metrics}
    bounds = {
        metric: np.percentile(codec.resampled(metric, weights), INTERVAL, axis=0)
        for metric in dict.fromkeys(metrics)
        if metric in codec.values or metric in codec.errors
    }
    points = [
        {
            "quality": quality,
            "realism": realism,
            **{metric: means[metric][q, b] for metric in means},
            "interval": {metric: bounds[metric][:, q, b] for metric in bounds},
        }
        for b, realism in enumerate(codec.realisms)
        for q, quality in enumerate(codec.qualities)
    ]
    return {
        "name": codec.name,
        "label": codec.label,
        "kind": "ours" if codec.name == OURS else "peer",
        "description": codec.description,
        "points": points,
    }


def mesh(ours: Measured, measure: Measure, steps: int = 4) -> dict[str, Any]:
    """The surface for drawing, with `steps` lines for each step of a setting."""
    bpp = ours.mean("bpp")[:, 0]
    rates = np.geomspace(bpp[0], bpp[-1], steps * (len(bpp) - 1) + 1)
    rates[[0, -1]] = bpp[[0, -1]]  # geomspace may end a rounding error outside the measured range
    realisms = np.unique(np.concatenate([np.linspace(*pair, steps + 1) for pair in _steps(ours.realisms)]))

    def densified(values: np.ndarray) -> np.ndarray:
        at_rates = Curve(bpp, values).at(rates)
        return np.stack([np.interp(realisms, ours.realisms, row) for row in at_rates])

    return {
        "bpp": rates,
        "realism": realisms,
        "psnr": densified(ours.mean("psnr")),
        "perception": measure.unscaled(densified(measure.scaled(ours.mean(measure.key)))),
    }


def _contour_lines(ours: Measured, measure: Measure) -> dict[str, Any]:
    return {
        kind: [{"level": level, "line": line} for level, line in lines]
        for kind, lines in contours(ours, measure.key).items()
    }


def bd_rate_table(
    ours: Measured, peers: list[Measured], published: list[dict[str, Any]], weights: np.ndarray
) -> dict[str, Any]:
    """Our BD-rates against the others in per cent, with 95 % intervals where both were measured here."""
    metrics = (*FIDELITY, "lpips_alex")
    columns = [(metric, 0) for metric in metrics]
    if len(ours.realisms) > 1:
        columns += [(metric, -1) for metric in metrics]
    columns = [(metric, b) for metric, b in columns if ours.has(metric)]
    few = weights[:BD_RESAMPLINGS]
    rows = [
        {
            "label": peer.label,
            "name": peer.name,
            "published": False,
            "cells": [
                measured_bd_rate(peer, ours, metric, (0, b), few) if peer.has(metric) else None
                for metric, b in columns
            ],
        }
        for peer in peers
    ]
    for record in published:
        cells = []
        for metric, b in columns:
            points = [p for p in record["points"] if metric in p]
            anchor = quality_curve([p["bpp"] for p in points], [p[metric] for p in points], metric)
            value = bd_rate_if_shared(anchor, measured_curve(ours, metric, b))
            cells.append({"value": value, "interval": None})
        rows.append({"label": record["label"], "name": record["name"], "published": True, "cells": cells})
    return {
        "columns": [
            {"metric": metric, "label": FIDELITY.get(metric, "LPIPS"), "realism": ours.realisms[b]}
            for metric, b in columns
        ],
        "rows": rows,
    }


def _steps(values: np.ndarray) -> list[tuple[float, float]]:
    """Pairs of neighbours; a single value is paired with itself."""
    return list(pairwise(values)) or [(values[0], values[0])]


def load_surfaces(folder: Path) -> tuple[Measured, list[Measured]]:
    """Our surface and the peers' in a folder. Raises `UsageError` if their images differ."""
    ours = load_measured(folder / f"{OURS}.json")
    peers = []
    for path in sorted(folder.glob("*.json")):
        if path.stem == OURS:
            continue
        peer = load_measured(path)
        if peer.images != ours.images:
            raise UsageError(f"{path}: measured on other images than {OURS}.json; measure it again")
        peers.append(peer)
    return ours, peers


@click.command()
@click.argument("folder", type=FOLDER)
@click.option(
    "--data",
    type=FOLDER,
    help="Folder of the images that were measured, for the image browser, which is left out without it.",
)
@click.option(
    "--image",
    "images",
    multiple=True,
    help="NAME, or NAME@X,Y with the crop's corner; may be given several times. Default: three images, "
    "spread over the folder.",
)
@lpips_option
@click.option(
    "--curves",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="FILE.json with curves to draw besides (docs/measuring.md).",
)
def page(
    folder: Path,
    data: Path | None,
    images: tuple[str, ...],
    lpips_weights: Path | None,
    curves: Path | None,
) -> None:
    """Make FOLDER/report.html and FOLDER/figures/ from the results in FOLDER."""
    ours, peers = load_surfaces(folder)
    crops = tuple(Crop.parse(text) for text in images) or default_crops(ours, 3)
    figures = content(ours, peers, own_curves(curves) if curves else [])
    browser = list(coded_crops(ours, data, crops, lpips_weights)) if data else []
    text = page_text(figures, rounded(browser))
    target = folder / "report.html"
    write_file(target, text.encode())
    click.echo(f"written: {target}, {len(text.encode()) / 1e6:.1f} MB")
    for path in write_figures(figures, folder / "figures"):
        click.echo(f"written: {path}")
    for check in figures["checks"]:
        if check["verdict"] != NOT_MEASURED:
            click.echo(f"{check['verdict']:18} {check['statement']}: {check['figure']}")
    for table in figures["volumes"].values():
        click.echo(f"volume by {table['label']}, which {table['rewards']}:")
        for row in table["rows"]:
            low, high = row["interval"]
            click.echo(f"  {row['value']:.4f} (95 %: {low:.4f} to {high:.4f}) {row['label']}")
    say_if_few(ours)
