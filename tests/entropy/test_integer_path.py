from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rdpcodec.entropy.integers import LEAVE_SHIFT, QUALITY_FULL, ScaleWeights, rate_bias
from rdpcodec.model import integer_scales, scale_network
from rdpcodec.model.integer_scales import IntegerScaleNetwork
from rdpcodec.model.released import arrays, scale_tensors
from rdpcodec.weights.architecture import Architecture
from rdpcodec.weights.release import scale_weights

SMALL = Architecture(latents=12, hyper_latents=7, scale=9)
CPU = torch.device("cpu")


def trained_like(seed: int) -> scale_network.ScaleNetwork:
    """A scale network whose weights and biases, and so activations, spread over their whole ranges."""
    torch.manual_seed(seed)
    network = scale_network.ScaleNetwork(SMALL).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return network


def integers(network: scale_network.ScaleNetwork) -> ScaleWeights:
    return scale_weights(arrays(scale_tensors(network)))


def hyper_latents(seed: int, batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-127, 128, (batch, 7, 5, 6), generator=generator)


@pytest.mark.parametrize("quality", [0, 1234, 5000, 9999, 10_000])
@pytest.mark.parametrize("seed", range(4))
def test_shipped_integers_compute_what_was_trained(seed: int, quality: int) -> None:
    network, z = trained_like(seed), hyper_latents(seed)
    with torch.no_grad():
        trained = network(z.double(), torch.tensor([quality / 100], dtype=torch.float64))
    shipped = IntegerScaleNetwork(integers(network), CPU).tables(z, quality)
    assert len(shipped.unique()) > 5
    np.testing.assert_array_equal(shipped.numpy(), trained.numpy())


@pytest.mark.parametrize("seed", range(4))
def test_float32_and_float64_agree(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, z = integers(trained_like(seed)), hyper_latents(seed, batch=8)
    found = []
    for dtype in (torch.float32, torch.float64):
        monkeypatch.setattr(integer_scales, "DTYPE", dtype)
        found.append(IntegerScaleNetwork(weights, CPU).tables(z, 4321))
    assert torch.equal(*found)


def test_the_network_agrees_with_plain_integer_arithmetic() -> None:
    """Written from docs/format.md with NumPy's int64: an independent decoder's view."""
    w, z = integers(trained_like(1)), hyper_latents(1)[0].numpy().astype(np.int64)

    def shift(x: np.ndarray, bits: int, limit: int) -> np.ndarray:
        return np.clip((x + (1 << (bits - 1))) >> bits, 0, limit)

    def pointwise(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        return np.einsum("oi,ihw->ohw", weight.astype(np.int64), x) + bias.astype(np.int64)[:, None, None]

    def depthwise(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        return np.einsum("chwij,cij->chw", windows, weight.astype(np.int64))

    def shuffle(x: np.ndarray) -> np.ndarray:
        channels, height, width = x.shape
        parts = x.reshape(channels // 4, 2, 2, height, width).transpose(0, 3, 1, 4, 2)
        return parts.reshape(channels // 4, 2 * height, 2 * width)

    quality = 7070
    x = shift(pointwise(z, w.enter, rate_bias(w.enter_bias, quality)), 3, 255)
    for i in range(2):
        x = shift(depthwise(x, w.filters[i]), 6, 255)
        x = shift(shuffle(pointwise(x, w.widen[i], w.widen_bias[i])), 6, 255)
    x = shift(depthwise(x, w.filters[2]), 6, 255)
    expected = shift(pointwise(x, w.leave, rate_bias(w.leave_bias, quality)), 8, 63)
    computed = IntegerScaleNetwork(w, CPU).tables(torch.from_numpy(z)[None], quality)
    np.testing.assert_array_equal(computed[0].numpy(), expected)


def test_weights_far_beyond_their_range_are_shipped_as_its_ends() -> None:
    network = trained_like(0)
    with torch.no_grad():
        for part in (network.enter, network.filters[1], network.widen[0], network.leave):
            part.weight.mul_(1e3)
        trained = network(hyper_latents(0).double(), torch.tensor([50.0], dtype=torch.float64))
    weights = integers(network)
    for array in (weights.enter, weights.filters[1], weights.widen[0], weights.leave):
        assert (array.min(), array.max()) == (-127, 127)
    shipped = IntegerScaleNetwork(weights, CPU).tables(hyper_latents(0), 5000)
    np.testing.assert_array_equal(shipped.numpy(), trained.numpy())


@given(
    st.lists(st.integers(-(2**20), 2**20), min_size=8, max_size=8),
    st.integers(0, QUALITY_FULL),
)
def test_rate_bias_is_linear_between_anchors_and_exact_at_them(anchors: list[int], quality: int) -> None:
    table = np.array(anchors, np.int32)[:, None]
    expected = np.interp(quality * 7 / QUALITY_FULL, np.arange(8), anchors)
    assert abs(rate_bias(table, quality)[0] - expected) <= 0.5 + 1e-6


def test_no_input_exceeds_the_proved_bound() -> None:
    weights = integers(trained_like(2))
    bound = weights.prove_bounds()
    # The worst input of the first layer: every hyper-latent at its limit, with the sign of the weight.
    row = np.abs(weights.enter.astype(np.int64)).sum(axis=1).argmax()
    worst = int((np.sign(weights.enter[row].astype(np.int64)) * 127 * weights.enter[row]).sum())
    assert worst + np.abs(weights.enter_bias[:, row]).max() <= bound < 2**24


def test_weights_whose_sums_leave_the_exact_range_are_refused() -> None:
    weights = integers(trained_like(3))
    too_large = replace(weights, leave_bias=np.full_like(weights.leave_bias, 2**24))
    with pytest.raises(ValueError, match="beyond the exact integers"):
        too_large.prove_bounds()
    with pytest.raises(ValueError, match="beyond the exact integers"):
        IntegerScaleNetwork(too_large, CPU)


@pytest.mark.parametrize(
    ("layer", "largest"), [("enter", 127), ("widen.0", 255), ("widen.1", 255), ("leave", 255)]
)
def test_one_input_of_one_layer_that_reaches_2_to_the_24_is_enough_to_be_refused(
    layer: str, largest: int
) -> None:
    """The layer's bias is chosen so that its worst input, each value at its limit, gives exactly 2^24."""
    tensors = arrays(scale_tensors(trained_like(4)))
    name, _, number = layer.partition(".")
    bias = f"scale.{name}_bias.{number}" if number else f"scale.{name}_bias"
    reach = largest * np.abs(tensors[f"scale.{layer}"].astype(np.int64)).sum(axis=1).max()
    scale_weights(tensors).prove_bounds()
    assert reach > 2**13  # so that the bias alone is not what is too large
    for value in (2**24 - reach, reach - 2**24):
        wrong = {**tensors, bias: np.full_like(tensors[bias], value)}
        with pytest.raises(ValueError, match="beyond the exact integers"):
            scale_weights(wrong).prove_bounds()


def test_half_a_unit_of_rounding_counts_towards_the_bound() -> None:
    weights = integers(trained_like(4))
    reach = 255 * int(np.abs(weights.leave.astype(np.int64)).sum(axis=1).max())
    largest = 2**24 - 1 - 2 ** (LEAVE_SHIFT - 1) - reach
    most, more = (
        replace(weights, leave_bias=np.full_like(weights.leave_bias, bias)) for bias in (largest, largest + 1)
    )
    assert most.prove_bounds() == 2**24 - 1
    with pytest.raises(ValueError, match="beyond the exact integers"):
        more.prove_bounds()


def test_training_takes_integers_for_what_they_stand_for_in_checkpoints() -> None:
    assert scale_network.WEIGHT_UNIT == 1 / 64
    assert scale_network.ACTIVATION_UNIT == 1 / 32
    assert scale_network.HYPER_LATENT_UNIT == 1 / 4
    assert scale_network.TABLE_STEPS == 8
