"""What values cost under integer tables: the measure for coded sizes and for tabulated costs."""

from __future__ import annotations

import numpy as np

from rdpcodec.entropy.tables import ESCAPE_BITS, PRECISION, TableFamily


def ideal_bits(family: TableFamily, values: np.ndarray, tables: np.ndarray) -> float:
    """Ideal cost of coding integer `values` with the `tables` of the same shape, in bits."""
    reach = family.reach[tables]
    escaped = np.abs(values) > reach
    symbol = np.where(escaped, 2 * reach + 1, values + reach)
    bits = PRECISION - np.log2(family.frequencies[family.starts[tables] + symbol])
    return float(bits.sum()) + ESCAPE_BITS * int(escaped.sum())
