from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from installed import load_tensors
from safetensors.numpy import save
from safetensors.torch import load_file

import rdpcodec
from rdpcodec import Codec
from rdpcodec.errors import WeightsError
from rdpcodec.format.container import Header
from rdpcodec.model.released import networks, training_state
from rdpcodec.weights import manifest as weights
from rdpcodec.weights.architecture import architecture_from
from rdpcodec.weights.manifest import encoders, find_model, manifest, model_for_file
from rdpcodec.weights.release import ReleasedModel
from rdpcodec.weights.tensors import (
    BITSTREAM_PREFIXES,
    SYNTHESIS_PREFIXES,
    fingerprint,
    graph_path,
    open_tensors,
)

MODELS = sorted(manifest(), key=encoders().__contains__, reverse=True)  # first one that makes files


@pytest.mark.parametrize("name", MODELS)
def test_the_manifest_tells_the_truth(name: str) -> None:
    entry = find_model(name)
    data = entry.path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == entry.record["sha256"]
    assert len(data) == entry.record["bytes"]
    tensors = load_tensors(entry)
    assert fingerprint(tensors, BITSTREAM_PREFIXES) == entry.record["bitstream_fingerprint"]
    assert fingerprint(tensors, SYNTHESIS_PREFIXES) == entry.record["synthesis_fingerprint"]
    released = ReleasedModel.load(entry)
    assert released.scale.prove_bounds() < 2**24
    network, _ = networks(released, torch.device("cpu"))
    assert sum(p.numel() for p in network.parameters()) == entry.record["parameters"]
    assert released.graphs.keys() == entry.record["graphs"].keys()


def test_weights_stay_small() -> None:
    paths = {find_model(name).path for name in MODELS}
    assert find_model("fast").path.stat().st_size < 16e6
    assert sum(path.stat().st_size for path in paths) < 44e6


def test_better_synthesis_weights_leave_the_bitstream_alone() -> None:
    tensors = load_tensors(find_model(MODELS[0]))
    before = fingerprint(tensors, BITSTREAM_PREFIXES), fingerprint(tensors, SYNTHESIS_PREFIXES)
    tensors["synthesis.leave.mix.bias"] = tensors["synthesis.leave.mix.bias"] + 1
    after = fingerprint(tensors, BITSTREAM_PREFIXES), fingerprint(tensors, SYNTHESIS_PREFIXES)
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_a_fingerprint_is_what_the_format_says_in_whatever_order_tensors_come() -> None:
    """docs/format.md, section 6, spelt out for tensors whose order is not that of their names."""
    tensors = {
        "tables.b": np.array([1, -2], np.int32),
        "analysis.a": np.zeros(5, np.float32),
        "scale.z": np.array([[3, 4, -5]], np.int8),
        "mean_network.c": np.array([0.5], np.float16),
    }
    spelt = (
        b"mean_network.c float16 (1,)\n\x00\x38"
        b"scale.z int8 (1, 3)\n\x03\x04\xfb"
        b"tables.b int32 (2,)\n\x01\0\0\0\xfe\xff\xff\xff"
    )
    for given in (tensors, dict(reversed(tensors.items()))):
        assert fingerprint(given, BITSTREAM_PREFIXES) == hashlib.sha256(spelt).hexdigest()


def test_a_file_finds_no_weights_that_only_begin_as_its_own() -> None:
    entry = find_model(MODELS[0])
    header = Header("fast", entry.fingerprint, 50.0, 0.0, 16, 16)
    assert model_for_file(header) == entry
    for place in range(4):
        other = bytearray(entry.fingerprint)
        other[place] ^= 1
        with pytest.raises(WeightsError, match=f"needs weights fast-{other.hex()}, but installed are"):
            model_for_file(replace(header, fingerprint=bytes(other)))


@pytest.mark.parametrize(
    "name",
    [
        "context.hidden",
        "scale.leave",
        "tables.latents.frequencies",
        "tables.hyper.reach",
        "mean_network.leave.bias",
    ],
)
def test_whatever_decoding_depends_on_changes_the_bitstream_fingerprint(name: str) -> None:
    tensors = load_tensors(find_model(MODELS[0]))
    before = fingerprint(tensors, BITSTREAM_PREFIXES)
    tensors[name] = tensors[name] + 1
    assert fingerprint(tensors, BITSTREAM_PREFIXES) != before


def test_a_release_holds_all_that_further_training_needs() -> None:
    network, _ = networks(ReleasedModel.load(find_model(MODELS[0])), torch.device("cpu"))
    state = training_state(load_file(find_model(MODELS[0]).path))
    assert state.keys() == network.state_dict().keys()


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The installed weights in a folder that a test may damage."""
    folder = tmp_path / "weights"
    shutil.copytree(find_model(MODELS[0]).path.parent, folder)
    monkeypatch.setattr(weights, "_FOLDERS", (folder,))
    manifest.cache_clear()
    yield folder
    manifest.cache_clear()


def test_damaged_weights_are_refused(copied: Path) -> None:
    path = find_model(MODELS[0]).path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="damaged"):
        open_tensors(find_model(MODELS[0]))


@pytest.mark.parametrize("graph", find_model(MODELS[0]).record["graphs"])
def test_a_damaged_or_missing_graph_is_refused(copied: Path, graph: str) -> None:
    entry = find_model(MODELS[0])
    path = graph_path(entry.path, graph)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=f"{graph}.onnx: damaged"):
        ReleasedModel.load(entry)
    path.unlink()
    with pytest.raises(WeightsError, match=f"{graph}.onnx: cannot be read"):
        ReleasedModel.load(entry)


def test_missing_weights_are_named(copied: Path) -> None:
    find_model(MODELS[0]).path.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        open_tensors(find_model(MODELS[0]))


def test_an_installation_without_weights_says_so(copied: Path) -> None:
    (copied / "manifest.json").unlink()
    with pytest.raises(WeightsError, match="no weights are installed"):
        find_model("fast")


def test_weights_that_do_not_fit_their_architecture_are_refused(copied: Path) -> None:
    path = copied / "manifest.json"
    record = json.loads(path.read_text())
    record["models"][MODELS[0]]["architecture"]["eighth"] += 8
    path.write_text(json.dumps(record))
    with pytest.raises(WeightsError, match="but its architecture needs"):
        ReleasedModel.load(find_model(MODELS[0]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        pytest.param("[" * 10**5, id="deep"),
        "null",
        "{}",
        '{"models": []}',
        '{"models": {"fast": null}}',
        '{"models": {"fast": {"file": 5}}}',
        '{"models": {"fast": {"file": "a", "sha256": "b", "architecture": {}, "dials": []}}}',
    ],
)
def test_a_damaged_manifest_is_refused(copied: Path, text: str) -> None:
    (copied / "manifest.json").write_text(text)
    with pytest.raises(WeightsError, match=r"manifest\.json: is not a manifest of weights"):
        find_model("fast")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file", None),
        ("sha256", 3),
        ("architecture", "large"),
        ("architecture", {"unknown": 1}),
        ("architecture", {"latents": "many"}),
        ("bitstream_fingerprint", "no hexadecimal"),
        ("bitstream_fingerprint", "00"),
        ("dials", None),
        ("distortion", None),
        ("distortion", {"eyes": "much"}),
        ("distortion", {"eyes": 0.8}),
        ("distortion", {"ears": 0.1}),
    ],
)
def test_a_record_that_does_not_fit_is_refused(copied: Path, key: str, value: object) -> None:
    path = copied / "manifest.json"
    record = json.loads(path.read_text())
    record["models"]["fast"][key] = value
    path.write_text(json.dumps(record))
    with pytest.raises(WeightsError):
        ReleasedModel.load(find_model("fast"))


def test_effort_minimises_what_the_record_says_was_trained_for(copied: Path) -> None:
    path = copied / "manifest.json"
    record = json.loads(path.read_text())
    record["models"]["fast"]["distortion"] = {"eyes": 0, "coarse": 0.1}
    path.write_text(json.dumps(record))
    engine = Codec(ReleasedModel.load(find_model("fast"))).engine.with_gradients()
    assert engine.shares == (0, 0.1)


@pytest.mark.parametrize(
    "how", ["cut", "empty", "garbage", "another shape", "a tensor less", "sums too large"]
)
def test_weights_whose_hash_fits_and_that_are_none_are_refused(copied: Path, how: str) -> None:
    entry = find_model("fast")
    tensors = load_tensors(entry)
    if how == "a tensor less":
        del tensors["tables.hyper.reach"]
    if how == "another shape":
        tensors["mean_network.leave.weight"] = tensors["mean_network.leave.weight"][1:]
    if how == "sums too large":  # for float32 to hold them exactly
        tensors["scale.leave_bias"] = np.full_like(tensors["scale.leave_bias"], 2**24)
    data = {"cut": entry.path.read_bytes()[:5000], "empty": b"", "garbage": bytes(range(256))}.get(how)
    data = save(tensors) if data is None else data
    entry.path.write_bytes(data)
    path = copied / "manifest.json"
    record = json.loads(path.read_text())
    record["models"]["fast"]["sha256"] = hashlib.sha256(data).hexdigest()
    path.write_text(json.dumps(record))
    manifest.cache_clear()
    with pytest.raises(WeightsError, match=r"are not weights|do not fit together"):
        ReleasedModel.load(find_model("fast"))


CONTEXT = {"enter", "enter_bias", "hidden", "hidden_bias", "leave", "leave_bias"}


@pytest.mark.parametrize("how", ["cut", "absent", "another type"])
@pytest.mark.parametrize("name", sorted(CONTEXT | {"tables.reach", "tables.frequencies"}))
def test_a_context_network_that_does_not_fit_is_refused(name: str, how: str) -> None:
    entry = find_model("fast")
    tensors = load_tensors(entry)
    array = tensors.pop(f"context.{name}")
    if how != "absent":
        tensors[f"context.{name}"] = array[:-1] if how == "cut" else array.astype(np.int16)
    architecture = architecture_from(entry.record["architecture"])
    with pytest.raises((ValueError, KeyError)):  # what `load` reports as damaged weights
        ReleasedModel.from_tensors("fast", architecture, tensors)


def test_an_unknown_model_is_named_with_those_there_are() -> None:
    with pytest.raises(WeightsError, match=r"there is no model .slow.; installed: .*fast"):
        find_model("slow")


@pytest.mark.parametrize("name", [["fast"], None, 1, {}])
def test_what_is_no_name_is_no_model(name: Any) -> None:
    with pytest.raises(WeightsError, match="there is no model"):
        rdpcodec.compress(np.zeros((16, 16, 3), np.uint8), model=name)
