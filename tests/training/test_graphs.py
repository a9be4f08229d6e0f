"""The ONNX graphs of a release: small, valid, without weights of their own, and the same each time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from installed import install, load_tensors, write_graphs
from PIL import Image
from safetensors.numpy import save

from rdpcodec import Codec, WeightsError
from rdpcodec.engine.torch import TorchEngine
from rdpcodec.format import container
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.released import arrays, release_tensors, table_tensors
from rdpcodec.training.commands import graphs as command
from rdpcodec.training.export.counting import wide_tables
from rdpcodec.training.export.graphs import graphs
from rdpcodec.weights.architecture import Architecture, architecture_from
from rdpcodec.weights.manifest import ModelEntry, find_model, manifest
from rdpcodec.weights.release import ReleasedModel
from rdpcodec.weights.tensors import graph_path, verified_graphs

MODELS = sorted(manifest())


@pytest.mark.parametrize("model", MODELS)
def test_graphs_in_the_package_are_those_that_export_writes(model: str) -> None:
    entry = find_model(model)
    size = architecture_from(entry.record["architecture"])
    made = graphs(entry.path.name, entry.path.read_bytes(), size, encodes=entry.encodes)
    assert made == {name: path.read_bytes() for name, path in verified_graphs(entry).items()}


@pytest.mark.parametrize("model", MODELS)
def test_graphs_are_valid_and_hold_no_weights(model: str) -> None:
    entry = find_model(model)
    for path in verified_graphs(entry).values():
        onnx.checker.check_model(str(path), full_check=True)
        assert path.stat().st_size < 40_000
        for tensor in onnx.load(str(path), load_external_data=False).graph.initializer:
            outside = tensor.data_location == onnx.TensorProto.EXTERNAL
            assert outside or np.prod(tensor.dims, dtype=int) <= 8


def other_weights(*, gated: bool) -> tuple[dict[str, np.ndarray], Architecture]:
    """Untrained float32 networks of a size of their own, every parameter moved from its initial value."""
    torch.manual_seed(0)
    size = Architecture(
        eighth=8,
        sixteenth=12,
        latents=24,
        hyper_latents=6,
        prior=8,
        scale=5,
        synthesis_blocks=(1, 2),
        gated=gated,
    )
    network = RdpModel(size)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    latents, hyper = wide_tables(network)
    tensors = release_tensors(network, torch.float32)
    return arrays(tensors | table_tensors("latents", latents) | table_tensors("hyper", hyper)), size


@pytest.mark.parametrize("gated", [False, True])
def test_weights_of_any_size_run_on_both_engines(small: Image.Image, tmp_path: Path, gated: bool) -> None:
    tensors, size = other_weights(gated=gated)
    path = tmp_path / "mine.safetensors"
    path.write_bytes(save(tensors))
    found = {name: graph_path(path, name) for name in write_graphs(path, size)}
    released = replace(ReleasedModel.from_tensors("mine", size, tensors), graphs=found)
    light, whole = (Codec(released, engine=name) for name in ("onnx", "torch"))
    data = whole.compress(small, 70)
    assert len(light.compress(small, 70)) == pytest.approx(len(data), rel=0.01)
    same, decoded = (
        [c.decode_symbols([container.read(data)])[0][0], c.decompress(data)] for c in (light, whole)
    )
    np.testing.assert_array_equal(same[0].residual, decoded[0].residual)
    assert np.abs(np.asarray(same[1]).astype(int) - np.asarray(decoded[1])).max() <= 1


def test_graphs_are_added_to_weights_that_have_none(small: Image.Image, tmp_path: Path) -> None:
    entry = install(tmp_path, load_tensors(find_model("fast")))
    record = {key: value for key, value in entry.record.items() if key != "graphs"}
    (tmp_path / "manifest.json").write_text(json.dumps({"models": {"fast": record}}))
    bare = ReleasedModel.load(ModelEntry("fast", entry.path, record))
    with pytest.raises(WeightsError, match="without the graphs that ONNX Runtime needs"):
        Codec(bare, engine="onnx")
    data = Codec(bare).compress(small, 30)  # on torch
    result = CliRunner().invoke(command, [str(tmp_path)])
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "manifest.json").read_text())["models"]["fast"]
    codec = Codec(ReleasedModel.load(ModelEntry("fast", entry.path, record)), engine="onnx")
    assert codec.decompress(data).size == small.size


def test_graphs_with_earlier_names_are_replaced(tmp_path: Path) -> None:
    entry = install(tmp_path, load_tensors(find_model("fast")))
    present = entry.record["graphs"]
    graph_path(entry.path, "first_means").rename(graph_path(entry.path, "means"))
    old = {("means" if name == "first_means" else name): digest for name, digest in present.items()}
    record = {**entry.record, "graphs": old}
    (tmp_path / "manifest.json").write_text(json.dumps({"models": {"fast": record}}))
    earlier = ReleasedModel.load(ModelEntry("fast", entry.path, record))
    with pytest.raises(WeightsError, match="without the graphs that ONNX Runtime needs"):
        Codec(earlier, engine="onnx")
    assert isinstance(Codec(earlier).engine, TorchEngine)
    assert CliRunner().invoke(command, [str(tmp_path)]).exit_code == 0
    assert {path.name for path in tmp_path.glob("*.onnx")} == {f"fast.{name}.onnx" for name in present}
    assert json.loads((tmp_path / "manifest.json").read_text())["models"]["fast"]["graphs"] == present


def test_a_damaged_graph_is_refused(tmp_path: Path) -> None:
    entry = install(tmp_path, load_tensors(find_model("fast")))
    path = tmp_path / "fast.synthesis.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=r"fast\.synthesis\.onnx: damaged"):
        ReleasedModel.load(entry)
