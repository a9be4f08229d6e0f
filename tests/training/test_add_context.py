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
from rdpcodec.entropy.context import ContextModel
from rdpcodec.errors import UsageError
from rdpcodec.format.hyper_latents import ContextCoder
from rdpcodec.image import load_image
from rdpcodec.model.context_network import context_tensors
from rdpcodec.model.released import arrays
from rdpcodec.training.commands import context
from rdpcodec.training.export import context as export_context
from rdpcodec.training.export.context import Tile, add_context, coded_bytes, counted_tables, fitted
from rdpcodec.training.export.export import export
from rdpcodec.training.export.retire import retire
from rdpcodec.weights.manifest import WEIGHTS_VARIABLE, manifest
from rdpcodec.weights.release import ENCODING_GRAPHS, context_weights
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
    add_context("fast", folder, image_folder)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(folder))
    return folder


def test_the_command_says_what_hyper_latents_took_and_take(
    released: Path, tmp_path: Path, image_folder: Path
) -> None:
    shutil.copytree(released, tmp_path / "weights")
    command = ["fast", str(tmp_path / "weights"), "--data", str(image_folder)]
    result = CliRunner().invoke(context, command, catch_exceptions=False)
    assert re.search(r"take [0-9]+ bytes, before [0-9]+$", result.output.strip())


def test_the_card_says_how_large_the_weights_are(with_context: Path) -> None:
    size = (with_context / "fast.safetensors").stat().st_size
    assert f"\n{size / 1e6:.2f} MB as " in (with_context / "MODEL_CARD.md").read_text()


def test_a_fitted_network_saves_bits_where_neighbours_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that drift by one from the left, far from zero, take a fraction of their own entropy."""
    monkeypatch.setattr(export_context, "STEPS", 600)
    generator = np.random.default_rng(0)
    tiles = [
        Tile((np.cumsum(generator.integers(-1, 2, (4, 9, 9)), 2) + start).astype(np.int32), 50.0)
        for start in generator.integers(-6, 7, 60)
    ]
    weights = context_weights(arrays(context_tensors(fitted(tiles[:50], 4))))
    coder = ContextCoder(ContextModel(weights, counted_tables(weights, tiles[:50])))
    values = np.stack([tile.hyper for tile in tiles[50:]])
    shares = np.unique(values, return_counts=True)[1] / values.size
    alone = -(shares * np.log2(shares)).sum() * values.size / 8
    assert coded_bytes(coder, tiles[50:]) < 0.7 * alone


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


def test_a_model_named_as_its_files_are_is_refused(
    released: Path, tmp_path: Path, image_folder: Path
) -> None:
    """Its name is needed for the files that it made before."""
    folder = tmp_path / "weights"
    shutil.copytree(released, folder)
    record = json.loads((folder / "manifest.json").read_text())["models"]["fast"]
    name = f"{record['size']}-{record['bitstream_fingerprint'][:8]}"
    (folder / "manifest.json").write_text(json.dumps({"models": {name: record}}))
    with pytest.raises(UsageError, match=f"already has a model '{name}'"):
        add_context(name, folder, image_folder)


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
    after = json.loads((with_context / "manifest.json").read_text())["models"]
    assert len({record["synthesis_fingerprint"] for record in after.values()}) == 1
    assert after["fast"]["synthesis_fingerprint"] != before["fast"]["synthesis_fingerprint"]
    with weights_read_anew():
        for name in before:
            assert Codec(name).weights.fingerprint.hex() == before[name]["bitstream_fingerprint"][:8]
