from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from context_networks import CHANNELS, random_model
from hypothesis import given
from hypothesis import strategies as st

from rdpcodec.entropy.coder import Decoder, Encoder
from rdpcodec.entropy.context import ContextWeights, IntegerContextNetwork
from rdpcodec.entropy.tables import KNOTS, TableFamily, integer_frequencies
from rdpcodec.errors import FormatError
from rdpcodec.format.hyper_latents import ContextCoder, FactorisedCoder, HyperLatentCoder, coded_steps

IN_CONTEXT = ContextCoder(random_model(0))


def factorised() -> FactorisedCoder:
    """Tables that reach over all hyper-latents."""
    table, count = integer_frequencies(np.arange(1.0, 256)), KNOTS * CHANNELS
    return FactorisedCoder(TableFamily(np.tile(table, count), np.full(count, 127, np.int32), escape=False))


@given(
    st.sampled_from([IN_CONTEXT, factorised()]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.floats(0, 100),
    st.sampled_from([1, 5, 127]),
    st.integers(0, 99),
)
def test_hyper_latents_survive(
    coder: HyperLatentCoder, height: int, width: int, quality: float, largest: int, seed: int
) -> None:
    shape = (CHANNELS, height, width)
    hyper = np.random.default_rng(seed).integers(-largest, largest + 1, shape).astype(np.int32)
    encoder = Encoder()
    coder.write(encoder, hyper, quality)
    decoder = Decoder(encoder.bytes())
    found = coder.read(decoder, shape, quality)
    decoder.finish()
    np.testing.assert_array_equal(found, hyper)
    assert found.dtype == np.int32


@pytest.mark.parametrize("value", [128, -128, 3000])
def test_a_hyper_latent_that_no_encoder_makes_is_refused(value: int) -> None:
    model = random_model(0)
    means = np.zeros_like(model.weights.leave), np.zeros_like(model.weights.leave_bias)
    coder = ContextCoder(model._replace(weights=replace(model.weights, leave=means[0], leave_bias=means[1])))
    hyper = np.zeros((CHANNELS, 3, 4), np.int32)
    hyper[2, 1, 1] = value
    encoder = Encoder()
    coder.write(encoder, hyper, 50)
    with pytest.raises(FormatError, match="a hyper-latent lies beyond ±127"):
        coder.read(Decoder(encoder.bytes()), hyper.shape, 50)


@pytest.mark.parametrize(("number", "step"), [(0, (0, 1)), (1, (1, 0)), (2, (1, 1))], ids=str)
def test_a_network_sees_the_left_then_what_is_above_then_above_on_the_left(
    number: int, step: tuple[int, int]
) -> None:
    """One that predicts about the same value as there is right where values repeat along that step."""
    weights = random_model(0).weights
    blank = {field.name: np.zeros_like(getattr(weights, field.name)) for field in fields(weights)}
    # Eight hidden units see four times the value, and their means in eighths add up to eight times the value.
    blank["enter"][:8, number * CHANNELS] = 127
    blank["hidden"][range(8), range(8)] = 127
    blank["leave"][0, :8] = 127
    network = IntegerContextNetwork(ContextWeights(**blank))
    rows, columns = np.indices((5, 6))
    lines = columns if step == (1, 0) else rows if step == (0, 1) else rows - columns + 6
    hyper = np.zeros((CHANNELS, 5, 6), np.int32)
    hyper[0] = 5 * lines
    for total, (distances, _) in enumerate(coded_steps(network, hyper, 50)):
        for n, row in enumerate(range(max(0, total - 5), min(5, total + 1))):
            before = (row - step[0], total - row - step[1])
            expected = hyper[0, row, total - row] if min(before) < 0 else 0
            assert abs(distances[n, 0] - expected) <= 2
