from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rdpcodec.peers import closest_to, largest_within


@given(st.lists(st.integers(1, 1000), min_size=101, max_size=101).map(sorted), st.integers(0, 1100))
def test_the_peers_file_is_the_largest_that_is_no_larger(sizes: list[int], size: int) -> None:
    made: dict[int, bytes] = {}
    found = largest_within(lambda setting: bytes(sizes[setting]), size, made)
    assert len(found) == max((s for s in sizes if s <= size), default=sizes[0])
    assert len(made) <= 8


@given(st.lists(st.integers(1, 1000), min_size=101, max_size=101).map(sorted), st.integers(1, 1100))
def test_no_other_setting_comes_closer_to_equal_bytes(sizes: list[int], size: int) -> None:
    found = len(closest_to(lambda setting: bytes(sizes[setting]), size, {}))
    assert max(found / size, size / found) == min(max(s / size, size / s) for s in sizes)
