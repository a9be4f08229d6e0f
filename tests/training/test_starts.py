"""What further training starts from: read once, with what is known of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.numpy
import safetensors.torch
import torch
from safetensors.torch import load_file, save_file
from short_runs import CPU, run_of
from small_model import SMALL
from torch import Tensor

from rdpcodec.errors import UsageError
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.released import release_tensors
from rdpcodec.training.checkpoints.checkpoint import save_checkpoint
from rdpcodec.training.checkpoints.start import Start, load_start
from rdpcodec.training.checkpoints.totals import Totals
from rdpcodec.training.objectives.fidelity import Fidelity
from rdpcodec.training.objectives.realism import Realism
from rdpcodec.training.settings import RealismSettings
from rdpcodec.weights.architecture import architecture_record
from rdpcodec.weights.tensors import BITSTREAM_PREFIXES, fingerprint

REALISM_RUN = RealismSettings(gigapixels=1e-5, batch=1, crop=64)


@pytest.fixture
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the test's files of weights that are read from here on."""
    names: list[str] = []

    def noted(read: Callable[..., Any]) -> Callable[..., Any]:
        def reading(path: str | Path, *more: Any, **options: Any) -> Any:
            if tmp_path in Path(path).parents:
                names.append(Path(path).name)
            return read(path, *more, **options)

        return reading

    monkeypatch.setattr(torch, "load", noted(torch.load))
    for module in (safetensors.torch, safetensors.numpy):
        monkeypatch.setattr(module, "safe_open", noted(module.safe_open))
    return names


def write_release(path: Path, tensors: dict[str, Tensor]) -> Path:
    """Write weights, and the manifest that states their architecture, to a new folder."""
    path.parent.mkdir()
    save_file(tensors, path)
    trained = {"training": {"hours": {"CPU": 1.0}, "gigapixels": 2.0, "runs": 3}}
    record = {"file": path.name, "architecture": architecture_record(SMALL), **trained, "realism": trained}
    path.with_name("manifest.json").write_text(json.dumps({"models": {"fast": record}}))
    return path


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """Untrained weights with a realism synthesis."""
    tensors = release_tensors(RdpModel(SMALL), torch.float32)
    realism = {f"realism.{name}": t for name, t in RdpModel(SMALL).synthesis.state_dict().items()}
    return write_release(tmp_path / "released" / "released.safetensors", tensors | realism)


def checkpoint_of(model: RdpModel, path: Path) -> Path:
    """A run's checkpoint, without a realism synthesis."""
    weights = model.state_dict()
    save_checkpoint(path, {"architecture": architecture_record(SMALL), "model": weights, "average": weights})
    return path


def test_a_run_reads_what_it_starts_from_once(
    released: Path, image_folder: Path, tmp_path: Path, lpips: Path, reads: list[str]
) -> None:
    checkpoint = checkpoint_of(RdpModel(SMALL), tmp_path / "checkpoint.pt")
    tensors = release_tensors(RdpModel(SMALL), torch.float32)
    alone = write_release(tmp_path / "further" / "alone.safetensors", tensors)
    Fidelity(run_of(1, perception=0.5), image_folder, CPU, init=checkpoint, lpips=lpips)
    assert reads == [checkpoint.name]
    reads.clear()
    Realism(REALISM_RUN, image_folder, CPU, init=alone, previous=released, lpips=lpips)
    assert reads == [alone.name, released.name]


def test_released_weights_come_with_totals_realism_and_fingerprint(released: Path) -> None:
    start, tensors = load_start(released), load_file(released)
    assert start.totals == start.realism_totals == Totals({"CPU": 1.0}, 2.0, 3)
    assert start.realism is not None
    for name, tensor in start.realism.state_dict().items():
        assert torch.equal(tensor, tensors[f"realism.{name}"])
    assert start.bitstream == fingerprint(safetensors.numpy.load_file(released), BITSTREAM_PREFIXES)


def test_a_realism_synthesis_begins_as_the_fidelity_synthesis_where_there_is_none(tmp_path: Path) -> None:
    start = load_start(checkpoint_of(RdpModel(SMALL), tmp_path / "checkpoint.pt"))
    for each in (start, Start(start.model)):
        assert (each.totals, each.realism_totals, each.bitstream) == (Totals(), Totals(), None)
        frozen = each.model.requires_grad_(False)
        begun = each.realism_synthesis()
        assert all(parameter.requires_grad for parameter in begun.parameters())
        pairs = zip(begun.parameters(), frozen.synthesis.parameters(), strict=True)
        assert all(torch.equal(own, other) and own is not other for own, other in pairs)


def test_a_realism_run_starts_from_released_weights(image_folder: Path, tmp_path: Path) -> None:
    checkpoint = checkpoint_of(RdpModel(SMALL), tmp_path / "checkpoint.pt")
    with pytest.raises(UsageError, match="starts from released weights: export these first"):
        Realism(REALISM_RUN, image_folder, CPU, init=checkpoint)


@pytest.mark.parametrize("changes", [{"totals": {"years": 1}}, {"realism_average": {"x": torch.zeros(1)}}])
def test_a_checkpoint_with_other_contents_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    path = checkpoint_of(RdpModel(SMALL), tmp_path / "checkpoint.pt")
    save_checkpoint(path, torch.load(path, weights_only=True) | changes)
    with pytest.raises(UsageError, match=r"checkpoint\.pt: cannot start from these weights"):
        load_start(path)
