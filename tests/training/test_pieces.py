"""Weights carried in pieces: what comes back, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from small_model import GATED

from rdpcodec.errors import UsageError
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.training.checkpoints import pieces
from rdpcodec.training.checkpoints.checkpoint import save_checkpoint
from rdpcodec.training.checkpoints.start import load_start
from rdpcodec.training.commands import train
from rdpcodec.weights.architecture import architecture_record


def state_of(seed: int) -> dict[str, Any]:
    torch.manual_seed(seed)
    weights = RdpModel(GATED).state_dict()
    return {
        "architecture": architecture_record(GATED),
        "model": weights,
        "average": {name: tensor + 1e-3 for name, tensor in weights.items()},
        "average_steps": 7,
        "optimizers": [{"state": {}}],
        "generator": torch.Generator().get_state(),
    }


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 200_000)
    return 200_000


def test_weights_come_back_rounded_and_the_exact_path_as_it_was(tmp_path: Path, small_pieces: int) -> None:
    state = state_of(0)
    paths = pieces.split(state, tmp_path)
    assert len(paths) > 2
    # A header of names comes on top of the tensors.
    assert all(path.stat().st_size < small_pieces + 20_000 for path in paths)
    found = pieces.joined(tmp_path)
    assert found["average_steps"] == 7
    assert not {"optimizers", "generator"} & found.keys()
    for key in ("model", "average"):
        assert found[key].keys() == state[key].keys()
        for name, tensor in state[key].items():
            if name.startswith(("scale_network.", "hyper_prior.", "residual_density.")):
                assert torch.equal(found[key][name], tensor)
            torch.testing.assert_close(found[key][name], tensor, rtol=1e-3, atol=1e-7)


def test_a_flipped_bit_is_noticed(tmp_path: Path, small_pieces: int) -> None:
    path = pieces.split(state_of(0), tmp_path)[1]
    data = bytearray(path.read_bytes())
    data[-5] ^= 64
    path.write_bytes(data)
    with pytest.raises(UsageError, match="damaged"):
        pieces.joined(tmp_path)


def test_weights_that_are_no_piece_are_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "piece-1-of-1.safetensors")
    with pytest.raises(UsageError, match="not a piece of a run"):
        pieces.joined(tmp_path)


def test_pieces_stand_for_a_checkpoint(tmp_path: Path, small_pieces: int) -> None:
    state = state_of(0)
    save_checkpoint(tmp_path / "checkpoint.pt", state)
    command = ["split", str(tmp_path / "checkpoint.pt"), str(tmp_path / "carried")]
    result = CliRunner().invoke(train, command, catch_exceptions=False)
    assert [Path(line) for line in result.output.split()] == sorted((tmp_path / "carried").iterdir())
    start = load_start(tmp_path / "carried").model
    assert start.architecture == GATED
    for name, tensor in start.state_dict().items():
        torch.testing.assert_close(tensor, state["average"][name], rtol=1e-3, atol=1e-6)


def test_pieces_replace_those_of_before(
    tmp_path: Path, small_pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces.split(state_of(0), tmp_path)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 100 * small_pieces)
    (only,) = pieces.split(state_of(1), tmp_path)
    assert list(tmp_path.iterdir()) == [only]


def test_a_piece_leaves_room_below_16_mib_for_its_header() -> None:
    assert pieces.PIECE_BYTES <= (16 << 20) - (1 << 19)


def test_pieces_that_do_not_belong_together_are_refused(tmp_path: Path, small_pieces: int) -> None:
    with pytest.raises(UsageError, match="there are no pieces of a run"):
        pieces.joined(tmp_path)
    one, two = (pieces.split(state_of(seed), tmp_path / str(seed)) for seed in (0, 1))
    one[1].unlink()
    with pytest.raises(UsageError, match=f"{len(two) - 1} of {len(two)} pieces are here"):
        pieces.joined(tmp_path / "0")
    one[1].write_bytes(two[1].read_bytes())
    with pytest.raises(UsageError, match="these pieces come from several runs"):
        pieces.joined(tmp_path / "0")
    two[0].write_bytes(two[0].read_bytes()[:-1])
    with pytest.raises(UsageError, match=f"{two[0].name}: is not a piece of a run"):
        pieces.joined(tmp_path / "1")
