"""A context network makes files smaller, and changes nothing that is decoded."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from installed import weights_read_anew
from PIL import Image
from short_runs import loop_of, run_of

import rdpcodec
from rdpcodec import Codec
from rdpcodec.errors import UsageError
from rdpcodec.image import load_image
from rdpcodec.training.commands import context
from rdpcodec.training.export.context import add_context
from rdpcodec.training.export.export import export
from rdpcodec.training.export.retire import retire
from rdpcodec.weights.manifest import WEIGHTS_VARIABLE, manifest
from rdpcodec.weights.release import ENCODING_GRAPHS
from rdpcodec.weights.tensors import open_tensors


@pytest.fixture(scope="module")
def released(image_folder: Path, tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Path:
    """A folder with a small model without a context network, `fast`."""
    folder = tmp_path_factory.mktemp("released")
    loop_of(run_of(2), image_folder, folder, small_model).train(checkpoint_minutes=60)
    export(folder / "checkpoint.pt", image_folder, "fast", folder / "weights", replace=True)
    return folder / "weights"


@pytest.fixture
def with_context(released: Path, tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder after the model got a network, installed."""
    folder = tmp_path / "weights"
    shutil.copytree(released, folder)
    add_context("fast", folder, image_folder, steps=60)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(folder))
    return folder


def test_hyper_latents_take_fewer_bytes(released: Path, tmp_path: Path, image_folder: Path) -> None:
    shutil.copytree(released, tmp_path / "weights")
    command = ["fast", str(tmp_path / "weights"), "--data", str(image_folder)]
    result = CliRunner().invoke(context, command, catch_exceptions=False)
    after, before = (int(number) for number in re.findall(r"([0-9]+)(?: bytes|$)", result.output.strip()))
    assert 0 < after < before


def test_nothing_changes_but_how_hyper_latents_are_coded(
    released: Path, with_context: Path, small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    with weights_read_anew():
        new = Codec("fast")
        data, symbols = new.compress(small, 30), new.analyse([load_image(small)], 30)[0]
        decoded = np.asarray(new.decompress(data))
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(released))
    with weights_read_anew():
        old = Codec("fast")
        earlier, expected = old.compress(small, 30), old.analyse([load_image(small)], 30)[0]
        np.testing.assert_array_equal(np.asarray(old.decompress(earlier)), decoded)
    for found, one in zip(symbols, expected, strict=True):
        np.testing.assert_array_equal(found.hyper, one.hyper)
        np.testing.assert_array_equal(found.residual, one.residual)
    assert data != earlier
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(with_context))
    with weights_read_anew():  # the old file asks for weights that are in the same file, without the network
        np.testing.assert_array_equal(np.asarray(rdpcodec.decompress(earlier)), decoded)
        name = rdpcodec.info(earlier).model
        assert manifest()[name].path == manifest()["fast"].path
        assert not manifest()[name].encodes
        assert (
            manifest()["fast"].record["graphs"].keys() - manifest()[name].record["graphs"] == ENCODING_GRAPHS
        )
        assert not any(key.startswith("context.") for key in open_tensors(manifest()[name]))


def test_a_model_with_one_gets_no_second(with_context: Path, image_folder: Path) -> None:
    before = (with_context / "manifest.json").read_bytes()
    (earlier,) = json.loads(before)["models"].keys() - {"fast"}
    for name, said in (
        ("fast", "already has a context network"),
        (earlier, "no model .* that makes files"),
        ("absent", "no model 'absent'"),
    ):
        with pytest.raises(UsageError, match=said):
            add_context(name, with_context, image_folder)
    assert (with_context / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("whole", [True, False])
def test_retiring_it_takes_the_model_of_its_earlier_files_along(
    with_context: Path, small: Image.Image, whole: bool
) -> None:
    names = json.loads((with_context / "manifest.json").read_text())["models"].keys()
    with weights_read_anew():
        data = Codec("fast").compress(small, 30)
        expected = np.asarray(rdpcodec.decompress(data))
    retired = retire("fast", with_context, whole=whole)
    with weights_read_anew():
        assert manifest().keys() == names - {"fast"} | {retired}
        assert len({entry.path for entry in manifest().values()}) == 1
        for name, entry in manifest().items():
            Codec(name)  # checks that all files are those that the manifest lists
            assert ENCODING_GRAPHS.isdisjoint(entry.record["graphs"])
        assert np.abs(np.asarray(rdpcodec.decompress(data), int) - expected).max() <= 1


def test_training_the_synthesis_keeps_it_and_training_everything_does_not(
    with_context: Path, image_folder: Path, tmp_path: Path
) -> None:
    before = json.loads((with_context / "manifest.json").read_text())["models"]
    for trains in ("synthesis", "everything"):
        run = run_of(2, trains=trains)
        loop_of(run, image_folder, tmp_path, init=with_context / "fast.safetensors").train(
            checkpoint_minutes=60
        )
        checkpoint = tmp_path / "checkpoint.pt"
        if trains == "everything":
            with pytest.raises(UsageError, match="needs the weights of 'fast': retire 'fast' first"):
                export(checkpoint, image_folder, "fast", with_context, replace=True)
        else:
            record = export(checkpoint, image_folder, "fast", with_context)
            assert record["bitstream_fingerprint"] == before["fast"]["bitstream_fingerprint"]
    with weights_read_anew():
        for name in before:
            assert Codec(name).weights.fingerprint.hex() == before[name]["bitstream_fingerprint"][:8]
