"""Growing a model: what it has learnt stays, and what is new learns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lpips_tensors import save_networks
from safetensors.torch import save_file
from small_model import CONSTANTS, SMALL

from rdpcodec.errors import UsageError
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.transforms import SIZES, Architecture, Synthesis
from rdpcodec.release import architecture_record
from rdpcodec.training import fidelity
from rdpcodec.training.checkpoint import carried_over, load_checkpoint, run_history
from rdpcodec.training.export import release_tensors, size_name
from rdpcodec.training.fidelity import Fidelity, FidelityRun
from rdpcodec.training.growth import grown, grown_synthesis
from rdpcodec.training.loop import Loop
from rdpcodec.training.schedule import Budget

CPU = torch.device("cpu")
LARGER = replace(SMALL, eighth=20, sixteenth=32, analysis_blocks=(2, 4), synthesis_blocks=(3, 5))


def scrambled(module: torch.nn.Module) -> Any:
    """The module with weights that no start has, so that none is silent by chance."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.02)
    return module


@pytest.mark.parametrize(
    "sizes",
    [
        {"eighth": LARGER.eighth},
        {"sixteenth": LARGER.sixteenth},
        {"analysis_blocks": LARGER.analysis_blocks, "synthesis_blocks": LARGER.synthesis_blocks},
        {name: getattr(LARGER, name) for name in LARGER.__dataclass_fields__},
    ],
)
def test_a_grown_model_is_the_same_function(sizes: dict[str, Any]) -> None:
    small = scrambled(RdpModel(SMALL))
    larger = grown(small, replace(SMALL, **sizes))
    x = torch.rand(2, 3, 64, 128, generator=torch.Generator().manual_seed(1))
    quality = torch.tensor([20.0, 70.0])
    with torch.no_grad():
        for before, after in zip(
            small(x, quality, by_rate=True), larger(x, quality, by_rate=True), strict=True
        ):
            torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_a_grown_synthesis_is_the_same_function() -> None:
    small = scrambled(Synthesis(SMALL))
    y, quality = torch.randn(1, SMALL.latents, 3, 5), torch.tensor([40.0])
    with torch.no_grad():
        torch.testing.assert_close(
            grown_synthesis(small, SMALL, LARGER)(y, quality), small(y, quality), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize(
    "sizes", [{"eighth": 8}, {"synthesis_blocks": (2, 2)}, {"latents": 128}, {"prior": 32}]
)
def test_nothing_shrinks_and_latents_stay(sizes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(sizes))} = .* cannot grow"):
        grown(RdpModel(SMALL), replace(SMALL, **sizes))


def test_a_realism_synthesis_grows_by_the_channels_of_the_fidelity_synthesis(tmp_path: Path) -> None:
    small, natural = scrambled(RdpModel(SMALL)), scrambled(Synthesis(SMALL))
    realism = {f"realism.{name}": tensor for name, tensor in natural.state_dict().items()}
    path = tmp_path / "fast.safetensors"
    save_file(release_tensors(small, torch.float32) | realism, path)
    record = {"file": path.name, "architecture": architecture_record(SMALL)}
    (tmp_path / "manifest.json").write_text(json.dumps({"models": {"fast": record}}))
    larger = grown(small, LARGER)
    y, quality = torch.randn(1, SMALL.latents, 3, 5), torch.tensor([40.0])
    start = Synthesis(LARGER)
    start.load_state_dict(carried_over(path, larger))
    with torch.no_grad():
        torch.testing.assert_close(start(y, quality), natural(y, quality), rtol=1e-4, atol=1e-5)
        scrambled(larger)
    moved = carried_over(path, larger)
    for name, weight in larger.synthesis.named_parameters():
        # New blocks are heard half as loud as in the fidelity synthesis, where a start would be silence.
        if name == "eighth.2.narrow.weight":
            torch.testing.assert_close(moved[name], weight / 2)
        elif name == "eighth.2.widen.weight":
            torch.testing.assert_close(moved[name], weight)


def test_a_run_goes_on_in_a_larger_size(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CONSTANTS.items():
        monkeypatch.setattr(fidelity, name, value)
    monkeypatch.setitem(SIZES, "base", LARGER)
    lpips = save_networks(tmp_path)

    def objective(init: Path | None, size: str | None, **options: Any) -> Fidelity:
        run = FidelityRun(gigapixels=6 * 2 * 64**2 / 1e9, batch=2, crop=64, perception=0.5, size=size)
        return Fidelity(run, picture_folder, CPU, init=init, lpips=lpips, **options)

    Loop(objective(None, None, architecture=SMALL), tmp_path / "run", Budget(None, 1e-5)).train(60)
    init = tmp_path / "run" / "checkpoint.pt"
    before, after = objective(init, None), objective(init, "base")
    assert before.model.architecture == SMALL
    assert after.model.architecture == LARGER
    old, new = before.validate(), after.validate()
    assert new["validation_loss"] == pytest.approx(old["validation_loss"], rel=1e-4)
    assert new["validation_lpips"] == pytest.approx(old["validation_lpips"], rel=1e-2)

    start = {name: p.clone() for name, p in after.model.state_dict().items()}
    Loop(after, tmp_path / "more", Budget(None, after.run.gigapixels)).train(60)
    moved = after.model.state_dict()
    for name in ("synthesis.eighth.2.narrow.weight", "analysis.sixteenth.3.spatial_out.weight"):
        assert not start[name].any()
        assert moved[name].any()
    assert size_name(after.state()) == "base"
    runs = run_history(load_checkpoint(tmp_path / "more" / "checkpoint.pt", CPU))
    assert [run.get("size") for run in runs] == [None, "base"]
    with pytest.raises(UsageError, match="cannot grow"):
        objective(tmp_path / "more" / "checkpoint.pt", "fast")


def test_every_size_has_its_name() -> None:
    assert size_name({"architecture": {"eighth": 160, "sixteenth": 256} | _blocks(SIZES["base"])}) == "base"
    with pytest.raises(UsageError, match="--name"):
        size_name({"architecture": {"eighth": 24}})


def _blocks(size: Architecture) -> dict[str, Any]:
    return {"analysis_blocks": list(size.analysis_blocks), "synthesis_blocks": list(size.synthesis_blocks)}
