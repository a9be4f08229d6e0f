"""Bits of runs of `one_model.py` against the first, in per cent, each crop at equal PSNR and at equal SSIMULACRA2.

python compare.py FIRST.json OTHER.json ...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

RANGES = ((10, 15), (20, 30), (35, 45), (65, 65), (85, 85))


def axis(row: dict[str, Any], measure: str) -> list[float]:
    """Values that rise with quality, one a crop."""
    return row["psnr"] if measure == "PSNR" else [-np.log(v) for v in row["ssimulacra2_distortion"]]


def change(first: list[dict[str, Any]], other: list[dict[str, Any]], measure: str, low: int, high: int) -> str:
    """Mean over crops of the change in bits, where the first run was measured, and its standard error."""
    changes = []
    for crop in range(len(first[0]["psnr"])):
        reached = [axis(row, measure)[crop] for row in other]
        order = np.argsort(reached)
        log_bpp = np.array([row["log_bpp"][crop] for row in other])[order]
        here = [row for row in first if low <= row["quality"] <= high]
        wanted = np.array([axis(row, measure)[crop] for row in here])
        found = np.interp(wanted, np.sort(reached), log_bpp) - [row["log_bpp"][crop] for row in here]
        inside = (wanted >= min(reached)) & (wanted <= max(reached))
        if inside.any():
            changes.append(found[inside].mean())
    if not changes:
        return "–"
    error = np.std(changes, ddof=1) / len(changes) ** 0.5
    return f"{100 * np.mean(changes):+.1f} ± {100 * error:.1f}"


def main(first: str, *others: str) -> None:
    anchor = json.loads(Path(first).read_text())["after"]
    for path in others:
        run = json.loads(Path(path).read_text())
        for measure in ("PSNR", "SSIMULACRA2"):
            row = (change(anchor, run["after"], measure, *limits) for limits in RANGES)
            print(f"{Path(path).stem}, {run['steps']} steps | {measure} | {' | '.join(row)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
