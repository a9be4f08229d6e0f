from __future__ import annotations

import constriction
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ideal_bits import ideal_bits

from rdpcodec.entropy.coder import Decoder, Encoder, EntropyModels
from rdpcodec.entropy.tables import ESCAPE_LIMIT, TableFamily, integer_frequencies
from rdpcodec.errors import FormatError


def laplace_family(scales: list[float], escape: bool) -> TableFamily:
    tables, reaches = [], []
    for scale in scales:
        reach = max(1, int(4 * scale))
        weights = np.exp(-np.abs(np.arange(-reach, reach + 1)) / scale)
        tables.append(integer_frequencies(np.append(weights, 1e-4) if escape else weights))
        reaches.append(reach)
    return TableFamily(np.concatenate(tables), np.array(reaches, np.int32), escape)


WITH_ESCAPE = EntropyModels(laplace_family([0.05, 0.3, 1.0, 5.0, 40.0], escape=True))
WITHOUT_ESCAPE = EntropyModels(laplace_family([0.3, 2.0], escape=False))
values = st.one_of(st.integers(-3, 3), st.integers(-300, 300), st.integers(-ESCAPE_LIMIT, ESCAPE_LIMIT))


@given(st.lists(st.tuples(values, st.integers(0, 4)), max_size=400))
def test_what_is_written_is_read(pairs: list[tuple[int, int]]) -> None:
    symbols = np.array([value for value, _ in pairs], np.int32)
    tables = np.array([table for _, table in pairs], np.uint8)
    encoder = Encoder()
    encoder.write(symbols, tables, WITH_ESCAPE)
    decoder = Decoder(encoder.bytes())
    np.testing.assert_array_equal(decoder.read(tables, WITH_ESCAPE), symbols)
    decoder.finish()


def test_arrays_are_read_in_the_reverse_of_the_order_they_were_written_in() -> None:
    first, second = np.array([1, -1, 0], np.int32), np.array([7, -300], np.int32)
    encoder = Encoder()
    encoder.write(second, np.array([4, 4]), WITH_ESCAPE)
    encoder.write(first, np.array([0, 1, 1]), WITHOUT_ESCAPE)
    decoder = Decoder(encoder.bytes())
    np.testing.assert_array_equal(decoder.read(np.array([0, 1, 1]), WITHOUT_ESCAPE), first)
    np.testing.assert_array_equal(decoder.read(np.array([4, 4]), WITH_ESCAPE), second)
    decoder.finish()


def test_frequencies_reach_the_coder_unchanged() -> None:
    # A coder whose state ends in q decodes the symbol whose cumulative interval holds q: probe both ends of
    # each interval.
    for table in range(5):
        ends = np.cumsum(WITH_ESCAPE.family.table(table).astype(np.int64))
        starts = ends - WITH_ESCAPE.family.table(table)
        for symbol, (start, end) in enumerate(zip(starts, ends, strict=True)):
            for quantile in (start, end - 1):
                words = np.array([quantile | 1 << 24, 1], np.uint32)
                assert constriction.stream.stack.AnsCoder(words).decode(WITH_ESCAPE[table]) == symbol


def test_coded_size_is_within_ten_bytes_of_the_information() -> None:
    generator = np.random.default_rng(0)
    tables = generator.integers(0, 5, 100_000)
    scales = np.array([0.05, 0.3, 1.0, 5.0, 40.0])
    symbols = np.round(generator.laplace(0, 1, 100_000) * scales[tables]).astype(np.int32)
    encoder = Encoder()
    encoder.write(symbols, tables, WITH_ESCAPE)
    assert 0 <= len(encoder.bytes()) - ideal_bits(WITH_ESCAPE.family, symbols, tables) / 8 < 10


def test_a_value_outside_a_table_without_escape_is_an_error() -> None:
    with pytest.raises(ValueError, match="outside"):
        Encoder().write(np.array([99], np.int32), np.array([0]), WITHOUT_ESCAPE)


@settings(max_examples=200)
@given(st.binary(max_size=200), st.integers(0, 2000))
def test_any_bytes_decode_to_something_or_are_refused(data: bytes, count: int) -> None:
    tables = np.arange(count) % 5
    try:
        decoder = Decoder(data)
        decoded = decoder.read(tables, WITH_ESCAPE)
        decoder.finish()
    except FormatError:
        return
    encoder = Encoder()
    encoder.write(decoded, tables, WITH_ESCAPE)
    assert encoder.bytes() == data


def test_left_over_data_is_refused() -> None:
    encoder = Encoder()
    encoder.write(np.full(1000, 5, np.int32), np.full(1000, 3), WITH_ESCAPE)
    decoder = Decoder(encoder.bytes())
    decoder.read(np.full(900, 3), WITH_ESCAPE)
    with pytest.raises(FormatError, match="does not end"):
        decoder.finish()
