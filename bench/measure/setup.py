"""What all measurements of one run share, and the jobs that follow from it."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.analysis.measured import MEASURES
from bench.codecs import OWN_SUFFIX, bench_codec, library_versions
from bench.folder import image_paths
from bench.measure.cache import Job, Point
from bench.metrics.image_metrics import ImageMetrics, MetricOptions
from rdpcodec.errors import UsageError


@cache
def metrics_of(metric_options: MetricOptions) -> ImageMetrics:
    """The metrics' networks, loaded once in each process."""
    return ImageMetrics(metric_options.lpips, metric_options.device, metric_options.butteraugli)


@dataclass(frozen=True)
class Setup:
    """What all measurements of one run share: the folders of images and results, and how to measure."""

    data: Path
    out: Path
    metric_options: MetricOptions

    @property
    def metrics(self) -> ImageMetrics:
        """The metrics that all images are measured with."""
        return metrics_of(self.metric_options)

    def jobs(self, codec: str, identity: str, points: tuple[Point, ...]) -> list[Job]:
        """One job for each image of the folder. codec: as `bench_codec` takes it."""
        folder = self.out / "cache" / _cache_name(codec)
        labels, versions = read_labels(self.data), library_versions(codec)

        def identity_of(name: str) -> str:
            label = f"class {labels[name]}" if name in labels else ""
            measures = f"{MEASURES}:{self.metrics.names}"
            parts = (identity, versions, _digest(self.data / name), measures, label)
            return " ".join(part for part in parts if part)

        return [
            Job(
                codec,
                name,
                self.data / name,
                points,
                folder / f"{name}.npz",
                identity_of(name),
                self.metric_options,
                labels.get(name),
            )
            for name in (path.name for path in image_paths(self.data))
        ]


def read_labels(data: Path) -> dict[str, int]:
    """The ImageNet class of each image, from a `classes.tsv` with the columns `index` and `probe_file`.

    Raises `UsageError` for a file that is not like this.
    """
    path = data / "classes.tsv"
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["probe_file"]: int(row["index"]) for row in csv.DictReader(file, delimiter="\t")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: not a table with the columns index and probe_file: {error!r}") from error


def _cache_name(codec: str) -> str:
    """The folder of a codec in the cache; for the file of a user's own codec, the name inside that file."""
    return (bench_codec(codec).name if codec.endswith(OWN_SUFFIX) else codec).replace(":", "-")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
