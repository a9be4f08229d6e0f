"""The three axes for codecs of photographs, as measured by `bench measure surface` and `peers`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.analysis.measured import PERCEPTION, Measured, load_measured
from bench.codecs import OURS
from bench.markdown import markdown_table
from rdpcodec.errors import UsageError

# The files beside ours in the figures; others in the folder are left out.
BESIDE = ("avif", "webp")


def axes_of(folder: Path) -> dict[str, Any]:
    """Per codec and realism: rate, distortion, perception and error rate over the measured qualities.

    Raises `UsageError` if ours is missing or the classifier was not asked.
    """
    if not (folder / f"{OURS}.json").exists():
        raise UsageError(f"{folder}: has no {OURS}.json; make it with `python -m bench measure surface`")
    return {
        name: _axes(load_measured(folder / f"{name}.json"))
        for name in (OURS, *BESIDE)
        if (folder / f"{name}.json").exists()
    }


def _axes(codec: Measured) -> dict[str, Any]:
    if not codec.has("top1"):
        raise UsageError(
            f"{codec.name}: no classifier was asked; measure a folder of images with a classes.tsv"
        )
    perceptions = [key for key in PERCEPTION if codec.has(key)]
    return {
        "label": codec.label,
        "images": len(codec.images),
        "qualities": np.asarray(codec.qualities, np.float64),
        "realisms": {
            f"{realism:g}": {
                "bpp": codec.mean("bpp")[:, column],
                "mse": codec.mean("mse")[:, column],
                "psnr": codec.mean("psnr")[:, column],
                "error": 1 - codec.mean("top1")[:, column],
                "disagreement": 1 - codec.mean("agreement")[:, column],
                **{key: codec.mean(key)[:, column] for key in perceptions},
            }
            for column, realism in enumerate(codec.realisms)
        },
    }


def effect_of_realism(axes: dict[str, Any]) -> list[dict[str, float]]:
    """How our codec's MSE, LPIPS and errors change from realism 0 to the highest, for each quality."""
    realisms = axes[OURS]["realisms"]
    first, last = (realisms[key] for key in (min(realisms, key=float), max(realisms, key=float)))
    return [
        {
            "bpp": float(first["bpp"][row]),
            **{
                name: float(last[name][row] - first[name][row])
                for name in ("mse", "lpips_alex", "error")
                if name in first
            },
        }
        for row in range(len(axes[OURS]["qualities"]))
    ]


def codec_table(axes: dict[str, Any]) -> str:
    """The axes as Markdown: a row for each codec, realism and quality."""
    rows = [
        [
            codec["label"],
            realism if len(codec["realisms"]) > 1 else "–",
            f"{points['bpp'][row]:.3f}",
            f"{points['psnr'][row]:.2f}",
            f"{points['lpips_alex'][row]:.3f}" if "lpips_alex" in points else "–",
            f"{100 * points['error'][row]:.1f} %",
        ]
        for codec in axes.values()
        for realism, points in codec["realisms"].items()
        for row in range(len(points["bpp"]))
    ]
    return markdown_table(["codec", "realism", "bpp", "PSNR", "LPIPS", "top-1 errors"], rows)
