from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from lpips_tensors import save_networks
from torch import nn

from bench import conditioned
from bench.__main__ import bench
from bench.conditioned import REALISMS, ConditionedSynthesis
from rdpcodec.model.transforms import Architecture, Synthesis
from rdpcodec.training import realism
from rdpcodec.weights import find_model

SIZE = Architecture(eighth=8, sixteenth=12, latents=16)


def test_realism_moves_a_conditioned_synthesis_away_from_its_start() -> None:
    torch.manual_seed(0)
    start = Synthesis(SIZE)
    told = ConditionedSynthesis(SIZE, start)
    y, quality = torch.randn(2, 16, 3, 4), torch.tensor([20.0, 70.0])
    plain = start(y, quality)
    for level in (0.0, 0.5, 1.0):
        told.realism = torch.full((2,), level)
        assert torch.equal(told(y, quality), plain)
    for modulations in (told.at_sixteenth, told.at_eighth):
        for modulation in modulations:
            assert isinstance(modulation, nn.Linear)
            nn.init.normal_(modulation.weight, std=0.1)
    told.realism = torch.tensor([0.0, 1.0])
    moved = told(y, quality)
    assert torch.allclose(moved[0], plain[0], atol=1e-6)
    assert not torch.allclose(moved[1], plain[1], atol=1e-3)


def test_both_kinds_are_trained_and_compared(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditioned, "RUN", replace(conditioned.RUN, batch=1, crop=64, bfloat16=False))
    monkeypatch.setattr(conditioned, "QUALITIES", (30.0,))
    for name, value in {"VALIDATION_SIDE": 64, "VALIDATION_CROPS": 2}.items():
        monkeypatch.setattr(realism, name, value)
    networks = save_networks(tmp_path)
    words = ["conditioned", "--data", str(picture_folder), "--init", str(find_model("fast").path)]
    words += ["--out", str(tmp_path / "logs"), "--minutes", "0.02", "--lpips-weights", str(networks)]
    result = CliRunner().invoke(bench, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    ends = {}
    for kind in ("mixed", "conditioned"):
        last = (tmp_path / "logs" / f"realism-{kind}.jsonl").read_text().splitlines()[-1]
        record = json.loads(last)
        assert record["step"] > 0
        ends[kind] = record["quality_realism_psnr_squeeze_alex"]
        assert [row[1] for row in ends[kind]] == list(REALISMS)
        assert f"{ends[kind][-1][2]:.2f} dB" in result.output
    # Warm-up is 200 steps long: both have hardly left the fidelity synthesis.
    assert ends["conditioned"][0][2] == pytest.approx(ends["mixed"][0][2], abs=0.05)
