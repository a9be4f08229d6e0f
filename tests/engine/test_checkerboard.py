"""The halves of a checkerboard: nothing is lost, and the anchors are where training has them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rdpcodec.engine.checkerboard import half_of, put_half
from rdpcodec.model.prior import anchor_mask

sides = st.integers(1, 9)


@given(batch=st.integers(1, 2), channels=st.integers(1, 3), height=sides, width=sides)
def test_both_halves_make_the_whole(batch: int, channels: int, height: int, width: int) -> None:
    x = np.arange(1, 1 + batch * channels * height * width, dtype=np.int32)
    x = x.reshape(batch, channels, height, width)
    put_together = np.zeros_like(x)
    for half in (0, 1):
        put_half(put_together, half_of(x, half), half)
    assert np.array_equal(put_together, x)


@given(height=sides, width=sides)
def test_the_first_half_are_the_anchors(height: int, width: int) -> None:
    found = np.zeros((1, 1, height, width), np.float32)
    put_half(found, half_of(np.ones_like(found), 0), 0)
    assert np.array_equal(found[0, 0], anchor_mask(torch.zeros(1, 1, height, width)).float().numpy())


@pytest.mark.parametrize(("height", "width", "folded"), [(1, 1, (1, 2)), (4, 6, (2, 6)), (5, 7, (3, 8))])
def test_halves_have_half_of_the_positions(height: int, width: int, folded: tuple[int, int]) -> None:
    assert half_of(np.zeros((1, 2, height, width), np.uint8), 1).shape == (1, 2, *folded)
