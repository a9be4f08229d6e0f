"""`python -m bench report`: one page and its figures from what `bench surface` and `bench peers` stored.

Here figures become a page's content; `page/` holds the page itself. It loads nothing: style, script, figures
and images are inside.
"""

from __future__ import annotations

import json
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
from bench.analysis.checks import NOT_MEASURED, PRICE_OF_PERFECT_DB, checks
from bench.analysis.curve import Curve
from bench.analysis.measured import (
    INTERVAL,
    PERCEPTION,
    RESAMPLINGS,
    Measure,
    Measured,
    image_weights,
    load_measured,
    with_interval,
)
from bench.analysis.volume import BOX, contours, dominates, measured_volume, resampled_volumes
from bench.codecs import OURS
from bench.record import rounded
from bench.report.crops import Crop, coded_crops, default_crops
from bench.report.figures import write_figures
from rdpcodec.cli.output import write_output
from rdpcodec.pages import assembled

PAGE = Path(__file__).parent / "page" / "report"
PUBLISHED = Path(__file__).parents[1] / "published.json"
# Where the perception-distortion plane is cut, in bits per pixel.
PLANE_RATES = np.array([0.08, 0.12, 0.18, 0.25, 0.35, 0.5, 0.7, 1.0])
# What each point of a curve shows.
_METRICS = ("bpp", "mse", "psnr", "ssim", "ms_ssim", "lpips_alex", "lpips_squeeze")


def content(ours: Measured, peers: list[Measured]) -> dict[str, Any]:
    """All figures of the page, without its images, as plain JSON."""
    weights = image_weights(len(ours.images))
    measures = [measure for key, measure in PERCEPTION.items() if ours.has(key)]
    published = published_curves(ours)
    volumes = [
        {"label": codec.label, **with_interval(measured_volume(codec), resampled_volumes(codec, weights))}
        for codec in (ours, *peers)
    ]
    bd_rates = bd_rate_table(ours, peers, published, weights)
    judged = checks(ours, weights)
    result = {
        "title": f"{ours.label} on {len(ours.images)} images of {ours.data}",
        "data": ours.data,
        "pictures": len(ours.images),
        "description": ours.description,
        "resamplings": RESAMPLINGS,
        "box": {"bpp": BOX.bpp, "psnr": BOX.psnr, "lpips": BOX.lpips},
        "measures": [
            {"key": m.key, "label": m.label, "log": m.log, "per_picture": m.per_image} for m in measures
        ],
        "qualities": ours.qualities,
        "realisms": ours.realisms,
        "codecs": [curve(codec, weights) for codec in (ours, *peers)] + published,
        "mesh": {m.key: mesh(ours, m) for m in measures},
        "contours": {m.key: _contour_lines(ours, m) for m in measures},
        "planes": {m.key: planes(ours, peers, published, m, weights) for m in measures},
        "bd_rates": bd_rates,
        "volumes": volumes,
        "checks": [vars(check) for check in judged],
        "headlines": headlines(ours, volumes[0], bd_rates, weights),
    }
    return rounded(result)


def curve(codec: Measured, weights: np.ndarray) -> dict[str, Any]:
    """One codec's points: means and their 95 % intervals; of distances, two standard errors."""
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
    kind = "ours" if codec.name == OURS else "peer"
    return {
        "name": codec.name,
        "label": codec.label,
        "kind": kind,
        "description": codec.description,
        "points": points,
    }


def published_curves(ours: Measured) -> list[dict[str, Any]]:
    """What others published on the same whole test set, judged by the folder's name and number of
    images.
    """
    for name, test_set in json.loads(PUBLISHED.read_text(encoding="utf-8")).items():
        if name in ours.data.lower() and test_set["pictures"] == len(ours.images):
            return [
                {
                    "name": f"published {record['name']}",
                    "label": record["name"],
                    "kind": "published",
                    "description": record["source"],
                    "points": _published_points(record),
                }
                for record in test_set["curves"]
            ]
    return []


def _published_points(record: dict[str, Any]) -> list[dict[str, float]]:
    metrics = [key for key in record if isinstance(record[key], list)]
    return [{m: record[m][i] for m in metrics} for i in range(len(record["bpp"]))]


def mesh(ours: Measured, measure: Measure, steps: int = 4) -> dict[str, Any]:
    """The surface for drawing, `steps` lines to each step of a dial."""
    bpp = ours.mean("bpp")[:, 0]
    rates = np.geomspace(bpp[0], bpp[-1], steps * (len(bpp) - 1) + 1)
    rates[[0, -1]] = bpp[[0, -1]]  # geomspace may end a rounding outside of what was measured
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


def planes(
    ours: Measured,
    peers: list[Measured],
    published: list[dict[str, Any]],
    measure: Measure,
    weights: np.ndarray,
) -> list[dict[str, Any]]:
    """The perception-distortion plane at each of `PLANE_RATES`: methods, and who dominates whom.

    A method is a codec at a realism. Dominance is a triple: the better, the worse, and the share of
    resamplings in which it is so, null where no resampling knows.
    """
    methods: list[dict[str, Any]] = []
    figures: list[np.ndarray] = []  # each [R, 2]: loss of PSNR, perception
    resampled: list[np.ndarray | None] = []  # each [S, R, 2]
    for codec in (ours, *(peer for peer in peers if peer.has(measure.key))):
        known = measure.key in codec.values or measure.key in codec.errors
        metrics = ("bpp", "psnr", measure.key)
        bpp, psnr, perception = (codec.mean(metric) for metric in metrics)
        drawn = [codec.resampled(metric, weights) for metric in metrics] if known else []
        for b, realism in enumerate(codec.realisms):
            methods.append({"codec": codec.name, "label": codec.label, "realism": realism})
            figures.append(_at_plane_rates(bpp[:, b], psnr[:, b], perception[:, b], measure))
            columns = zip(*(draw[..., b] for draw in drawn), strict=True)
            resampled.append(
                np.stack([_at_plane_rates(r, d, p, measure) for r, d, p in columns]) if known else None
            )
    for record in published:
        points = [p for p in record["points"] if measure.key in p]
        if points:
            bpp, psnr, perception = (np.array([p[m] for p in points]) for m in ("bpp", "psnr", measure.key))
            methods.append({"codec": record["name"], "label": record["label"], "realism": 0.0})
            figures.append(_at_plane_rates(bpp, psnr, perception, measure))
            resampled.append(None)
    return [_plane(rate, r, methods, figures, resampled) for r, rate in enumerate(PLANE_RATES)]


def _at_plane_rates(
    bpp: np.ndarray, psnr: np.ndarray, perception: np.ndarray, measure: Measure
) -> np.ndarray:
    """Loss of PSNR and perception at `PLANE_RATES`, `[R, 2]`; NaN where they were not measured."""
    losses = np.stack([-psnr, measure.scaled(perception)], axis=1)
    at_rates = Curve(bpp, losses).at(PLANE_RATES)
    return np.stack([at_rates[:, 0], measure.unscaled(at_rates[:, 1])], axis=1)


def _plane(
    rate: float,
    r: int,
    methods: list[dict[str, Any]],
    figures: list[np.ndarray],
    resampled: list[np.ndarray | None],
) -> dict[str, Any]:
    present = [i for i, figure in enumerate(figures) if np.isfinite(figure[r]).all()]
    shown = []
    for i in present:
        draws = resampled[i]
        bounds = None if draws is None else np.nanpercentile(draws[:, r], INTERVAL, axis=0)
        shown.append(
            {
                **methods[i],
                "psnr": -figures[i][r, 0],
                "perception": figures[i][r, 1],
                "psnr_interval": None if bounds is None else -bounds[::-1, 0],
                "perception_interval": None if bounds is None else bounds[:, 1],
            }
        )
    dominance = []
    for a, first in enumerate(present):
        for b, second in enumerate(present):
            if dominates(figures[first][r], figures[second][r]):
                draws_a, draws_b = resampled[first], resampled[second]
                share = (
                    None
                    if draws_a is None or draws_b is None
                    else float(dominates(draws_a[:, r], draws_b[:, r]).mean())
                )
                dominance.append([a, b, share])
    return {"bpp": rate, "methods": shown, "dominance": dominance}


def bd_rate_table(
    ours: Measured, peers: list[Measured], published: list[dict[str, Any]], weights: np.ndarray
) -> dict[str, Any]:
    """BD-rates of ours against the rest in per cent, with 95 % intervals where both were measured here."""
    columns = [("psnr", 0), ("ms_ssim", 0), ("lpips_alex", 0)]
    if len(ours.realisms) > 1:
        columns += [("psnr", -1), ("lpips_alex", -1)]
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
        "columns": [{"metric": metric, "realism": ours.realisms[b]} for metric, b in columns],
        "rows": rows,
    }


def headlines(
    ours: Measured, own_volume: dict[str, Any], bd_rates: dict[str, Any], weights: np.ndarray
) -> list[dict[str, Any]]:
    """The figures to read first, each with its interval."""
    found = [{**own_volume, "label": "Volume under the surface", "unit": "", "note": "0 is best, 1 worst"}]
    against = {row["name"]: row["cells"][0] for row in bd_rates["rows"] if not row["published"]}
    for name in ("avif", "jpeg"):
        if against.get(name):
            label = next(row["label"] for row in bd_rates["rows"] if row["name"] == name)
            found.append(
                {
                    "label": f"Bytes against {label}",
                    "unit": "%",
                    **against[name],
                    "note": "BD-rate, PSNR, realism 0",
                }
            )
    if len(ours.realisms) > 1:
        mse = ours.mean("mse"), ours.resampled("mse", weights)
        cost, drawn = (10 * np.log10(m[..., -1] / m[..., 0]).mean(axis=-1) for m in mse)
        found.append(
            {
                "label": "PSNR cost of realism 1",
                "unit": "dB",
                **with_interval(float(cost), drawn),
                "note": f"mean over qualities; theory allows {PRICE_OF_PERFECT_DB:.2f}",
            }
        )
        lpips = ours.mean("lpips_alex"), ours.resampled("lpips_alex", weights)
        gain, drawn = (100 * (np.exp(np.log(p[..., -1] / p[..., 0]).mean(axis=-1)) - 1) for p in lpips)
        found.append(
            {
                "label": "LPIPS at realism 1",
                "unit": "%",
                **with_interval(float(gain), drawn),
                "note": "against realism 0, geometric mean over qualities",
            }
        )
    return found


def _steps(values: np.ndarray) -> list[tuple[float, float]]:
    """Neighbours; of a single value, itself twice."""
    return list(pairwise(values)) or [(values[0], values[0])]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the images that were measured, for the image browser; left out without.",
)
@click.option(
    "--picture",
    "pictures",
    multiple=True,
    help="NAME or NAME@X,Y of the crop's corner; may be repeated. Default: three, spread over the folder.",
)
@click.option(
    "--lpips-weights",
    type=click.Path(exists=True, path_type=Path),
    help="Folder of the LPIPS networks; otherwise RDPCODEC_LPIPS or the lpips package.",
)
def report(folder: Path, data: Path | None, pictures: tuple[str, ...], lpips_weights: Path | None) -> None:
    """Make FOLDER/report.html and FOLDER/figures/ from the results in FOLDER."""
    ours = load_measured(folder / f"{OURS}.json")
    peers = []
    for path in sorted(folder.glob("*.json")):
        if path.stem == OURS:
            continue
        peer = load_measured(path)
        if peer.images != ours.images:
            raise click.ClickException(f"{path}: measured on other images than {OURS}.json; measure it again")
        peers.append(peer)
    crops = tuple(Crop.parse(text) for text in pictures) or default_crops(ours, 3)
    figures = content(ours, peers)
    browser = list(coded_crops(ours, data, crops, lpips_weights)) if data else []
    text = assembled(PAGE, {**figures, "crops": rounded(browser)}, "base")
    target = folder / "report.html"
    write_output(target, text.encode(), force=True)
    click.echo(f"written: {target}, {len(text.encode()) / 1e6:.1f} MB")
    for path in write_figures(figures, folder / "figures"):
        click.echo(f"written: {path}")
    for check in figures["checks"]:
        if check["verdict"] != NOT_MEASURED:
            click.echo(f"{check['verdict']:18} {check['statement']}: {check['figure']}")
    for volume in figures["volumes"]:
        low, high = volume["interval"]
        click.echo(f"volume {volume['value']:.4f} (95 %: {low:.4f} to {high:.4f}) {volume['label']}")
