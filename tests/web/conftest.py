"""Fixtures: the decoder for browsers, in Node and as a site."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_tab import strict_tab
from in_browser import PAGE, PATIENCE
from PIL import Image
from web_site import RUNTIME, Probe, probe_with, served

from rdpcodec import Codec
from rdpcodec.web.folder import write_folder


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Probe:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    return probe_with(node, tmp_path_factory.mktemp("modules"))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `rdpcodec web` writes."""
    if not RUNTIME.is_dir():
        pytest.skip(
            "onnxruntime-web is not installed: "
            "npm install --prefix tests/web --no-package-lock --ignore-scripts"
        )
    folder = tmp_path_factory.mktemp("site")
    write_folder(folder, RUNTIME)
    return folder


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    with served(site) as url:
        yield url


@pytest.fixture(scope="module")
def tab(browser: Any, site: Path, address: str, photo: bytes) -> Iterator[Any]:
    """A page with two elements that show a file. Tests leave the elements as they are."""
    (site / "photo.rdpc").write_bytes(photo)
    (site / "page.html").write_text(PAGE)
    with strict_tab(browser) as page:
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}page.html")
        yield page


@pytest.fixture(scope="module")
def photo(codec: Codec, small: Image.Image) -> bytes:
    return codec.compress(small, 40, realism=0.4)
