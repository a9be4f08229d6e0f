"""Groups of images for the networks: all of them, alike, and bounded."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rdpcodec.format.tiles import GRID, TILE
from rdpcodec.groups import groups_of

SIZES = st.sampled_from(
    [(1, 1), (4, 70), (64, 64), (512, 512), (512, 1024), (1024, 1024), (5000, 300), (3000, 3000)]
)


@given(st.dictionaries(st.integers(0, 999), st.tuples(SIZES, st.sampled_from([20.0, 90.0])), max_size=60))
def test_groups_are_alike_and_take_no_more_than_a_full_tile(
    keys: dict[int, tuple[tuple[int, int], float]],
) -> None:
    groups = list(groups_of(keys))
    assert sorted(place for group in groups for place in group) == sorted(keys)
    full: Counter[tuple[tuple[int, int], float]] = Counter()
    for group in groups:
        (key,) = {keys[place] for place in group}
        width, height = (
            GRID * math.ceil(min(side, TILE) / GRID) for side in key[0]
        )  # as the networks pad them
        assert len(group) * width * height <= TILE**2
        full[key] += (len(group) + 1) * width * height <= TILE**2
    assert max(full.values(), default=0) <= 1  # only the last group of a kind has room


def test_neither_photographs_nor_thousands_of_icons_are_one_batch() -> None:
    assert [len(group) for group in groups_of(dict.fromkeys(range(5), ((768, 512),)))] == [2, 2, 1]
    assert [len(group) for group in groups_of(dict.fromkeys(range(600), ((4, 4),)))] == [256, 256, 88]
    assert [len(group) for group in groups_of(dict.fromkeys(range(3), ((4000, 3000),)))] == [1, 1, 1]
