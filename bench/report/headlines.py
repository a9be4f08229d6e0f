"""The figures that the report states first: what eyes see, what realism changes, volumes."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.analysis.measured import FIDELITY, Measured, with_interval

# White noise makes all of these worse, so adding noise cannot improve the headline.
_AGAINST_AVIF = ("ssimulacra2", "butteraugli", "psnr")


def headlines(
    ours: Measured, volumes: dict[str, Any], bd_rates: dict[str, Any], weights: np.ndarray
) -> list[dict[str, Any]]:
    """The figures to read first, each with its interval, from what eyes see to volumes."""
    found = []
    avif = next((row for row in bd_rates["rows"] if row["name"] == "avif"), None)
    for metric in _AGAINST_AVIF:
        column = {"metric": metric, "label": FIDELITY[metric], "realism": ours.realisms[0]}
        if avif and column in bd_rates["columns"]:
            cell = avif["cells"][bd_rates["columns"].index(column)]
            note = f"BD-rate, {FIDELITY[metric]}, realism {ours.realisms[0]:g}"
            if cell:
                found.append({"label": f"Bytes against {avif['label']}", "unit": "%", **cell, "note": note})
    if len(ours.realisms) > 1:
        found += _gains_of_realism(ours, weights)
    for table in volumes.values():
        own = {**table["rows"][0], "label": "Volume under the surface", "unit": ""}
        found.append({**own, "note": f"perception: {table['label']}; 0 is best, 1 worst"})
    return found


def _gains_of_realism(ours: Measured, weights: np.ndarray) -> list[dict[str, Any]]:
    """What the highest realism changes against the lowest, as geometric means over qualities, and the energy
    it has.
    """
    low, high = ours.realisms[0], ours.realisms[-1]
    found = []
    for metric, label, unit in (
        ("mse", f"PSNR cost of realism {high:g}", "dB"),
        ("lpips_alex", f"LPIPS at realism {high:g}", "%"),
    ):
        both = (
            np.log(grid[..., -1] / grid[..., 0]).mean(axis=-1) for grid in _with_draws(ours, metric, weights)
        )
        value, drawn = (10 * np.log10(np.e) * x if unit == "dB" else 100 * (np.exp(x) - 1) for x in both)
        note = f"against realism {low:g}, mean over qualities"
        found.append({"label": label, "unit": unit, **with_interval(float(value), drawn), "note": note})
    if ours.has("energy_1"):
        value, drawn = (grid[..., -1].mean(axis=-1) for grid in _with_draws(ours, "energy_1", weights))
        note = "by the original's, mean over qualities"
        found.append(
            {"label": f"Energy of the finest band at realism {high:g}", "unit": "", "note": note}
            | with_interval(float(value), drawn)
        )
    return found


def _with_draws(ours: Measured, metric: str, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return ours.mean(metric), ours.resampled(metric, weights)
