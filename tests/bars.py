"""Stand-ins for MNIST that need no download, and its file format."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import torch

from bench.papers.wgan.data import Labelled

SHAPE = (1, 28, 28)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bars(count: int, seed: int = 0) -> Labelled:
    """Stand-ins for digits: classes 0-4 are horizontal bars of five thicknesses, 5-9 vertical ones."""
    generator = np.random.default_rng(seed)
    labels = (np.arange(count) % 10).astype(np.uint8)
    images = np.zeros((count, *SHAPE), np.uint8)
    for image, label in zip(images, labels, strict=True):
        thick = 1 + 3 * (label % 5)
        across, along = generator.integers(2, 26 - thick), generator.integers(1, 8)
        bar = image[0] if label < 5 else image[0].T
        bar[across : across + thick, along : along + 20] = 220
    return Labelled(images, labels)


def idx(values: np.ndarray, kind: int = 8) -> bytes:
    """An array as an IDX file of type `kind`; 8 means unsigned bytes."""
    header = bytes((0, 0, kind, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.tobytes()


def write_mnist(folder: Path, data: Labelled) -> None:
    for name in ("train", "t10k"):
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(data.images[:, 0])))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(data.labels))
