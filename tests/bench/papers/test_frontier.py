"""Lower hulls, and means over seeds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.papers.wgan.frontier import hull, hull_ends, least
from bench.papers.wgan.seeds import OverSeeds


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), min_size=1, max_size=12))
def test_hulls_lie_under_all_points_and_are_convex_and_falling(points: list[tuple[int, int]]) -> None:
    x, y = (np.array(values) / 100 for values in zip(*points, strict=True))
    a, b = hull(x, y)
    assert (np.diff(a) > 0).all()
    assert (np.diff(b) < 0).all()
    slopes = np.diff(b) / np.diff(a)
    assert (np.diff(slopes) >= -1e-6 * np.abs(slopes[1:])).all()
    assert (least(x, y, x) <= y + 1e-9).all()
    assert least(x, y, np.array([np.inf]))[0] == y.min()
    assert np.isnan(least(x, y, np.array([x.min() - 1]))).all()


def test_the_price_of_perception_is_read_off_the_hulls_ends() -> None:
    group = {"wasserstein": [4.0, 2.0, 1.0, 3.0], "mse": [1.0, 1.2, 1.5, 2.5]}  # the last one is beaten twice
    assert hull_ends(group) == pytest.approx(1.5)


def test_means_over_seeds_have_their_standard_error() -> None:
    several = OverSeeds(np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]))
    assert several.text(0) == "2.00 ± 0.58"
    assert several.clearly == pytest.approx([2 - 2 / np.sqrt(3), 5])
    alone = OverSeeds(np.array([[1.25]]))
    assert alone.text(0) == "1.25"
    assert alone.clearly == 1.25
