from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from block_formulas import mixed, wsilu

from rdpcodec.errors import UsageError, WeightsError
from rdpcodec.model.blocks import ConvBlock, Depthwise, Downsample, GatedBlock, Pointwise, Upsample
from rdpcodec.model.device import usable_device
from rdpcodec.model.prior import FactorizedPrior, ResidualDensity, anchor_mask, information
from rdpcodec.model.rate import KNOTS, RateGain, interpolate_knots
from rdpcodec.model.rdp_model import Quantised, RdpModel
from rdpcodec.model.released import arrays, networks, release_tensors, table_tensors, training_state
from rdpcodec.model.scale_network import SCALE_MIN, SCALE_RATIO, clamp_through, round_through
from rdpcodec.model.transforms import PATCH_VALUES, Analysis, Synthesis, haar_basis, start_from_basis
from rdpcodec.quality import LAMBDA_MAX, LAMBDA_MIN, lambda_at
from rdpcodec.training.export.counting import wide_tables
from rdpcodec.weights.architecture import Architecture
from rdpcodec.weights.release import ReleasedModel
from rdpcodec.weights.tensors import ENCODER_PREFIXES

SMALL = Architecture(eighth=8, sixteenth=12, latents=24, hyper_latents=6, prior=8, scale=5)
GATED = replace(SMALL, gated=True)


def test_lambda_runs_over_its_range_in_equal_ratios() -> None:
    qualities = [0.0, 50.0, 100.0]
    expected = pytest.approx([LAMBDA_MIN, (LAMBDA_MIN * LAMBDA_MAX) ** 0.5, LAMBDA_MAX])
    assert [lambda_at(quality) for quality in qualities] == expected
    assert lambda_at(torch.tensor(qualities)).tolist() == expected


def test_anchors_are_met_and_joined_by_straight_lines() -> None:
    table = torch.randn(KNOTS, 3)
    at = torch.linspace(0, 100, KNOTS)
    torch.testing.assert_close(interpolate_knots(table, at), table)
    middle = (at[:-1] + at[1:]) / 2
    torch.testing.assert_close(interpolate_knots(table, middle), (table[:-1] + table[1:]) / 2)


def test_analysis_gain_and_synthesis_gain_start_as_inverses() -> None:
    x, quality = torch.randn(4, 5, 2, 2), torch.tensor([0.0, 31.0, 77.0, 100.0])
    y = RateGain(5, 0.5)(x, quality)
    torch.testing.assert_close(RateGain(5, -0.5)(y, quality), x)
    # step ∝ λ^-1/2: between qualities 0 and 100, steps differ by the square root of λ's ratio.
    assert float(((y[3] / x[3]).mean() / (y[0] / x[0]).mean()).detach()) == pytest.approx(
        (LAMBDA_MAX / LAMBDA_MIN) ** 0.5, rel=1e-4
    )


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Pointwise(6, 4, gain=3.0), (2, 4, 8, 8)),
        (Depthwise(6), (2, 6, 8, 8)),
        (ConvBlock(6), (2, 6, 8, 8)),
        (GatedBlock(6), (2, 6, 8, 8)),
        (Downsample(6, 5), (2, 5, 4, 4)),
        (Upsample(6, 5), (2, 5, 16, 16)),
    ],
)
def test_layers_give_the_shapes_they_promise(layer: torch.nn.Module, shape: tuple[int, ...]) -> None:
    assert layer(torch.randn(2, 6, 8, 8)).shape == shape


def test_the_gain_of_a_pointwise_layer_scales_weight_and_bias() -> None:
    layer = Pointwise(3, 2, gain=4.0)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(1, 3, 5, 5)
    expected = 4 * (torch.einsum("oi,bihw->bohw", layer.weight, x) + layer.bias[:, None, None])
    torch.testing.assert_close(layer(x), expected)


def test_a_block_is_what_its_formula_says_and_leaves_its_input_alone() -> None:
    torch.manual_seed(0)
    block, x = ConvBlock(6), torch.randn(2, 6, 5, 7)
    for layer in (block.spatial_in, block.widen):
        torch.nn.init.normal_(layer.bias)

    half = x + mixed(block.depthwise(wsilu(mixed(x, block.spatial_in))), block.spatial_out)
    whole = half + mixed(sum(wsilu(mixed(half, block.widen)).chunk(4, dim=1)), block.narrow)
    torch.testing.assert_close(block(x), whole)
    before = x.clone()
    with torch.no_grad():  # where sums may reuse each other's memory
        torch.testing.assert_close(block(x), whole.detach())
    assert torch.equal(x, before)


def test_a_full_precision_layer_ignores_autocast() -> None:
    layer = Pointwise(3, 2, full_precision=True)
    x = torch.randn(1, 3, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(x), layer(x.float()))
        assert layer(x).dtype == torch.float32
        assert Pointwise(3, 2)(x).dtype == torch.bfloat16


def test_the_haar_basis_is_orthonormal_and_orders_by_variance() -> None:
    generator = np.random.default_rng(0)
    # Smooth patches: what is coarse varies most.
    patches = generator.random((500, 3, 4, 4)).repeat(4, axis=2).repeat(4, axis=3).reshape(500, PATCH_VALUES)
    patches += 0.01 * generator.normal(size=patches.shape)
    mean, basis = haar_basis(patches, 60)
    np.testing.assert_allclose(basis @ basis.T, np.eye(60), atol=1e-12)
    variances = ((patches - mean) @ basis.T).var(axis=0)
    assert (np.diff(variances) < 1e-9).all()
    # Blocks of 4×4 of three colours lie in a space of 48 dimensions, which the basis must have found.
    assert variances[47] > 100 * variances[48]


def test_with_a_full_basis_alone_the_transforms_invert_each_other() -> None:
    size = Architecture(eighth=8, sixteenth=8, latents=PATCH_VALUES)
    analysis, synthesis = Analysis(size), Synthesis(size)
    with torch.no_grad():
        for branch in (analysis.leave, synthesis.leave.mix):
            branch.weight.zero_()
    mean, basis = haar_basis(np.random.default_rng(0).random((2000, PATCH_VALUES)), PATCH_VALUES)
    start_from_basis(analysis, synthesis, mean, basis)
    x, quality = torch.rand(2, 3, 32, 48), torch.tensor([20.0, 90.0])
    with torch.no_grad():
        torch.testing.assert_close(synthesis(analysis(x, quality), quality), x, atol=2e-5, rtol=0)


@pytest.mark.parametrize("index", [5, 20, 45])
def test_the_residual_density_is_a_distribution_of_the_nominal_scale(index: int) -> None:
    density = ResidualDensity()
    with torch.no_grad():
        density.tail_logit.fill_(-30)  # one Gaussian, whose standard deviation is known
    values = torch.arange(-4000.0, 4001.0)
    probability = torch.exp2(-density(values, torch.full_like(values, float(index)))).detach()
    assert float(probability[probability > 2**-29].sum()) == pytest.approx(1, abs=1e-3)
    variance = float((probability[probability > 2**-29] * values[probability > 2**-29] ** 2).sum())
    scale = SCALE_MIN * SCALE_RATIO**index
    if scale > 1:  # below, the integers are too coarse for the comparison
        assert variance == pytest.approx(scale**2 + 1 / 12, rel=0.02)


def test_the_hyper_prior_is_a_distribution() -> None:
    prior = FactorizedPrior(3)
    torch.nn.init.normal_(prior.mean)
    values = torch.arange(-60.0, 61.0).expand(1, 3, 1, -1)
    probability = torch.exp2(-prior.bits(values, torch.tensor([37.0])))
    torch.testing.assert_close(probability.sum(-1), torch.ones(1, 3, 1), atol=1e-4, rtol=0)


def test_round_through_rounds_and_passes_the_gradient() -> None:
    x = torch.tensor([0.49, 0.5, -0.5, -1.51], requires_grad=True)
    rounded = round_through(x)
    assert rounded.tolist() == [0, 1, 0, -2]
    rounded.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1, 1, 1]


def test_what_is_clamped_moves_only_if_it_moves_back_inside() -> None:
    x = torch.tensor([-1.0, -1.0, 0.5, 0.5, 2.0, 2.0], requires_grad=True)
    clamped = clamp_through(x, 0.0, 1.0)
    assert clamped.tolist() == [0, 0, 0.5, 0.5, 1, 1]
    # A step goes against the gradient.
    (clamped * torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, -1, 1, -1, 1, 0]


def test_what_was_thought_impossible_can_be_learnt() -> None:
    probability = torch.tensor([0.0, 0.25], requires_grad=True)
    bits = information(probability)
    assert bits.tolist() == [30, 2]
    bits.sum().backward()
    assert probability.grad is not None
    assert bool((probability.grad < 0).all())


@pytest.mark.parametrize("strength", [1.0, 1e6])
def test_hyper_latents_are_of_latents_whose_edges_are_repeated_and_stay_in_range(strength: float) -> None:
    torch.manual_seed(0)
    model, y = RdpModel(SMALL), 10 * torch.randn(1, 24, 5, 7)
    with torch.no_grad():
        model.hyper_analysis.leave.mix.weight.mul_(strength)
        padded = torch.nn.functional.pad(y, (0, 1, 0, 3), mode="replicate")
        found = model.hyper_latents(y)
        assert torch.equal(found, model.hyper_latents(padded))
    assert found.shape == (1, 6, 2, 2)
    assert (float(found.abs().max()) == 127) == (strength > 1)


def test_what_is_rounded_by_rate_is_counted_without_noise() -> None:
    torch.manual_seed(0)
    model, x, quality = RdpModel(SMALL), torch.rand(1, 3, 64, 64), torch.tensor([60.0])
    with torch.no_grad():
        latents = model.analyse(x, quality, by_rate=True)
        one, other = (model(x, quality, by_rate=True) for _ in range(2))
        bits = model.residual_density(latents.residual, latents.tables).sum((1, 2, 3))
        noisy = [float(model(x, quality).latent_bits) for _ in range(2)]
    assert torch.equal(one.latent_bits, other.latent_bits)
    torch.testing.assert_close(one.latent_bits, bits)
    assert noisy[0] != noisy[1]


def test_a_release_has_whole_digits_of_what_only_training_uses() -> None:
    model = RdpModel(SMALL)
    tensors = release_tensors(model, torch.float16)
    kept = {name for name, tensor in tensors.items() if tensor.dtype == torch.float32}
    parts = ("hyper_prior", "residual_density")
    assert kept == {f"{part}.{name}" for part in parts for name, _ in getattr(model, part).named_parameters()}
    again = RdpModel(SMALL)
    again.load_state_dict(training_state(tensors))
    twice = release_tensors(again, torch.float16)
    assert all(torch.equal(tensor, twice[name]) for name, tensor in tensors.items())


def test_weights_that_only_decode_may_lack_what_encodes_and_nothing_else() -> None:
    model = RdpModel(SMALL)
    latents, hyper = wide_tables(model)
    tensors = release_tensors(model, torch.float32)
    tensors |= table_tensors("latents", latents) | table_tensors("hyper", hyper)
    whole = ReleasedModel.from_tensors("mine", SMALL, arrays(tensors))
    kept = {name: array for name, array in whole.tensors.items() if not name.startswith(ENCODER_PREFIXES)}
    decoder = replace(whole, tensors=kept, encodes=False)
    cpu = torch.device("cpu")
    found, realism = networks(decoder, cpu)
    assert torch.equal(found.synthesis.bypass.weight, model.synthesis.bypass.weight)
    assert realism is None
    with pytest.raises(WeightsError, match="Missing key"):
        networks(replace(decoder, encodes=True), cpu)
    for lost in ("synthesis.leave.mix.bias", "mean_network.context_leave.weight"):
        fewer = {name: array for name, array in kept.items() if name != lost}
        with pytest.raises(WeightsError, match="are not those of its architecture"):
            networks(replace(decoder, tensors=fewer), cpu)


@pytest.mark.parametrize("device", ["meta", "cuda:99", "nonsense", "gpu"])
def test_a_device_without_numbers_cannot_be_used(device: str) -> None:
    message = rf"device '{device}' cannot be used: .*; this torch has: cpu"
    with pytest.raises(UsageError, match=message) as caught:
        usable_device(device)
    assert len(str(caught.value)) < 150  # torch's own list of names is longer
    assert usable_device("cpu") == torch.device("cpu")


def test_the_checkerboard_has_no_two_neighbours_alike() -> None:
    mask = anchor_mask(torch.empty(1, 1, 5, 7))
    assert mask[0, 0]
    assert (mask[1:] != mask[:-1]).all()
    assert (mask[:, 1:] != mask[:, :-1]).all()


@pytest.mark.parametrize("size", [SMALL, GATED])
def test_every_parameter_is_trained(size: Architecture) -> None:
    torch.manual_seed(0)
    model = RdpModel(size)
    # Hyper-latents start rounded to zero, on purpose; here they must carry information.
    model.hyper_analysis.leave.mix.weight.data.mul_(1000)
    x, quality = torch.rand(3, 3, 64, 128), torch.tensor([5.0, 50.0, 95.0])
    output = model(x, quality)
    assert output.reconstruction.shape == x.shape
    assert output.latent_bits.shape == output.hyper_bits.shape == (3,)
    distortion = (output.reconstruction - x).square().sum()
    (output.latent_bits.sum() + output.hyper_bits.sum() + distortion).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent


def test_second_means_see_the_anchors_and_first_means_do_not() -> None:
    torch.manual_seed(0)
    network = RdpModel(SMALL).mean_network
    features = network.features(torch.randn(1, 6, 2, 2), torch.tensor([50.0]))
    residual = torch.randn(1, 24, 8, 8, requires_grad=True)
    mean, anchor = network.two_pass(features, lambda _: residual).mean, anchor_mask(residual)
    assert mean.shape == (1, 24, 8, 8)
    (seen,) = torch.autograd.grad(mean[..., ~anchor].sum(), residual, retain_graph=True)
    assert seen[..., anchor].abs().sum() > 0
    assert seen[..., ~anchor].abs().sum() == 0
    (blind,) = torch.autograd.grad(mean[..., anchor].sum(), residual, allow_unused=True)
    assert blind is None or blind.abs().sum() == 0


def test_counting_what_is_rounded_teaches_latents_what_noise_teaches_in_the_mean() -> None:
    torch.manual_seed(0)
    model = RdpModel(SMALL)
    y = torch.linspace(-1.4, 1.4, 24 * 16).reshape(1, 24, 4, 4).requires_grad_()
    table = torch.arange(12.0, 36.0)[None, :, None, None].expand_as(y)
    z = torch.linspace(-1.2, 1.2, 6).reshape(1, 6, 1, 1).requires_grad_()
    quality = torch.tensor([40.0])
    latents = Quantised(y, torch.zeros_like(y), torch.floor(y + 0.5), table, z, torch.floor(z + 0.5))

    def gradients(noisy: bool) -> tuple[torch.Tensor, ...]:
        bits = model.information(latents, quality, noisy=noisy)
        return torch.autograd.grad(bits[0].sum() + bits[1].sum(), (y, z))

    draws = [gradients(noisy=True) for _ in range(1000)]
    for slope, *sample in zip(gradients(noisy=False), *draws, strict=True):
        noise = torch.stack(sample)
        error = 5 * noise.std(0) / len(draws) ** 0.5 + 0.02
        assert bool(((noise.mean(0) - slope).abs() < error).all())

    latent_bits, _ = model.information(latents, quality, noisy=False)
    torch.testing.assert_close(latent_bits, model.residual_density(latents.residual, table))
