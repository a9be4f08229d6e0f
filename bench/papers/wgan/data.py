"""Small labelled images: readers of MNIST's IDX files and of CIFAR-10 as npz, which trust no file.

Nothing is stored in this repository. The files come from a folder, or torchvision downloads them.
"""

from __future__ import annotations

import gzip
import importlib
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdpcodec.errors import UsageError

Bytes = NDArray[np.uint8]

# MNIST's own files. A header that asks for more than CIFAR-10's 60 000 images is not from such a set.
_IDX = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_MOST_BYTES = 60_000 * 32 * 32 * 3
_UNSIGNED_BYTE = 0x08  # the only element type that MNIST uses


@dataclass(frozen=True)
class Labelled:
    """Images with their classes. images: uint8 `[N, C, H, W]`; labels: uint8 `[N]`, 0..9."""

    images: Bytes
    labels: Bytes

    def first(self, count: int) -> Labelled:
        """The first `count` of them."""
        return Labelled(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class Split:
    """The images for training and those for testing."""

    train: Labelled
    test: Labelled


def load_mnist(folder: Path | None) -> Split:
    """MNIST from a folder of its four IDX files, gzipped or not; without a folder torchvision fetches them.

    Raises `UsageError` if a file is missing or is not what its name says.
    """
    if folder is None:
        folder = Path(_torchvision("MNIST").raw_folder)
    parts = {}
    for part, names in _IDX.items():
        images, labels = (read_idx(_existing(folder, name)) for name in names)
        if images.ndim != 3 or labels.ndim != 1:
            raise UsageError(f"{folder / names[0]}: not images with their labels beside them")
        parts[part] = _labelled(folder / names[0], images[:, None], labels)
    return Split(parts["train"], parts["test"])


def load_cifar10(folder: Path | None) -> Split:
    """CIFAR-10 from `train.npz` and `test.npz`; without a folder torchvision fetches it.

    Each file has `images` `[N, 32, 32, 3]` and `labels` `[N]`, uint8.
    """
    if folder is None:
        return Split(*(_from_torchvision(_torchvision("CIFAR10", train=train)) for train in (True, False)))
    return Split(*(read_npz(_existing(folder, f"{part}.npz")) for part in ("train", "test")))


def read_idx(path: Path) -> Bytes:
    """One IDX file of unsigned bytes (LeCun's format: 0, 0, type, dimensions; big-endian sizes; the values).

    No more is read or unpacked than the header announces. Raises `UsageError`.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            start = file.read(4)
            if len(start) < 4 or start[:3] != bytes((0, 0, _UNSIGNED_BYTE)) or not 1 <= start[3] <= 4:
                raise UsageError(f"{path}: not an IDX file of unsigned bytes; get it again")
            sizes = file.read(4 * start[3])
            if len(sizes) < 4 * start[3]:
                raise UsageError(f"{path}: ends inside its header; get it again")
            shape = struct.unpack(f">{start[3]}I", sizes)
            announced = int(np.prod(shape, dtype=object))
            if not 0 < announced <= _MOST_BYTES:
                raise UsageError(f"{path}: announces {announced} bytes of images, which is no MNIST file")
            values = file.read(announced + 1)
    except (OSError, EOFError, zlib.error) as error:  # gzip raises all three
        raise UsageError(f"{path}: cannot be read: {error}") from error
    if len(values) != announced:
        found = "more" if len(values) > announced else len(values)
        raise UsageError(f"{path}: has {found} bytes of values, its header says {announced}; get it again")
    return np.frombuffer(values, np.uint8).reshape(shape)


def read_npz(path: Path) -> Labelled:
    """`images` `[N, H, W, 3]` and `labels` `[N]`, both uint8, from a NumPy archive. Pickles are refused."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > 2 * _MOST_BYTES:
            raise UsageError(f"{path}: unpacks to {size} bytes, more than CIFAR-10 has")
        with np.load(path, allow_pickle=False) as file:
            images, labels = (np.asarray(file[name]) for name in ("images", "labels"))
    except KeyError as error:
        raise UsageError(f"{path}: has no array {error}; it needs images and labels") from error
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"{path}: cannot be read as npz: {error}") from error
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise UsageError(f"{path}: images are {images.dtype} {list(images.shape)}, not uint8 [N, H, W, 3]")
    return _labelled(path, np.ascontiguousarray(images.transpose(0, 3, 1, 2)), labels)


def _labelled(path: Path, images: Bytes, labels: NDArray[Any]) -> Labelled:
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise UsageError(f"{path}: {len(images)} images, but labels {labels.dtype} {list(labels.shape)}")
    if len(labels) == 0 or labels.max() > 9:
        raise UsageError(f"{path}: labels are not classes 0 to 9")
    return Labelled(images, labels)


def _existing(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.exists():
            return candidate
    raise UsageError(f"{folder}: has no {name}; --data names the folder that holds it")


def _torchvision(name: str, **options: bool) -> Any:
    """A data set as torchvision fetches it."""
    try:
        datasets = importlib.import_module("torchvision.datasets")
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision for another torch
        raise UsageError(f"{name}: give its folder with --data, or install torchvision: {error}") from error
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rdpcodec-bench"
    try:
        return getattr(datasets, name)(cache, download=True, **options)
    except (OSError, RuntimeError) as error:
        raise UsageError(f"{name}: the download failed: {error}; give its folder with --data") from error


def _from_torchvision(data: Any) -> Labelled:
    return Labelled(
        np.ascontiguousarray(np.asarray(data.data, np.uint8).transpose(0, 3, 1, 2)),
        np.asarray(data.targets, np.uint8),
    )
