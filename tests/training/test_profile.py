"""Where the time of a step goes; and compiling, which is never required."""

from __future__ import annotations

import json
from functools import partialmethod
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from small_model import GATED, SMALL
from torch import nn

from rdpcodec.cli import rdpcodec
from rdpcodec.model.blocks import GatedBlock
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.training.objectives.fidelity import Fidelity
from rdpcodec.training.settings import FidelitySettings
from rdpcodec.training.speed import compiling
from rdpcodec.training.speed.compiling import NotCompiled, compile_blocks, compiles
from rdpcodec.training.speed.cost import cost, training_multiply_adds
from rdpcodec.training.speed.profile import STAGES, Profile
from rdpcodec.weights.architecture import SIZES

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "large", GATED)


def test_a_profile_says_where_a_step_goes(image_folder: Path, lpips: Path) -> None:
    words = [
        "train",
        "profile",
        "--data",
        str(image_folder),
        "--batch",
        "2",
        "--crop",
        "64",
        "--steps",
        "2",
    ]
    words += ["--device", "cpu", "--perception", "0.5", "--lpips-weights", str(lpips), "--peak", "0.001"]
    result = CliRunner().invoke(rdpcodec, [*words, "--json"], catch_exceptions=False)
    record = json.loads(result.stdout)
    assert record["what"] == "large, 2 crops of 64², cpu"
    assert tuple(record["stages_ms"]) == STAGES
    assert all(milliseconds > 0 for milliseconds in record["stages_ms"].values())
    assert record["megapixels_per_second"] == pytest.approx(2 * 64**2 / 1e3 / record["step_ms"], rel=0.1)


def test_a_profile_takes_both_shares_of_the_squared_error(image_folder: Path) -> None:
    """As far as SSIMULACRA2 goes: the other share is 0.3 unless it is given."""
    words = [
        "train",
        "profile",
        "--data",
        str(image_folder),
        *["--batch", "1", "--crop", "64", "--steps", "1"],
    ]
    words += ["--device", "cpu", "--json", "--eyes", "1"]
    result = CliRunner().invoke(rdpcodec, [*words, "--coarse", "0"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "--coarse 0.3" in str(CliRunner().invoke(rdpcodec, words).exception)


def test_a_profile_adds_up() -> None:
    stages = dict(zip(STAGES, (0.001, 0.02, 0.01, 0.05, 0.019), strict=True))
    found = Profile("large", stages, step=0.08, megapixels=4.0, multiply_adds=2e12, reading=9.0)
    record = found.record(peak=100.0)
    assert (record["megapixels_per_second"], record["teraflops"]) == (50.0, 50.0)
    assert record["share_of_peak"] == 0.5
    shown = found.table(100.0).splitlines()
    assert shown[2] == "forward         20.00 ms  20.0%"
    assert "50.0% of the peak" in shown[6]
    assert "peak" not in found.table()


def test_a_step_of_training_costs_three_times_what_coding_costs() -> None:
    found = cost(SMALL)
    coding = 1e3 * (found.analysis + found.prior + found.synthesis)
    # The first layers have no gradient to pass on.
    assert 2.5 * coding < training_multiply_adds(SMALL, FidelitySettings()) < 3.3 * coding
    # Frozen networks run forwards alone.
    frozen = 1e3 * (found.analysis + found.prior)
    synthesis = training_multiply_adds(SMALL, FidelitySettings(trains="synthesis")) - frozen
    assert 2e3 * found.synthesis < synthesis < 3.3e3 * found.synthesis


def test_without_a_compiler_a_run_goes_on_and_says_so(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no working compiler\nand a long story")

    monkeypatch.setattr(GatedBlock, "compile", fails)
    run = FidelitySettings(batch=1, crop=64, size="large", graphics=0, eyes=0)
    figures = [Fidelity(run, image_folder, CPU).train_step(1.0)]
    for way in ("blocks", "loss"):
        with pytest.warns(NotCompiled, match="not compiled, which is slower: no working compiler and"):
            objective = Fidelity(run, image_folder, CPU, compiled=way)
        figures.append(objective.train_step(1.0))
    assert figures[0] == figures[1] == figures[2]


def test_compiled_blocks_give_the_same_gradients_under_the_same_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Blocks are traced but not compiled further: what a compiler makes of them is not tested here.
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="eager"))
    assert compiles(CPU)
    x, quality = torch.rand(1, 3, 64, 64), torch.tensor([40.0])
    torch.manual_seed(0)
    model = RdpModel(GATED)
    names, gradients = list(model.state_dict()), []
    for compiled in (False, True):
        if compiled:
            assert compile_blocks(model) == 8
        output = model(x, quality, by_rate=True)
        loss = output.reconstruction.square().sum() + output.latent_bits.sum()
        gradients.append(torch.autograd.grad(loss, list(model.synthesis.parameters())))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected)
    assert list(model.state_dict()) == names


@pytest.mark.slow
def test_torch_compiles_blocks_where_there_is_a_compiler() -> None:
    assert compiling.compiles(CPU)
