"""What `rdpcodec web` writes: complete, small, and naming no outside address."""

from __future__ import annotations

import io
import json
import re
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from installed import weights_read_anew
from safetensors.numpy import load

from rdpcodec.cli import rdpcodec as command
from rdpcodec.errors import OutputError, UsageError, WeightsError
from rdpcodec.web.folder import own_files, write_folder
from rdpcodec.web.parts import weights_files
from rdpcodec.web.runtime import FILES, VERSION, runtime_files
from rdpcodec.weights.manifest import WEIGHTS_VARIABLE, find_model, manifest
from rdpcodec.weights.tensors import BITSTREAM_PREFIXES, open_tensors


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder laid out like the npm package, with other bytes in it."""
    (tmp_path / "package" / "dist").mkdir(parents=True)
    for name in FILES:
        (tmp_path / "package" / "dist" / name).write_text(f"// {name}")
    return tmp_path / "package"


def run(*words: object) -> Result:
    return CliRunner().invoke(command, ["web", *map(str, words)])


def test_the_folder_holds_modules_weights_and_runtime(package: Path, tmp_path: Path) -> None:
    result = run(tmp_path / "site", "--onnxruntime-web", package, "--json")
    assert result.exit_code == 0, result.output
    sizes = json.loads(result.output)["files"]
    site = tmp_path / "site"
    assert {name: (site / name).stat().st_size for name in sizes} == sizes
    assert {"rdpcodec.js", "index.html", "decoder/worker.js", "weights/models.json"} <= sizes.keys()
    assert all((site / "onnxruntime-web" / name).read_text() == f"// {name}" for name in FILES)


def test_an_archive_of_the_package_gives_what_its_folder_gives(package: Path, tmp_path: Path) -> None:
    archive = tmp_path / "package.tgz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(package, "package")
    assert runtime_files(archive) == runtime_files(package)


@pytest.mark.parametrize("what", ["absent", "file", "folder", "archive", "cut"])
def test_anything_else_than_the_package_is_refused_with_a_way_to_get_it(
    package: Path, tmp_path: Path, what: str
) -> None:
    source = tmp_path / what
    with tarfile.open(tmp_path / "archive", "w:gz") as file:
        file.addfile(tarfile.TarInfo("package/dist"), io.BytesIO())
    with tarfile.open(tmp_path / "cut", "w:gz") as file:
        file.add(package, "package")
    (tmp_path / "cut").write_bytes((tmp_path / "cut").read_bytes()[:-60])
    (tmp_path / "file").write_text("no archive")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=r"npm pack onnxruntime-web@"):
        write_folder(tmp_path / "site", source)
    assert not (tmp_path / "site").exists()


def test_the_tests_use_the_version_that_is_recommended() -> None:
    package = json.loads((Path(__file__).parent / "package.json").read_text())
    assert package["dependencies"] == {"onnxruntime-web": VERSION}


def test_without_the_package_the_command_says_how_to_get_it(tmp_path: Path) -> None:
    result = run(tmp_path / "site")
    assert isinstance(result.exception, UsageError)
    assert "npm pack onnxruntime-web@" in str(result.exception)


def test_files_that_are_there_stay_unless_forced(package: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("mine")
    with pytest.raises(OutputError, match="already exists"):
        write_folder(site, package)
    assert [path.name for path in site.iterdir()] == ["index.html"]
    write_folder(site, package, force=True)
    assert (site / "index.html").read_bytes() == own_files()["index.html"]


def test_the_parts_hold_what_decodes_and_nothing_else() -> None:
    """Placed as `models.json` says, they rebuild the release's file, except for the encoder's tensors."""
    files = weights_files(manifest().values())
    models = json.loads(files["models.json"])
    assert models.keys() == {entry.fingerprint.hex() for entry in manifest().values()}
    for name, entry in manifest().items():
        record, blob = models[entry.fingerprint.hex()], entry.path.read_bytes()
        assert (record["name"], record["bytes"], record["file"]) == (name, len(blob), entry.path.name)
        laid = bytearray(len(blob))
        for part in record["parts"].values():
            position = 0
            for start, length in part["ranges"]:
                laid[start : start + length] = files[part["file"]][position : position + length]
                position += length
            assert position == len(files[part["file"]])
        head = 8 + int.from_bytes(blob[:8], "little")
        tensors = load(blob[:head] + bytes(laid[head:]))
        for tensor, expected in open_tensors(find_model(name)).items():
            decodes = tensor.startswith((*BITSTREAM_PREFIXES, "synthesis.", "realism."))
            found = tensors[tensor]
            assert np.array_equal(found, expected if decodes else np.zeros_like(expected)), tensor


def test_names_hold_the_checksum_of_what_is_inside() -> None:
    for name, data in weights_files(manifest().values()).items():
        if name != "models.json":
            assert name.split(".")[-2] == f"{zlib.crc32(data):08x}"


def test_weights_without_graphs_are_refused(
    plain_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = json.loads((plain_weights / "manifest.json").read_text())
    for record in listed["models"].values():
        record["graphs"] = {}
        (tmp_path / record["file"]).symlink_to(plain_weights / record["file"])
    (tmp_path / "manifest.json").write_text(json.dumps(listed))
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    with weights_read_anew(), pytest.raises(WeightsError, match="graphs"):
        weights_files(manifest().values())


def test_our_own_code_is_small_and_names_no_other_place() -> None:
    files = own_files()
    assert sum(map(len, files.values())) < 150_000
    for name, data in files.items():
        assert not re.findall(r"https?:|//[a-z]+\.", data.decode()), name
