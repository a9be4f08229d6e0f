"""The decoder for browsers, in Node and as a site."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_site import RUNTIME, Probe, probe_with, served

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
