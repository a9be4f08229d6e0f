"""Bits that weights need against others at equal measure, and their measures at equal quality.

python show.py JUDGED.json: what judge.py wrote. The first weights are those compared with.
"""

import json
import sys

import numpy as np

GROUPS = ((5,), (10, 15), (20, 25), (30,), (35,), (40,))
AT_REALISM = {"psnr": 0, "ssimulacra2": 0, "butteraugli": 0, "lpips": 1}
SHOWN = ("psnr", "lpips", "niqe", "kernel_held_out", "weave", "band_1", "band_2", "band_3")


def bits(rows, others, measure, group):
    """The median change of bits over crops, in per cent, at what the others reach at some qualities."""
    level, changes = f"realism {AT_REALISM[measure]}", []
    for crop in range(len(rows[0]["log_bpp"])):
        x, y = (np.array([(r[level][measure][crop], r["log_bpp"][crop]) for r in each]) for each in (rows, others))
        wanted = np.array([point for point, r in zip(y, others, strict=True) if r["quality"] in group])
        x = x[x[:, 0].argsort()]
        inside = (wanted[:, 0] >= x[0, 0]) & (wanted[:, 0] <= x[-1, 0])
        if inside.any():
            changes.append((np.interp(wanted[:, 0], *x.T) - wanted[:, 1])[inside].mean())
    return f"{100 * np.median(changes):+.1f}" if len(changes) > len(rows[0]["log_bpp"]) / 2 else "–"


def main(path):
    with open(path) as file:
        judged = json.load(file)
    first = next(iter(judged))
    for name, rows in judged.items():
        for measure, level in AT_REALISM.items() if name != first else ():
            print(name, measure, f"realism {level}", *(bits(rows, judged[first], measure, g) for g in GROUPS))
    for quality in sorted({row["quality"] for rows in judged.values() for row in rows}):
        for name, rows in judged.items():
            (row,) = (row for row in rows if row["quality"] == quality)
            for level in ("realism 0", "realism 1"):
                means = (f"{key} {np.mean(row[level][key]):.4f}" for key in SHOWN)
                rate = np.exp(row["log_bpp"]).mean()
                print(f"quality {quality:g}", name, level, f"bpp {rate:.4f}", *means, sep="  ")


main(sys.argv[1])
