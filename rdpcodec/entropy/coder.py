"""Entropy coding: integers ⇄ bytes with constriction's ANS coder and integer tables.

Symbols are grouped by table, so that the coder works through long runs with one model each. A stack-like
coder is written in reverse: what is decoded first is encoded last.
"""

from __future__ import annotations

import constriction
import numpy as np

from rdpcodec.entropy.tables import ESCAPE_BITS, ESCAPE_LIMIT, TableFamily
from rdpcodec.errors import FormatError

_Categorical = constriction.stream.model.Categorical
_ESCAPE_MODEL = constriction.stream.model.Uniform(1 << ESCAPE_BITS)


class EntropyModels:
    """A `TableFamily` in the form constriction takes. A table is converted when it is first used: an image
    uses a fifth of them. May be shared between threads.
    """

    def __init__(self, family: TableFamily) -> None:
        self.family = family
        self._models: dict[int, constriction.stream.model.Categorical] = {}

    def __getitem__(self, table: int) -> constriction.stream.model.Categorical:
        """The model of a table."""
        if table not in self._models:
            # constriction gives symbol i the frequency 1 + ⌊pᵢ·(2^24 - n)/Σp⌋, on cumulated p. With p =
            # frequency - 1 the factor is exactly one and float64 holds every partial sum exactly, so the
            # frequencies arrive unchanged (tested).
            frequencies = self.family.table(table).astype(np.float64)
            self._models[table] = _Categorical(frequencies - 1, perfect=False)
        return self._models[table]


def _groups(tables: np.ndarray, count: int) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """Positions ordered by table, and for each table in use (table, start, end) in that order."""
    order = np.argsort(tables, kind="stable")
    # Not by counting, for which NumPy makes 64-bit integers: allocating memory for them takes longer.
    ends = np.searchsorted(tables[order], np.arange(count, dtype=tables.dtype), side="right")
    starts = np.concatenate([[0], ends[:-1]])
    used = np.flatnonzero(ends > starts)
    return order, [(int(t), int(starts[t]), int(ends[t])) for t in used]


class Encoder:
    """Writes integer arrays; `bytes()` yields the coded data.

    Arrays must be written in the reverse of reading order.
    """

    def __init__(self) -> None:
        self._coder = constriction.stream.stack.AnsCoder()

    def write(self, values: np.ndarray, tables: np.ndarray, models: EntropyModels) -> None:
        """Write `values`, int32 `[n]`, value i under table `tables[i]` (any small integer type, `[n]`)."""
        family = models.family
        order, groups = _groups(tables, len(family.reach))
        values = values[order]
        for table, start, end in reversed(groups):
            group, reach = values[start:end], int(family.reach[table])
            escaped = np.abs(group) > reach
            symbols = group + reach
            if escaped.any():
                if not family.escape:
                    raise ValueError(f"a value lies outside -{reach}..{reach} of a table without escape")
                self._coder.encode_reverse(group[escaped] + (ESCAPE_LIMIT + 1), _ESCAPE_MODEL)
                symbols = np.where(escaped, 2 * reach + 1, symbols)
            self._coder.encode_reverse(symbols.astype(np.int32), models[table])

    def bytes(self) -> bytes:
        """Everything written so far: 32-bit words, little-endian."""
        words: np.ndarray = self._coder.get_compressed()
        return words.astype("<u4").tobytes()


class Decoder:
    """Reads what `Encoder` wrote."""

    def __init__(self, data: bytes) -> None:
        """Raises `FormatError` if `data` cannot be the output of an `Encoder`."""
        if len(data) % 4:
            raise FormatError("coded data is not a whole number of 32-bit words")
        words = np.frombuffer(data, "<u4").astype(np.uint32)
        if len(words) and words[-1] == 0:
            raise FormatError("coded data ends in an empty word")
        self._coder = constriction.stream.stack.AnsCoder(words)

    def read(self, tables: np.ndarray, models: EntropyModels) -> np.ndarray:
        """Read `len(tables)` values, value i under table `tables[i]` → int32 `[n]`."""
        family = models.family
        order, groups = _groups(tables, len(family.reach))
        values = np.empty(len(tables), np.int32)
        for table, start, end in groups:
            reach = int(family.reach[table])
            group = self._coder.decode(models[table], end - start) - reach
            # Not `max`: groups are often so short that its call takes longer than all the rest.
            if family.escape and group[group.argmax()] > reach:
                escaped = group == reach + 1
                group[escaped] = self._coder.decode(_ESCAPE_MODEL, int(escaped.sum())) - (ESCAPE_LIMIT + 1)
            values[order[start:end]] = group
        return values

    def finish(self) -> None:
        """Raise `FormatError` unless everything was read: the data is damaged, or made with other weights."""
        if not self._coder.is_empty():
            raise FormatError("coded data does not end where the image ends")
