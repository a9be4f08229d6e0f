"""`rdpcodec info` and `rdpcodec models`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click
import pytest
from PIL import Image
from programs import run

import rdpcodec
from rdpcodec.cli import rdpcodec as command
from rdpcodec.format import container
from rdpcodec.weights.manifest import encoders, manifest


def test_info_tells_what_the_file_holds(photo: Path) -> None:
    run("compress", photo, "-q", "37.5")
    file = photo.with_suffix(".rdpc")
    record = json.loads(run("info", file, "--json").stdout)
    assert (record["width"], record["height"], record["quality"]) == (101, 67, 37.5)
    assert record["bytes"] == file.stat().st_size
    assert record["weights_installed"]
    assert "101×67" in run("info", file).stdout


@pytest.mark.parametrize("realism", [0, 0.2, 1])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_info_tells_of_channels_realism_and_rate(
    tmp_path: Path, small: Image.Image, mode: str, realism: float
) -> None:
    file = tmp_path / "a.rdpc"
    data = rdpcodec.compress(small.convert(mode), 30, realism=realism, exact_alpha=True)
    file.write_bytes(data)
    record = json.loads(run("info", file, "--json").stdout)
    assert (record["gray"], record["alpha"]) == (mode[0] == "L", mode[-1] == "A")
    assert record["realism"] == pytest.approx(realism, abs=1 / 255)
    bits = len(data) * 8 / (small.width * small.height)
    assert record["bpp"] == pytest.approx(bits, abs=1e-4)
    text = run("info", file).stdout
    assert f"{bits:.3f} bits per pixel" in text
    assert f"quality 30, realism {realism:g}" in text
    assert ("gray" in text, " + alpha" in text) == (mode[0] == "L", mode[-1] == "A")


def test_info_tells_whether_the_weights_of_a_file_are_installed(photo: Path) -> None:
    file = container.read(rdpcodec.compress(photo))
    for fingerprint, said in ((file.header.fingerprint, "installed"), (b"\0\1\2\3", "NOT installed")):
        header = replace(file.header, fingerprint=fingerprint)
        photo.write_bytes(container.write(replace(file, header=header)))
        assert rdpcodec.info(photo).weights_installed == (said == "installed")
        assert f"{fingerprint.hex()} ({said})" in run("info", photo).stdout


def test_info_is_silent_about_intact_files_if_asked(photo: Path) -> None:
    run("compress", photo)
    coded = photo.with_suffix(".rdpc")
    assert run("info", coded, "--quiet").output == ""
    found = run("info", coded, photo, "--quiet")
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr.splitlines()[1] == "error: 1 of 2 failed"


def test_every_command_that_reports_does_so_in_json_too() -> None:
    context = click.Context(command)
    names = set(command.list_commands(context)) - {"train", "export"}  # these log or print JSON anyway
    assert {"compress", "serve", "suggest", "models"} < names
    for name in names:
        found = command.get_command(context, name)
        assert found is not None
        assert "as_json" in [parameter.name for parameter in found.params], name


def test_models_lists_what_is_installed() -> None:
    assert json.loads(run("models", "--json").stdout).keys() == manifest().keys()
    listed = run("models").stdout
    assert listed.count("(default)") == 1
    assert listed.count("million parameters") == len(encoders())
    # Each entry begins with the name that --model takes.
    heads = [line for line in listed.splitlines() if not line.startswith(" ")]
    assert [head.removesuffix(" (default)") for head in heads] == list(manifest())


def test_info_in_json_has_a_line_for_what_fails_too(photo: Path) -> None:
    run("compress", photo)
    found = run("info", photo.with_suffix(".rdpc"), photo, "--json")
    intact, failed = map(json.loads, found.stdout.splitlines())
    assert found.exit_code == 1
    assert intact["weights_installed"]
    assert failed == {
        "file": str(photo),
        "error": f"{photo}: not an .rdpc file: it does not begin with 'RDP'",
    }
