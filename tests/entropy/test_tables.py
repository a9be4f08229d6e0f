from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ideal_bits import ideal_bits

from rdpcodec.entropy.tables import TOTAL, TableFamily, integer_frequencies

weights = st.lists(st.floats(0, 1e6), min_size=2, max_size=300).filter(lambda w: sum(w) > 1e-3)


@given(weights)
def test_integer_frequencies_are_positive_and_add_up(values: list[float]) -> None:
    frequencies = integer_frequencies(np.array(values))
    assert frequencies.min() >= 1
    assert int(frequencies.astype(np.int64).sum()) == TOTAL


@given(weights)
def test_integer_frequencies_are_within_one_symbol_of_the_shares(values: list[float]) -> None:
    share = np.array(values) / sum(values) * TOTAL
    assert np.abs(integer_frequencies(np.array(values)) - share).max() <= 2 * len(values)


def test_a_family_gives_back_each_table() -> None:
    tables = [integer_frequencies(np.arange(1.0, n)) for n in (5, 9)]
    family = TableFamily(np.concatenate(tables), np.array([1, 3], np.int32), escape=True)
    np.testing.assert_array_equal(family.table(0), tables[0])
    np.testing.assert_array_equal(family.table(1), tables[1])


def test_the_cost_of_a_value_is_minus_log2_of_its_share() -> None:
    quarter = TOTAL // 4
    family = TableFamily(np.full(4, quarter, np.int32), np.array([1], np.int32), escape=True)
    np.testing.assert_allclose(family.costs()[0, 1:4], 2)


def test_the_costs_of_all_values_are_those_of_each() -> None:
    tables = [integer_frequencies(np.array([1.0, 5, 2, 1])), integer_frequencies(np.arange(1.0, 9))]
    family = TableFamily(np.concatenate(tables), np.array([1, 3], np.int32), escape=True)
    costs = family.costs()
    assert costs.shape == (2, 9)
    for table in (0, 1):
        for value in range(-4, 5):
            alone = ideal_bits(family, np.array([value]), np.array([table]))
            assert costs[table, value + 4] == pytest.approx(alone, rel=1e-6)


def test_an_escaped_value_costs_its_symbol_and_16_bits() -> None:
    half = TOTAL // 2
    family = TableFamily(np.array([half, half], np.int32), np.array([0], np.int32), True)
    np.testing.assert_allclose(family.costs(), [[1 + 16, 1, 1 + 16]])


@pytest.mark.parametrize(
    ("frequencies", "reach", "message"),
    [
        ([TOTAL - 1, 1, 1], [1], "add up"),
        ([TOTAL + 1, -2, 1], [1], "below one"),
        ([TOTAL], [0], "lengths"),
        ([1, TOTAL - 2, 1], [1, 1], "lengths"),
        ([1, TOTAL - 2, 1], [-1], "lengths"),
    ],
)
def test_damaged_tables_are_refused(frequencies: list[int], reach: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TableFamily(np.array(frequencies, np.int32), np.array(reach, np.int32), escape=False)


@pytest.mark.parametrize("kind", [np.int64, np.uint32, np.float32])
@pytest.mark.parametrize("damaged", ["frequencies", "reach"])
def test_tables_of_other_types_than_the_format_has_are_refused(damaged: str, kind: type) -> None:
    arrays = {"frequencies": np.array([TOTAL // 2] * 2, np.int32), "reach": np.array([0], np.int32)}
    TableFamily(**arrays, escape=True)
    arrays[damaged] = arrays[damaged].astype(kind)
    with pytest.raises(ValueError, match="must be int32"):
        TableFamily(**arrays, escape=True)
