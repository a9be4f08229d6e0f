"""Which images or files go through the networks together: those that are alike, and only so many at once."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from rdpcodec.format.tiles import GRID, TILE

# How many pixels go through the networks at once, as in one full tile. Memory then does not grow with the
# number of images. On a processor, more at once would be no faster.
_AT_ONCE = TILE**2


def groups_of(keys: Mapping[int, tuple[tuple[int, int], *tuple[Hashable, ...]]]) -> Iterator[list[int]]:
    """Groups of the places with equal keys, none too large for the networks.

    keys: for each place, width and height in pixels, and whatever else must be equal.
    """
    members: dict[Any, list[int]] = {}
    for place, key in keys.items():
        members.setdefault(key, []).append(place)
    for (size, *_), places in members.items():
        # The networks pad sides up to the grid: thousands of icons would be large together.
        width, height = (GRID * -(-min(side, TILE) // GRID) for side in size)
        count = _AT_ONCE // (width * height)
        for start in range(0, len(places), count):
            yield places[start : start + count]
