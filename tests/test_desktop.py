"""What tells a desktop about .rdpc files, and the libraries through which programs read them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import rdpcodec
import rdpcodec.pillow_plugin  # teaches Pillow the format
from rdpcodec import Codec, file_type
from rdpcodec.format import container
from rdpcodec.format.container import SIZE_NUMBERS, Container, Header, Segment, join_tiles

ROOT = Path(__file__).parents[1]
DESKTOP = ROOT / "desktop"
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*.rdpc"))
MIME_INFO = "{http://www.freedesktop.org/standards/shared-mime-info}"


@pytest.fixture
def file(codec: Codec, small: Image.Image, tmp_path: Path) -> Path:
    path = tmp_path / "a photo's.rdpc"
    path.write_bytes(codec.compress(small, 40, realism=1))
    return path


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_the_media_type_is_that_of_the_format(golden: Path) -> None:
    described = ElementTree.parse(DESKTOP / "rdpcodec.xml").getroot().find(f"{MIME_INFO}mime-type")
    assert described is not None
    assert described.get("type") == file_type.MIME_TYPE
    assert [glob.get("pattern") for glob in described.iter(f"{MIME_INFO}glob")] == [f"*{file_type.EXTENSION}"]
    signatures = [
        match.get("value", "").encode().decode("unicode_escape")
        for match in described.iter(f"{MIME_INFO}match")
    ]
    assert golden.read_bytes()[:4].decode() in signatures


def test_a_desktop_knows_a_file_by_its_name_and_by_its_first_bytes(file: Path, tmp_path: Path) -> None:
    if not shutil.which("update-mime-database") or not shutil.which("gio"):
        pytest.skip("shared-mime-info and gio are not installed")
    mime = tmp_path / "share" / "mime"
    (mime / "packages").mkdir(parents=True)
    shutil.copy(DESKTOP / "rdpcodec.xml", mime / "packages")
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "share")}
    subprocess.run(["update-mime-database", str(mime)], env=environment, check=True, timeout=60)
    nameless, named, other = tmp_path / "nameless", tmp_path / "named.rdpc", tmp_path / "other"
    nameless.write_bytes(file.read_bytes())
    named.write_bytes(bytes(range(256)))
    other.write_bytes(b"RDP\x09" + bytes(100))

    def kind(path: Path) -> str:
        words = ["gio", "info", "-a", "standard::content-type", str(path)]
        run = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=True)
        return run.stdout.split()[-1]

    for path in (file, nameless, named):
        assert kind(path) == file_type.MIME_TYPE
    assert kind(other) != file_type.MIME_TYPE


def test_file_says_what_the_header_says(file: Path, tmp_path: Path) -> None:
    if not shutil.which("file"):
        pytest.skip("file is not installed")
    other = tmp_path / "other"
    other.write_bytes(b"RDP\x09" + bytes(100))

    def said(path: Path, *options: str) -> str:
        words = ["file", "--brief", *options, "--magic-file", str(DESKTOP / "rdpcodec.magic"), str(path)]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout.strip()

    header, _ = container.read_header(file.read_bytes())
    weights = f"size {header.size}, weights {header.fingerprint.hex()}"
    assert said(file) == f"rdpcodec image, version 1, {weights}, quality 40, realism 255/255"
    assert said(file, "--mime-type") == file_type.MIME_TYPE
    assert said(file, "--extension") == file_type.EXTENSION[1:]
    assert "rdpcodec" not in said(other)


@pytest.mark.parametrize("size", SIZE_NUMBERS)
def test_file_names_every_size_of_the_networks(file: Path, size: str) -> None:
    if not shutil.which("file"):
        pytest.skip("file is not installed")
    data = file.read_bytes()
    file.write_bytes(data[:4] + bytes([SIZE_NUMBERS[size]]) + data[5:])
    assert container.read_header(file.read_bytes())[0].size == size
    words = ["file", "--brief", "--magic-file", str(DESKTOP / "rdpcodec.magic"), str(file)]
    said = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    assert said.split(", ")[2].startswith("weights " if size == "own" else f"size {size}")


def thumbnail(file: Path, folder: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A thumbnail of at most 32 pixels a side, drawn in a folder as a file manager draws it."""
    entry = RawConfigParser()
    entry.optionxform = str  # type: ignore[assignment,method-assign]  # keys are as they are written
    entry.read(DESKTOP / "rdpcodec.thumbnailer")
    thumbnailer = entry["Thumbnailer Entry"]
    assert thumbnailer["MimeType"] == f"{file_type.MIME_TYPE};"
    # A desktop first splits the line into words, and only then fills in the names.
    drawn = folder / "thumbnail without extension"
    drawn.touch()
    places = {"%i": str(file), "%o": str(drawn), "%s": "32"}
    words = [places.get(word, word) for word in shlex.split(thumbnailer["Exec"])]
    (folder / "bin").mkdir()
    command = folder / "bin" / thumbnailer["TryExec"]
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rdpcodec "$@"\n')
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    return drawn, subprocess.run(
        words, env=environment, cwd=folder, capture_output=True, text=True, timeout=120
    )


def test_the_thumbnailer_draws_a_small_image(file: Path, tmp_path: Path) -> None:
    drawn, run = thumbnail(file, tmp_path)
    assert run.returncode == 0
    with Image.open(drawn) as image:
        assert (image.format, max(image.size)) == ("PNG", 32)


def test_the_thumbnailer_refuses_a_small_file_that_claims_a_large_image(codec: Codec, tmp_path: Path) -> None:
    """File managers draw thumbnails of downloads unasked."""
    header = Header(codec.weights.size, codec.weights.fingerprint, 50.0, 0.0, 8192, 8192)
    file = tmp_path / "downloaded.rdpc"
    file.write_bytes(container.write(Container(header, {Segment.COLOUR: join_tiles([b""] * 64)})))
    assert file.stat().st_size < 100
    drawn, run = thumbnail(file, tmp_path)
    assert run.returncode == 1
    assert "8192×8192 pixels is over the limit of 50 megapixels" in run.stderr
    assert not drawn.read_bytes()


def test_the_image_of_a_container_is_installed_with_the_command_of_the_readme() -> None:
    install = "pip install --constraint constraints.txt ."
    assert f"    {install}\n" in (ROOT / "README.md").read_text("utf-8")
    recipe = (ROOT / "Dockerfile").read_text("utf-8").replace(" --no-cache-dir", "")
    assert f"&& {install} &&" in recipe


def test_imageio_reads_and_writes_through_pillow(file: Path, tmp_path: Path) -> None:
    iio = pytest.importorskip("imageio.v3")
    pixels = iio.imread(file, plugin="pillow")
    np.testing.assert_array_equal(pixels, np.asarray(rdpcodec.decompress(file)))
    iio.imwrite(tmp_path / "again.rdpc", pixels, plugin="pillow", quality=20)
    assert rdpcodec.info(tmp_path / "again.rdpc").quality == 20


def test_opencv_takes_the_arrays_with_their_channels_turned_round(file: Path, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    bgr = np.asarray(rdpcodec.decompress(file))[:, :, ::-1]
    assert cv2.imwrite(str(tmp_path / "image.png"), np.ascontiguousarray(bgr))
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "image.png")), bgr)
    data = rdpcodec.compress(np.ascontiguousarray(bgr[:, :, ::-1]), quality=40)
    assert rdpcodec.info(data).quality == 40
