"""What `pip install rdpcodec` gives: a wheel with the weights inside that works from an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from contextlib import chdir
from pathlib import Path

import pytest
from hatchling.build import build_wheel
from PIL import Image

from rdpcodec.web.folder import own_files
from rdpcodec.weights.manifest import manifest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built by the function of the build backend that pip calls."""
    folder = tmp_path_factory.mktemp("wheel")
    with chdir(ROOT):
        return folder / build_wheel(str(folder))


def test_the_wheel_holds_weights_and_pages_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    weights = {f"rdpcodec/released_weights/{entry.path.name}" for entry in manifest().values()}
    assert {"rdpcodec/released_weights/manifest.json", *weights} <= set(names)
    pages = {f"rdpcodec/pages/{path.name}" for path in (ROOT / "rdpcodec" / "pages").glob("*.*")}
    assert {"rdpcodec/pages/compare.html", "rdpcodec/pages/viewer.js", "rdpcodec/pages/base.css"} <= pages
    assert pages <= set(names)
    assert {f"rdpcodec/web/{name}" for name in own_files()} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "bench/"))]
    assert wheel.stat().st_size < 45e6


def test_the_installed_wheel_works_from_an_empty_folder(
    wheel: Path, tmp_path: Path, small: Image.Image
) -> None:
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    small.save(empty / "photo.png")
    # -I keeps the checkout off the path; the wheel comes first on it.
    script = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "import rdpcodec.cli; print(rdpcodec.__file__); rdpcodec.cli.main()"
    )
    for words in (["compress", "photo.png"], ["decompress", "photo.rdpc", "decoded.png"]):
        command = [sys.executable, "-I", "-c", script, *words]
        run = subprocess.run(
            command, cwd=empty, capture_output=True, text=True, timeout=120, env=dict(os.environ)
        )
        assert run.returncode == 0, run.stderr
        assert str(site) in run.stdout
    assert Image.open(empty / "decoded.png").size == small.size
