"""What `python -m bench measure surface` and `peers` stored, as arrays, and resamplings of the images.

Every error bar of the report and of the gate comes from here. Images are resampled with the same draws for
every codec, so that differences between codecs are paired.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from rdpcodec.errors import UsageError
from rdpcodec.peers import PEERS

# With the seed, quantiles of this many resamplings move by a twentieth of the bar.
RESAMPLINGS = 500
INTERVAL = (2.5, 97.5)
# Below this many images a bootstrap's intervals are known to be too short.
FEW_IMAGES = 10
# What a lossless image counts as, so that a mean over images exists.
LOSSLESS_PSNR = 100.0


@dataclass(frozen=True)
class Measure:
    """A measure of perception, smaller is better. log: whether it is read and interpolated in octaves."""

    key: str
    label: str
    log: bool

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """The values on the scale on which they are interpolated; not finite for equal images in octaves."""
        if not self.log:
            return values
        # Rounding may put a Fréchet distance of 0 a little below it.
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log2(values))

    def unscaled(self, values: np.ndarray) -> np.ndarray:
        """The inverse of `scaled`."""
        return np.exp2(values) if self.log else values


# LPIPS comes first: every image has its own value of it, and no training minimised it (training uses
# LPIPS-squeeze). The others are distances between distributions: of features that no loss has seen, of the
# features on which training's discriminator is built, and of pixels. Kernel distances may be negative, so
# they have no logarithm.
PERCEPTION = {
    measure.key: measure
    for measure in (
        Measure("lpips_alex", "LPIPS (AlexNet)", True),
        Measure("kernel_held_out", "Kernel distance (held out, EfficientNet-Lite2)", False),
        Measure("kernel", "Kernel distance (EfficientNet-Lite0)", False),
        Measure("frechet", "Fréchet distance", True),
        Measure("sliced_wasserstein", "Sliced Wasserstein distance", True),
    )
}
# Measures of closeness and their names for readers. Those that were tested against human eyes come first.
FIDELITY = {
    "ssimulacra2": "SSIMULACRA2",
    "butteraugli": "Butteraugli 3-norm",
    "psnr_hvs_m": "PSNR-HVS-M",
    "psnr": "PSNR",
    "ms_ssim": "MS-SSIM, dB",
    "vif": "VIF",
}
# Since this version of the measures, kernel and sliced Wasserstein distances have had their present meaning.
MEASURES = 2
_CHANGED = ("kernel", "sliced_wasserstein")


@dataclass(frozen=True)
class Measured:
    """One codec on one set of images.

    qualities `[Q]` and realisms `[B]` rise; a codec without a realism setting has realism 0 alone. All
    figures are by metric. values: for each image, `[N, Q, B]`; distances: for the whole set, `[Q, B]`;
    errors: the standard errors of distances, where known.
    """

    name: str
    description: str
    data: str
    images: tuple[str, ...]
    qualities: np.ndarray
    realisms: np.ndarray
    values: dict[str, np.ndarray]
    distances: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]

    @property
    def label(self) -> str:
        """The name for readers."""
        return PEERS[self.name].label if self.name in PEERS else self.name

    def has(self, metric: str) -> bool:
        """Whether the metric was measured, and is finite, at every point."""
        known = self.values.get(metric, self.distances.get(metric))
        return known is not None and bool(np.isfinite(known).all())

    @property
    def grid(self) -> tuple[int, int]:
        """How many qualities and realisms there are."""
        return len(self.qualities), len(self.realisms)

    def at(self, qualities: np.ndarray, realisms: np.ndarray) -> Measured:
        """The same codec at some of its settings."""
        rows, columns = np.isin(self.qualities, qualities), np.isin(self.realisms, realisms)
        values, distances, errors = (
            {name: found[..., rows, :][..., columns] for name, found in kind.items()}
            for kind in (self.values, self.distances, self.errors)
        )
        return replace(
            self,
            qualities=self.qualities[rows],
            realisms=self.realisms[columns],
            values=values,
            distances=distances,
            errors=errors,
        )

    def mean(self, metric: str) -> np.ndarray:
        """Mean over images, or the distance between distributions, `[Q, B]`."""
        return self.values[metric].mean(axis=0) if metric in self.values else self.distances[metric]

    def resampled(self, metric: str, weights: np.ndarray, *, together: bool = False) -> np.ndarray:
        """Means under weights of images `[S, N]`, as `[S, Q, B]`.

        Repeated images make distributions look further apart than they are. Distances are therefore drawn
        from normal distributions with their jackknife errors, log-normal where they are read in octaves.
        Draws are independent, which overstates the error of a difference. With `together`, all points share
        one draw: their errors are alike, and a mean over points would otherwise look too certain. Distances
        without a known error are repeated as they are.
        """
        if metric in self.values:
            return np.tensordot(weights, self.values[metric], 1)
        generator = np.random.default_rng(zlib.crc32(self.name.encode()))
        distance = self.distances[metric]
        points = (1, 1) if together else distance.shape
        noise = generator.normal(size=(len(weights), *points)) * self.errors.get(
            metric, np.zeros(distance.shape)
        )
        if not PERCEPTION[metric].log:
            return distance + noise
        # A codec without loss is at distance 0 whatever the images.
        shares = np.divide(noise, distance, out=np.zeros_like(noise + distance), where=distance > 0)
        return np.asarray(distance * np.exp(shares))


def image_weights(images: int, resamplings: int = RESAMPLINGS) -> np.ndarray:
    """Bootstrap over images: the share of each image in each resampling, `[resamplings, images]`."""
    counts = np.random.default_rng(0).multinomial(images, [1 / images] * images, size=resamplings)
    return counts / images


def load_measured(path: Path) -> Measured:
    """Read one `<codec>.json`. Raises `UsageError` if it is not one, or not a whole grid."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return _measured(record)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{path}: not a whole grid of `python -m bench measure surface` or `peers` ({error}); "
            "measure it again"
        ) from error


def _measured(record: dict[str, Any]) -> Measured:
    points = sorted(record["points"].items(), key=lambda item: _position(item[1]))
    positions = [_position(point) for _, point in points]
    qualities, realisms = (np.unique([position[i] for position in positions]) for i in (0, 1))
    shape = (len(qualities), len(realisms))
    changed = () if record.get("measures", 1) >= MEASURES else _CHANGED
    if len(positions) != shape[0] * shape[1]:
        raise ValueError(f"{len(positions)} points for {shape[0]} qualities and {shape[1]} realisms")
    rows = [[image[key] for key, _ in points] for image in record["images"].values()]
    # Only labelled images have a classifier's answers.
    shared = [metric for metric in rows[0][0] if all(metric in facts for row in rows for facts in row)]
    values = {
        metric: np.array([[facts[metric] for facts in row] for row in rows], float).reshape(-1, *shape)
        for metric in shared
    }
    values["psnr"] = np.minimum(values["psnr"], LOSSLESS_PSNR)
    distances = {
        metric: np.array([point[metric] for _, point in points], float).reshape(shape)
        for metric in PERCEPTION
        if metric not in values and metric in points[0][1] and metric not in changed
    }
    errors = {
        metric: np.array([point["standard_errors"][metric] for _, point in points], float).reshape(shape)
        for metric in distances
        if metric in points[0][1]["standard_errors"]
    }
    if len(qualities) < 2:
        raise ValueError("a single quality")
    if (np.diff(values["bpp"].mean(axis=0), axis=0) <= 0).any():
        raise ValueError("the rate does not rise with quality")
    return Measured(
        record["name"],
        record["description"],
        record["data"],
        tuple(record["images"]),
        qualities,
        realisms,
        values,
        distances,
        errors,
    )


def _position(point: dict[str, float]) -> tuple[float, float]:
    return point["quality"], point.get("realism", 0.0)


def say_if_few(measured: Measured) -> None:
    """Warn if the images are so few that intervals are too short, or have no width, as for a single image."""
    count = len(measured.images)
    if count < FEW_IMAGES:
        images = f"only {count} images" if count > 1 else "a single image"
        click.echo(f"{images}: the real intervals are wider")


def with_interval(value: float, drawn: np.ndarray) -> dict[str, Any]:
    """A figure and the interval of its resamplings, null if none of them is finite."""
    known = drawn[np.isfinite(drawn)]
    return {"value": value, "interval": np.percentile(known, INTERVAL) if known.size else None}
