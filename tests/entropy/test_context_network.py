"""The context network gives the same integers in training, in float32 and in plain arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from context_networks import CHANNELS, random_model, random_network

from rdpcodec.entropy.context import FRACTIONS, IntegerContextNetwork
from rdpcodec.entropy.integers import rate_bias
from rdpcodec.format.hyper_latents import coded_steps
from rdpcodec.model.context_network import context_tensors
from rdpcodec.model.released import arrays
from rdpcodec.weights.release import context_weights

QUALITIES = [0, 1234, 5000, 9999, 10_000]


def neighbours(seed: int) -> np.ndarray:
    """The neighbours of 50 positions: zeros at some, the largest values at others."""
    generator = np.random.default_rng(seed)
    values = generator.integers(-127, 128, (50, 3 * CHANNELS))
    values[:5], values[5:10] = 0, 127 * np.sign(values[5:10])
    return values


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("seed", range(4))
def test_shipped_integers_compute_what_was_trained(seed: int, quality: int) -> None:
    network = random_network(seed)
    z = torch.randint(-127, 128, (CHANNELS, 5, 6), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        means, scales = network(z[None].double(), torch.tensor([quality / 100], dtype=torch.float64))
    integers = IntegerContextNetwork(context_weights(arrays(context_tensors(network))))
    whole, tables = (np.zeros((CHANNELS, 5, 6), np.int32) for _ in range(2))
    for total, (distance, numbers) in enumerate(coded_steps(integers, z.numpy(), quality / 100)):
        for n, row in enumerate(range(max(0, total - 5), min(5, total + 1))):
            whole[:, row, total - row] = z.numpy()[:, row, total - row] - distance[n]
            tables[:, row, total - row] = numbers[n]
    np.testing.assert_array_equal(FRACTIONS * whole + tables % FRACTIONS, means[0].numpy())
    np.testing.assert_array_equal(tables // FRACTIONS, scales[0].numpy())
    assert len(np.unique(tables)) > 30


@pytest.mark.parametrize("quality", QUALITIES)
def test_the_network_agrees_with_plain_integer_arithmetic(quality: int) -> None:
    """Written from docs/format.md with NumPy's int64."""
    w, x = random_model(1).weights, neighbours(1)
    bias = w.leave_bias.copy()
    bias[:, :2], bias[:, -2:] = (2**20, -(2**20)), (2**20, -(2**20))  # beyond all limits
    w = replace(w, leave_bias=bias)

    def layer(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, bits: int) -> np.ndarray:
        return x @ weight.astype(np.int64).T + bias + (1 << (bits - 1)) >> bits

    hidden = np.clip(layer(x, w.enter, rate_bias(w.enter_bias, quality), 5), 0, 255)
    hidden = np.clip(layer(hidden, w.hidden, w.hidden_bias.astype(np.int64), 7), 0, 255)
    out = layer(hidden, w.leave, rate_bias(w.leave_bias, quality), 9)
    means, scales = np.clip(out[:, :CHANNELS], -1016, 1016), np.clip(out[:, CHANNELS:], 0, 15)
    whole, tables = IntegerContextNetwork(w)(x, quality)
    np.testing.assert_array_equal(whole, means // 8)
    np.testing.assert_array_equal(tables, 8 * scales + means % 8)
    assert (whole.min(), whole.max()) == (-127, 127)
    assert set(tables[:, -2] // 8) == {15}
    assert set(tables[:, -1] // 8) == {0}


@pytest.mark.parametrize("layer", ["enter", "hidden", "leave"])
def test_weights_whose_sums_leave_the_exact_range_are_refused(layer: str) -> None:
    weights = random_model(2).weights
    largest = 127 if layer == "enter" else 255
    reach = largest * int(np.abs(getattr(weights, layer).astype(np.int64)).sum(axis=1).max())
    most = 2**24 - 1 - 2**8 - reach  # with half a unit of rounding
    bias = getattr(weights, f"{layer}_bias")
    for value in (most, -most):
        fits = replace(weights, **{f"{layer}_bias": np.full_like(bias, value)})
        assert fits.prove_bounds() == 2**24 - 1
    for value in (most + 1, -most - 1, -(2**31)):
        wrong = replace(weights, **{f"{layer}_bias": np.full_like(bias, value)})
        with pytest.raises(ValueError, match="beyond the exact integers"):
            IntegerContextNetwork(wrong)
