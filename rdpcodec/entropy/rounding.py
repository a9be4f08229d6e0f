"""Rounding of latents with an eye on their rate: all that the encoder's one pass does to save bits.

Where two integers are almost equally near, the smaller one is often much cheaper. A symbol takes it when the
bits saved outweigh the squared error added. This is rate-distortion optimised quantisation, in the form that
needs neither a search nor a second pass. The decoder is not affected. `rdpcodec.model.rounding` does the same
to torch tensors, also under densities that are being trained.
"""

from __future__ import annotations

import math

import numpy as np

# The price of a squared quantisation step in bits, at quality 100 and 0. For a fine uniform quantiser it
# would be 6 / ln 2 = 8.7, but the errors of this rounding all point the same way, and so add up. Measured on
# held-out crops of training images (docs/decisions.md).
PRICE_MIN, PRICE_MAX = 19.0, 80.0


def round_by_rate(x: np.ndarray, tables: np.ndarray, quality: float, bits: np.ndarray) -> np.ndarray:
    """Round half up, or to the next integer nearer zero where that saves more than it costs.

    x: latents minus their means, float32; tables: the table of each, uint8 of the same shape; quality:
    0..100; bits: the costs of integers, `TableFamily.costs`. Returns integers in float32.
    """
    price = np.float32(PRICE_MAX * math.exp(math.log(PRICE_MIN / PRICE_MAX) / 100 * quality))
    rounded = np.floor(x + np.float32(0.5))
    # Only where the integer is not zero is another nearer zero: few places at most qualities.
    places = np.flatnonzero(rounded)
    exact, nearest, rows = x.ravel()[places], rounded.ravel()[places], tables.ravel()[places]
    smaller = nearest - np.sign(nearest)
    reach = bits.shape[1] // 2

    def cost(values: np.ndarray) -> np.ndarray:
        return np.asarray(bits[rows, np.clip(values, -reach, reach).astype(np.intp) + reach])

    added = np.square(exact - smaller) - np.square(exact - nearest)
    saves = cost(nearest) - cost(smaller) > price * added
    rounded.ravel()[places[saves]] = smaller[saves]
    return rounded
