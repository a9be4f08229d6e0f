"""What the tests of the pages share: a server, and a page that compares two images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from compare_page import run
from page_server import Server
from PIL import Image

from rdpcodec import Codec


@pytest.fixture(autouse=True, scope="module")
def _quick_avif(quick_avif: None) -> None:
    """Pages show AVIF, but their tests are not about it."""


@pytest.fixture(scope="module")
def server(plain_codec: Codec) -> Iterator[Server]:
    running = Server(plain_codec)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def piece(photograph: Image.Image) -> Image.Image:
    """A crop large enough for MS-SSIM."""
    return photograph.crop((120, 60, 300, 230))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, photograph: Image.Image) -> list[Path]:
    """Two images: one large enough for MS-SSIM, one with alpha."""
    folder = tmp_path_factory.mktemp("sources")
    paths = [folder / "coffee.png", folder / "spoon.png"]
    photograph.crop((120, 60, 300, 230)).save(paths[0])
    spoon = photograph.crop((330, 60, 400, 150))
    spoon.putalpha(128)
    spoon.save(paths[1])
    return paths


@pytest.fixture(scope="module")
def written(sources: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    result = run(*sources, "-o", path, "-q", 30, "-q", 70)
    assert result.exit_code == 0, result.output
    assert f"{path}: 2 images, {path.stat().st_size / 1e6:.1f} MB" in result.output
    return path
