"""A retired model decodes the files that it made, and makes no new ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from installed import install, load_tensors, weights_read_anew
from PIL import Image

import rdpcodec
from rdpcodec.cli import rdpcodec as program
from rdpcodec.codec import Codec
from rdpcodec.errors import UsageError, WeightsError
from rdpcodec.training.checkpoints.start import load_start
from rdpcodec.training.commands import graphs, retire
from rdpcodec.weights.manifest import WEIGHTS_VARIABLE, ModelEntry, find_model, manifest
from rdpcodec.weights.release import ReleasedModel
from rdpcodec.weights.tensors import open_tensors, verified_graphs


@pytest.fixture(params=[True, False], ids=["whole", "without encoder"])
def retired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of a retired model, installed beside another, `mine`, that is not retired."""
    entry = install(tmp_path, load_tensors(find_model("fast")))
    shutil.copy(entry.path, tmp_path / "mine.safetensors")
    path = tmp_path / "manifest.json"
    record = json.loads(path.read_text())["models"]["fast"]
    mine = {**record, "file": "mine.safetensors", "graphs": {}, "bitstream_fingerprint": "00" * 32}
    path.write_text(json.dumps({"models": {"fast": record, "mine": mine}}))
    result = CliRunner().invoke(retire, ["fast", str(tmp_path), *(["--whole"] if request.param else [])])
    assert result.exit_code == 0, result.output
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    return f"fast-{entry.fingerprint.hex()}"


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_its_files_decode_as_before(codec: Codec, small: Image.Image, retired: str, engine: str) -> None:
    data = codec.compress(small, 40, realism=0.5)
    before = np.asarray(codec.decompress(data), int)
    with weights_read_anew():
        assert rdpcodec.info(data).model == retired
        after = np.asarray(Codec(retired, engine=engine).decompress(data), int)
    assert np.abs(after - before).max() <= 1


def test_it_makes_no_files(small: Image.Image, retired: str, tmp_path: Path) -> None:
    small.save(tmp_path / "a.png")
    with weights_read_anew():
        codec = Codec(retired)
        for call in (codec.compress, lambda image: next(codec.efforts(image))):
            with pytest.raises(
                WeightsError, match="decodes files of an earlier version and makes none: mine"
            ):
                call(small)
        refused = CliRunner().invoke(program, ["compress", str(tmp_path / "a.png"), "--model", retired])
        assert "makes none: mine" in str(refused.exception)
        with pytest.raises(WeightsError, match="no model 'fast'; installed: mine"):
            Codec("fast")


def test_it_is_smaller_without_its_encoder_and_lists_no_graphs_of_it(retired: str) -> None:
    with weights_read_anew():
        entry, whole = manifest()[retired], manifest()["mine"].path.stat().st_size
        assert not entry.encodes
        assert {"features", "analysis", "hyper_latents"}.isdisjoint(entry.record["graphs"])
        stripped = not any(name.startswith("analysis.") for name in open_tensors(entry))
        assert (entry.path.stat().st_size < whole) == stripped
        listed = CliRunner().invoke(program, ["models"]).output
        assert f"{retired}\n  decodes   files of an earlier version" in listed


def test_its_files_and_graphs_take_the_place_of_those_it_had(retired: str, tmp_path: Path) -> None:
    record = json.loads((tmp_path / "manifest.json").read_text())["models"][retired]
    kept = {f"{retired}.{name}.onnx" for name in record["graphs"]} | {f"{retired}.safetensors"}
    assert {path.name for path in tmp_path.iterdir()} == kept | {"mine.safetensors", "manifest.json"}
    result = CliRunner().invoke(graphs, [str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "manifest.json").read_text())["models"][retired] == record


def test_no_training_starts_from_it(retired: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="these weights only decode"):
        load_start(tmp_path / f"{retired}.safetensors")


def test_a_model_that_has_the_name_of_its_files_already_keeps_them(tmp_path: Path) -> None:
    entry = install(tmp_path, load_tensors(find_model("fast")))
    name = f"fast-{entry.fingerprint.hex()}"
    files = {path: path.with_name(path.name.replace("fast", name, 1)) for path in tmp_path.glob("fast.*")}
    for path, named in files.items():
        path.rename(named)
    record = {**entry.record, "file": f"{name}.safetensors"}
    (tmp_path / "manifest.json").write_text(json.dumps({"models": {name: record}}))
    assert CliRunner().invoke(retire, [name, str(tmp_path)]).exit_code == 0
    record = json.loads((tmp_path / "manifest.json").read_text())["models"][name]
    kept = {f"{name}.{graph}.onnx" for graph in record["graphs"]} | {f"{name}.safetensors"}
    assert {path.name for path in tmp_path.iterdir()} == kept | {"manifest.json"}
    retired = ModelEntry(name, tmp_path / record["file"], record)
    assert verified_graphs(retired).keys() == record["graphs"].keys()
    assert not ReleasedModel.load(retired).encodes


def test_what_is_not_there_cannot_be_retired(retired: str, tmp_path: Path) -> None:
    before = (tmp_path / "manifest.json").read_bytes()
    for name in ("absent", retired):
        result = CliRunner().invoke(retire, [name, str(tmp_path)])
        assert "has no model" in str(result.exception)
    assert (tmp_path / "manifest.json").read_bytes() == before
