"""Automatic realism: as much as brings an image's fine detail back, and no more.

At few bits, the fidelity synthesis loses fine detail in textures, and the realism synthesis paints it anew.
At many bits, and on flat graphics, there is little to bring back, and realism would only cost fidelity. Both
cases show in the energy of fine detail, block by block. The original's is compared with that of every mixture
of the two syntheses, which is a quadratic function of the realism.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rdpcodec.format.tiles import Box, tile_grid
from rdpcodec.mosaic import Mosaic

BLOCK = 16
# In squared gray levels. Below this, detail is invisible, and its ratio says nothing.
_FLOOR = 4.0
# In the mean logarithm of detail energy: 0.2 dB, which nobody sees. Where more realism would gain less than
# this, the lower one is taken, and so none where bits are many.
TOLERANCE = 0.05
# The limit, whatever the detail asks for: distortions grow with the square of realism, and most of its gain
# is had by then. Chosen on photographs held out from training (bench/experiments/2026-11-auto-realism).
MOST = 0.7
_STEPS = 21
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def _detail(pixels: np.ndarray) -> np.ndarray:
    """Luma minus the mean of its four neighbours, without the outermost pixels. pixels: uint8 `[H, W, 3]`."""
    y = pixels.astype(np.float32) @ _LUMA
    return y[1:-1, 1:-1] - (y[:-2, 1:-1] + y[2:, 1:-1] + y[1:-1, :-2] + y[1:-1, 2:]) / 4


def _mean_in_blocks(x: np.ndarray) -> np.ndarray:
    """Means of whole blocks of 16×16, `[H, W]` → `[H // 16, W // 16]`."""
    rows, columns = (side // BLOCK for side in x.shape)
    blocks = x[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return np.asarray(blocks.mean((1, 3)))


@dataclass
class DetailMatch:
    """How well mixtures at each realism match the original's detail, added up over parts of an image."""

    errors: np.ndarray = field(default_factory=lambda: np.zeros(_STEPS))
    blocks: int = 0

    def add(self, original: np.ndarray, fidelity: np.ndarray, realistic: np.ndarray) -> None:
        """Add one part of an image, and the same part decoded at realism 0 and 1: uint8 `[H, W, 3]` each."""
        wanted, low, high = (_detail(pixels) for pixels in (original, fidelity, realistic))
        energy, zero, cross, one = (
            _mean_in_blocks(product) for product in (wanted**2, low**2, low * high, high**2)
        )
        for i, beta in enumerate(np.linspace(0, 1, _STEPS)):
            mixed = (1 - beta) ** 2 * zero + 2 * beta * (1 - beta) * cross + beta**2 * one
            self.errors[i] += float(np.abs(np.log((mixed + _FLOOR) / (energy + _FLOOR))).sum())
        self.blocks += energy.size

    def realism(self) -> float:
        """The lowest realism, 0..MOST, whose match is within `TOLERANCE` of the best; 0 for an image without
        a whole block.
        """
        if not self.blocks:
            return 0.0
        error = self.errors / self.blocks
        return min(MOST, float(np.argmax(error <= error.min() + TOLERANCE)) / (_STEPS - 1))


def realism_of(pixels: np.ndarray, mosaic: Mosaic) -> float:
    """The realism, 0..MOST, that the detail of an image asks for.

    pixels: the original, uint8 `[H, W, 3]`; mosaic: the coded image, which is decoded twice, one row of tiles
    at a time.
    """
    match = DetailMatch()
    for row in tile_grid(*mosaic.size):
        strip = Box(0, row[0].top, mosaic.size[0], row[0].bottom)
        ends = [mosaic.decode(strip, realism)[0] for realism in (0.0, 1.0)]
        match.add(pixels[strip.top : strip.bottom], *ends)
    return match.realism()
