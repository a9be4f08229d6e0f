"""Images of few colours."""

from __future__ import annotations

import numpy as np


def of_colours(colours: int, width: int, height: int, seed: int) -> np.ndarray:
    """Each pixel one of at most `colours` colours, at random: uint8 `[height, width, 3]`."""
    generator = np.random.default_rng(seed)
    palette = generator.integers(0, 256, (colours, 3), dtype=np.uint8)
    return palette[generator.integers(0, colours, (height, width))]
