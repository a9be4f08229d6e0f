"""Measurements of images, kept in one file per codec and image, so that a killed run can continue.

A file holds all metrics at each point and the image's part in distances between distributions.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from bench.metrics.image_metrics import MetricOptions, SetFeatures
from bench.record import number_text, write_file

# By point: bytes, seconds and metrics, and the image's features.
CachedPoints = dict[str, tuple[dict[str, float], SetFeatures]]


@dataclass(frozen=True)
class Point:
    """One setting of a codec: for ours quality and realism, for others what they call quality."""

    quality: float
    realism: float | None = None

    @property
    def key(self) -> str:
        """The point's name in files."""
        quality = number_text(self.quality)
        return quality if self.realism is None else f"{quality}/{number_text(self.realism)}"


@dataclass(frozen=True)
class Job:
    """One image through one codec."""

    codec: str
    name: str
    path: Path
    points: tuple[Point, ...]
    cache: Path
    # Of codec, image, measures and label: what is cached under another identity is measured again.
    identity: str
    metric_options: MetricOptions
    label: int | None = None  # ImageNet class, if the folder gives it


def load_cached(job: Job) -> CachedPoints:
    """The cached points of an image; none if they were measured under another identity, or are damaged."""
    if not job.cache.exists():
        return {}
    try:
        with np.load(job.cache) as file:
            return _points_of(file) if str(file["identity"]) == job.identity else {}
    except (OSError, ValueError, LookupError, EOFError, BadZipFile):
        return {}


def _points_of(file: Any) -> CachedPoints:
    cached: CachedPoints = {}
    for number, (key, facts) in enumerate(json.loads(str(file["points"])).items()):
        levels = tuple(file[f"{number}.level{i}"] for i in range(int(file[f"{number}.levels"])))
        features, held_out = (file[f"{number}.{name}"] for name in ("features", "held_out"))
        cached[key] = (facts, SetFeatures(features, held_out, levels))
    return cached


def save_cached(job: Job, points: CachedPoints) -> None:
    """Write the cache of an image, whole or not at all. Raises `OutputError`."""
    arrays: dict[str, Any] = {
        "identity": np.array(job.identity),
        "points": np.array(json.dumps({key: facts for key, (facts, _) in points.items()})),
    }
    for number, (_, features) in enumerate(points.values()):
        arrays[f"{number}.features"] = features.features
        arrays[f"{number}.held_out"] = features.held_out
        arrays[f"{number}.levels"] = np.array(len(features.neighbourhoods))
        for i, level in enumerate(features.neighbourhoods):
            arrays[f"{number}.level{i}"] = level
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_file(job.cache, buffer.getvalue())
