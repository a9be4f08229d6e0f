"""Weights may have any name: a file says the size of the networks and the fingerprint of the weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from installed import weights_read_anew
from PIL import Image

import rdpcodec
from rdpcodec import Codec
from rdpcodec.cli import rdpcodec as command_line
from rdpcodec.format import container
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.released import arrays, release_tensors, table_tensors
from rdpcodec.training.export.counting import wide_tables
from rdpcodec.weights.architecture import Architecture
from rdpcodec.weights.manifest import WEIGHTS_VARIABLE, find_model
from rdpcodec.weights.release import ReleasedModel
from rdpcodec.weights.tensors import verified_graphs


@pytest.fixture
def named_mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The released weights are installed under a name that the user chose."""
    entry = find_model("fast")
    for path in (entry.path, *verified_graphs(entry).values()):
        shutil.copy(path, tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"models": {"mine": entry.record}}))
    with weights_read_anew():
        monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
        yield


def test_weights_of_any_name_code_and_decode(codec: Codec, small: Image.Image, named_mine: None) -> None:
    data = rdpcodec.compress(small, 40, model="mine")
    assert data == rdpcodec.compress(small, 40, model=f"mine-{codec.weights.fingerprint.hex()}")
    assert data == codec.compress(small, 40)
    np.testing.assert_array_equal(rdpcodec.decompress(data), codec.decompress(data))


def test_the_command_line_codes_with_weights_of_any_name(
    small: Image.Image, tmp_path: Path, named_mine: None
) -> None:
    small.save(tmp_path / "a.png")
    for words in (
        ["compress", str(tmp_path / "a.png"), str(tmp_path / "a.rdpc"), "--model", "mine"],
        ["decompress", str(tmp_path / "a.rdpc"), str(tmp_path / "b.png")],
        ["info", str(tmp_path / "a.rdpc")],
    ):
        result = CliRunner().invoke(command_line, words)
        assert result.exit_code == 0, result.output
    assert "mine-" in result.output


def test_networks_of_a_size_without_a_number_are_found_by_their_fingerprint(small: Image.Image) -> None:
    torch.manual_seed(0)
    network = RdpModel(Architecture(eighth=8, sixteenth=12, latents=24, hyper_latents=6, prior=8, scale=5))
    latents, hyper = wide_tables(network)
    tensors = release_tensors(network, torch.float32)
    tensors |= table_tensors("latents", latents) | table_tensors("hyper", hyper)
    own = Codec(ReleasedModel.from_tensors("mine", network.architecture, arrays(tensors)))
    data = own.compress(small, 30)
    header, _ = container.read_header(data)
    assert header.size == "own"
    assert own.decompress(data).size == small.size
    with pytest.raises(rdpcodec.WeightsError, match="needs weights own-"):
        rdpcodec.decompress(data)
    other = container.read(data)
    foreign = container.write(replace(other, header=replace(other.header, fingerprint=bytes(4))))
    with pytest.raises(rdpcodec.WeightsError, match="this codec holds own-"):
        own.decompress(foreign)
