"""Digits in rows, one for each system."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.drawing import pyplot


def rows_of_digits(rows: list[tuple[str, NDArray[np.uint8]]], title: str) -> Figure:
    """Digits in rows with names. rows: name and uint8 `[digits, 28, 28]`."""
    figure, axis = pyplot.subplots(figsize=(6.8, 0.42 * len(rows) + 0.4), layout="compressed")
    axis.imshow(255 - np.concatenate([np.concatenate(list(images), 1) for _, images in rows]), cmap="gray")
    axis.set_yticks([14 + 28 * number for number in range(len(rows))], [name for name, _ in rows], fontsize=8)
    axis.set_xticks([])
    axis.set_title(title, fontsize=9)
    return figure
