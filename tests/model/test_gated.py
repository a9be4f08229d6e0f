"""Gated models: blocks without biases, and Haar shortcuts between the scales."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from block_formulas import mixed, wsilu

from rdpcodec.format.tiles import PATCH
from rdpcodec.model.blocks import ConvBlock, GatedBlock, haar_down, haar_up
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.transforms import Analysis, Synthesis
from rdpcodec.training.speed.cost import cost, multiply_adds
from rdpcodec.weights.architecture import SIZES, Architecture, architecture_from, architecture_record

SMALL = Architecture(
    eighth=8, sixteenth=12, latents=24, hyper_latents=6, prior=8, scale=5, analysis_blocks=(1, 1), gated=True
)


def test_a_gated_block_is_what_its_formula_says() -> None:
    torch.manual_seed(0)
    block, x = GatedBlock(6), torch.randn(2, 6, 5, 7)
    half = x + mixed(block.depthwise(wsilu(mixed(x, block.spatial_in))), block.spatial_out)
    opened = mixed(half, block.value) * torch.sigmoid(4 * mixed(half, block.gate))
    whole = half + mixed(opened, block.narrow)
    torch.testing.assert_close(block(x), whole)
    before = x.clone()
    with torch.no_grad():  # where sums and products may reuse each other's memory
        torch.testing.assert_close(block(x), whole.detach())
    assert torch.equal(x, before)


def test_blocks_of_gated_models_have_no_biases_and_cost_no_more_than_the_others() -> None:
    parts = [module for module in RdpModel(SMALL).modules() if isinstance(module, GatedBlock | ConvBlock)]
    assert {type(part) for part in parts} == {GatedBlock}
    assert not [name for part in parts for name, _ in part.named_parameters() if "bias" in name]
    for channels in (SIZES["large"].eighth, SIZES["large"].sixteenth):
        x = torch.zeros(1, channels, 2, 2)
        gated, summed = (multiply_adds(partial(kind(channels), x)) for kind in (GatedBlock, ConvBlock))
        assert 0.95 * summed < gated <= summed


@pytest.mark.parametrize(("above", "below"), [(8, 32), (8, 12)])
def test_haar_shortcuts_start_as_each_others_transpose_and_keep_means(above: int, below: int) -> None:
    down, up = haar_down(above, below), haar_up(below, above)
    x = torch.randn(2, above, 6, 4)
    with torch.no_grad():
        kept = down(x)
        torch.testing.assert_close(down(up(kept)), kept)  # orthonormal rows
        if below == 4 * above:
            torch.testing.assert_close(up(kept), x)
        flat = x.mean((2, 3), keepdim=True).expand_as(x)
        torch.testing.assert_close(up(down(flat)), flat)
        torch.testing.assert_close(kept[:, :above], 2 * torch.nn.functional.avg_pool2d(x, 2))


def test_shortcuts_join_the_scales_where_the_blocks_say_nothing() -> None:
    size = replace(SMALL, latents=SMALL.sixteenth)
    analysis, synthesis = Analysis(size), Synthesis(size)
    x, quality = torch.rand(1, 3, 32, 32), torch.tensor([40.0])
    with torch.no_grad():
        for silent in (analysis.down.mix, synthesis.up.mix, analysis.bypass, synthesis.bypass):
            silent.weight.zero_()
        analysis.leave.weight.copy_(torch.eye(size.latents))
        eighth = analysis.features(x).eighth
        expected = analysis.gain(analysis.shortcut(analysis.eighth_gain(eighth, quality)), quality)
        torch.testing.assert_close(analysis(x, quality), expected)
        y = torch.randn(1, size.latents, 2, 2)
        before = synthesis(y, quality)
        synthesis.shortcut.mix.weight.mul_(2)
        assert not torch.allclose(synthesis(y, quality), before)


def test_what_large_adds_to_its_bypass_grows_no_faster_than_the_latents() -> None:
    """Nine blocks in a row that are quadratic in their input would overflow."""

    def added(size: Architecture, latents: torch.Tensor) -> float:
        torch.manual_seed(0)
        synthesis, quality = Synthesis(size), torch.tensor([90.0])
        with torch.no_grad():
            whole = synthesis(latents, quality)
            synthesis.leave.mix.weight.zero_()
            return float((whole - synthesis(latents, quality)).std())

    # Latents in steps: a few hundred in the channels of brightness, single units elsewhere.
    y = torch.randn(1, 320, 2, 2, generator=torch.Generator().manual_seed(0))
    y[:, :3] *= 300
    large = SIZES["large"]
    assert added(large, y) < 2 * added(SIZES["fast"], y)
    assert added(large, 10 * y) < 11 * added(large, y)


def test_large_sees_no_further_than_its_margins() -> None:
    size = replace(SMALL, analysis_blocks=SIZES["large"].analysis_blocks, synthesis_blocks=(5, 4))
    assert (size.analysis_margin, size.synthesis_margin) == (144, 112)
    torch.manual_seed(0)
    quality = torch.tensor([50.0])
    with torch.no_grad():
        x = torch.rand(1, 3, 16, 320)
        other = x.clone()
        other[..., : 320 - PATCH - size.analysis_margin] = torch.rand(())
        encode = Analysis(size)
        torch.testing.assert_close(*(encode(image, quality)[..., -1] for image in (x, other)))
        y = torch.randn(1, size.latents, 1, 20)
        changed = y.clone()
        changed[..., : 20 - 1 - size.synthesis_margin // PATCH] = 3.0
        decode = Synthesis(size)
        first, second = (decode(latents, quality)[..., -PATCH:] for latents in (y, changed))
        torch.testing.assert_close(first, second)


def test_sizes_cost_what_the_pages_say() -> None:
    large, fast = cost(SIZES["large"]), cost(SIZES["fast"])
    assert large.decoding == pytest.approx(38.3, abs=0.1)
    assert large.analysis + large.prior == pytest.approx(44.6, abs=0.1)
    assert large.megabytes < 36
    assert fast.decoding == pytest.approx(10.7, abs=0.1)


def test_a_size_of_before_gates_reads_as_it_was() -> None:
    record = architecture_record(SIZES["fast"])
    del record["gated"]
    assert architecture_from(record) == SIZES["fast"]
    assert architecture_from(architecture_record(SIZES["large"])) == SIZES["large"]
