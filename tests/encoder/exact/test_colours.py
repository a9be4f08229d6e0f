"""Fewer colours: no more are left than asked for, and flat areas keep theirs."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from palette_images import of_colours

from rdpcodec.encoder.exact.colours import Colours


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 300), st.integers(0, 99))
def test_table_and_numbers_are_the_pixels(width: int, height: int, colours: int, seed: int) -> None:
    pixels = of_colours(colours, width, height, seed)
    table, numbers = Colours.of(pixels)
    np.testing.assert_array_equal(table[numbers], pixels)
    assert len(np.unique(table, axis=0)) == len(table)


@settings(deadline=None)
@given(st.integers(1, 300), st.sampled_from([2, 4, 16, 256]), st.integers(0, 99))
def test_no_more_colours_are_left_than_asked_for(colours: int, size: int, seed: int) -> None:
    found = Colours.of(of_colours(colours, 30, 30, seed))
    weights = np.bincount(found.numbers.ravel(), minlength=len(found.table)).astype(float)
    coarse = found.gathered(weights, size)
    assert len(np.unique(coarse, axis=0)) <= size
    assert len(found.table) > size or np.array_equal(coarse, found.table)


def test_what_has_no_weight_stays_and_a_flat_area_keeps_its_colour() -> None:
    pixels = of_colours(200, 40, 40, seed=0)
    pixels[:30] = 12, 34, 56
    pixels[39, 39] = 250, 1, 2
    found = Colours.of(pixels)
    mask = np.ones((40, 40), bool)
    mask[39, 39] = False
    weights = np.bincount(found.numbers[mask], minlength=len(found.table)).astype(float)
    coarse = found.gathered(weights, 4)[found.numbers]
    np.testing.assert_array_equal(coarse[:30], pixels[:30])
    np.testing.assert_array_equal(coarse[39, 39], pixels[39, 39])


def test_channels_are_rounded_to_the_nearest_multiple() -> None:
    pixels = of_colours(300, 20, 20, seed=1)
    found = Colours.of(pixels)
    rounded = found.rounded(8)[found.numbers].astype(int)
    assert np.abs(rounded - pixels).max() <= 4
    assert ((rounded % 8 == 0) | (rounded == 255)).all()
