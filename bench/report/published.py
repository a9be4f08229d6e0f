"""Curves that others published, and the user's own: points with bits per pixel and measures."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.analysis.measured import FIDELITY, PERCEPTION, Measured
from rdpcodec.errors import UsageError

_POSITIVE = ("bpp", "butteraugli", *(key for key, measure in PERCEPTION.items() if measure.log))
PUBLISHED_FILE = Path(__file__).parents[1] / "published.json"


def published_curves(ours: Measured) -> list[dict[str, Any]]:
    """Curves published for the same whole test set, judged by the folder's name and number of images."""
    for name, test_set in json.loads(PUBLISHED_FILE.read_text(encoding="utf-8")).items():
        if name in ours.data.lower() and test_set["images"] == len(ours.images):
            return [_curve(record) for record in test_set["curves"]]
    return []


def own_curves(path: Path) -> list[dict[str, Any]]:
    """The curves of a file `{"curves": [{"name": …, "source": …, "bpp": […], "psnr": […], …}]}`.

    Raises `UsageError` if the file is not like this.
    """
    try:
        records = json.loads(path.read_text(encoding="utf-8"))["curves"]
        for record in records:
            _check(record)
        return [_curve(record) for record in records]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: not a file of curves (docs/measuring.md): {error}") from error


def _check(record: dict[str, Any]) -> None:
    """Check a curve's record. Raises `ValueError` or `KeyError`."""
    known = {"bpp", *FIDELITY, *PERCEPTION}
    columns = {key: values for key, values in record.items() if key not in ("name", "source")}
    if not isinstance(record["name"], str) or not isinstance(record["source"], str):
        raise ValueError("name and source must be words")
    if unknown := sorted(columns.keys() - known):
        raise ValueError(
            f"unknown measure {unknown[0]!r} of {record['name']}; known: {', '.join(sorted(known))}"
        )
    bpp = columns["bpp"]
    for key, values in columns.items():
        numbers = isinstance(values, list) and all(type(value) in (int, float) for value in values)
        if not numbers or len(values) != len(bpp) or len(bpp) < 2:
            raise ValueError(
                f"{key!r} of {record['name']} must be a list of two numbers or more, as many as bpp"
            )
        if not all(map(math.isfinite, values)):
            raise ValueError(f"{key!r} of {record['name']} must be finite")
        if key == "ms_ssim" and not all(0 <= value <= 1 for value in values):
            raise ValueError(f"'ms_ssim' of {record['name']} must be the index, 0 to 1, not decibels")
        if key in _POSITIVE and min(values) <= 0:
            raise ValueError(f"{key!r} of {record['name']} must be over 0")
    if any(after <= before for before, after in pairwise(bpp)):
        raise ValueError(f"'bpp' of {record['name']} must rise")


def _curve(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": f"published {record['name']}",
        "label": record["name"],
        "kind": "published",
        "description": record["source"],
        "points": _published_points(record),
    }


def _published_points(record: dict[str, Any]) -> list[dict[str, float]]:
    metrics = [key for key in record if isinstance(record[key], list)]
    return [{m: record[m][i] for m in metrics} for i in range(len(record["bpp"]))]
