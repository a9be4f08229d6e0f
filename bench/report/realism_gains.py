"""`python -m bench report realism-gains`: what realism buys, from what `surface` and `peers` stored.

At a few rates it reports how far LPIPS and the kernel distance fall from realism 0 to 1, what that costs in
PSNR, whether everything in between is monotonic, and how many bytes AVIF needs for the same LPIPS. It also
makes a sheet of crops to look at, because no figure sees everything.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.analysis.bd_rate import quality_curve
from bench.analysis.curve import Curve
from bench.analysis.measured import PERCEPTION, Measure
from bench.codecs import OURS
from bench.folder import FOLDER, load_folder
from bench.record import read_record, write_record
from bench.report.sheet import sheet
from rdpcodec.errors import UsageError

RATES = (0.15, 0.30, 0.45)
ROWS = 8  # images on the sheet
# All of these fall as images look better.
PERCEPTION_METRICS = (
    *("lpips_alex", "lpips_squeeze", "kernel_held_out", "kernel", "frechet", "sliced_wasserstein"),
    *("niqe", "brisque"),
)
# How these are interpolated. LPIPS-squeeze is not among the report's measures, since training minimises it.
_SCALES = {**PERCEPTION, "lpips_squeeze": Measure("lpips_squeeze", "LPIPS (SqueezeNet)", log=True)}
# What else is followed from realism to realism.
_FOLLOWED = ("psnr", "ssimulacra2", "butteraugli", "psnr_hvs_m", "vif", "energy_1", "energy_2", "energy_3")


def curve_of(points: list[dict[str, Any]], metric: str) -> Curve:
    """A metric over the rate, from stored points in any order."""
    return Curve(
        np.array([point["bpp"] for point in points]), np.array([point[metric] for point in points])
    ).by_rate()


def value_at(points: list[dict[str, Any]], metric: str, bpp: float) -> float:
    """A metric at a rate, interpolated on the scale on which it is read; NaN outside the measured rates."""
    curve, scale = curve_of(points, metric), _SCALES.get(metric)
    if scale is None:
        return float(curve.at(bpp))
    return float(scale.unscaled(Curve(curve.bpp, scale.scaled(curve.values)).at(bpp)))


def gains(ours: list[dict[str, Any]], avif: list[dict[str, Any]], bpp: float) -> dict[str, Any]:
    """Realism 1 against realism 0 at one rate, and against AVIF at equal LPIPS-alex."""
    realisms = sorted({point["realism"] for point in ours})
    along = {
        metric: [value_at([p for p in ours if p["realism"] == beta], metric, bpp) for beta in realisms]
        for metric in (*_FOLLOWED, *PERCEPTION_METRICS)
        # Small images have no NIQE.
        if metric in ours[0] and all(math.isfinite(point[metric]) for point in ours)
    }
    lpips = along["lpips_alex"]
    of_avif = curve_of(avif, "lpips_alex")
    closeness = quality_curve(of_avif.bpp, of_avif.values, "lpips_alex").improving()
    avif_bpp = float(closeness.rate_at(-np.log2(lpips[-1]))) if len(closeness.bpp) > 1 else math.nan
    return {
        "bpp": bpp,
        "realism": realisms,
        "along": along,
        "psnr_cost": along["psnr"][0] - along["psnr"][-1],
        "lpips_alex_factor": lpips[0] / lpips[-1],
        "avif_share": bpp / avif_bpp,
        "monotonic": {
            metric: all(after < before for before, after in pairwise(along[metric]))
            for metric in ("psnr", *PERCEPTION_METRICS)
            if metric in along
        },
    }


def _points(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        raise UsageError(f"{path}: not measured yet; run `python -m bench measure surface` and `peers` first")
    return list(read_record(path)["points"].values())


@click.command()
@click.argument("folder", type=FOLDER)
@click.option(
    "--sheets",
    type=FOLDER,
    help="Folder of the images, to show crops of them.",
)
@click.option("--quality", default=30.0, show_default=True, help="Quality of the sheets.")
def realism_gains(folder: Path, sheets: Path | None, quality: float) -> None:
    """Write what realism buys at a few rates, and at what price, into FOLDER/realism/.

    FOLDER holds the results of `bench measure surface` and `bench measure peers`.
    """
    ours, avif = _points(folder / f"{OURS}.json"), _points(folder / "avif.json")
    if len({point.get("realism") for point in ours}) < 2:
        raise UsageError(f"{folder}: measured with weights that have no realism setting")
    console = Console()
    found = [gains(ours, avif, bpp) for bpp in RATES]
    table = Table("bpp", "PSNR cost", "LPIPS-alex", "kernel distance", "bytes of AVIF", "not monotonic")
    for row in found:
        found_at = row["along"]
        lpips, kernel = found_at["lpips_alex"], found_at.get("kernel_held_out", found_at.get("kernel"))
        table.add_row(
            f"{row['bpp']:.2f}",
            f"{row['psnr_cost']:.2f} dB",
            f"{lpips[0]:.3f} → {lpips[-1]:.3f}, ÷ {row['lpips_alex_factor']:.2f}",
            f"{kernel[0]:.4f} → {kernel[-1]:.4f}" if kernel else "–",
            f"{100 * row['avif_share']:.0f} %" if math.isfinite(row["avif_share"]) else "–",
            ", ".join(metric for metric, falls in row["monotonic"].items() if not falls) or "-",
        )
    console.print(table)
    out = folder / "realism"
    write_record(out / "gains.json", found, indent=1)
    if sheets:
        images = list(load_folder(sheets).values())[:ROWS]
        sheet(images, quality).save(out / "sheets.webp", quality=80)
    console.print(f"written: {out}/")
