"""`bench measure browser`: a page shows its image; the time and bytes it took are recorded."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from browser_tab import chromium
from click.testing import CliRunner, Result
from PIL import Image

from bench.__main__ import bench


@pytest.mark.slow
@pytest.mark.usefixtures("launch")
def test_the_first_image_of_a_page_is_timed(site: Path, small: Image.Image, tmp_path: Path) -> None:
    small.save(tmp_path / "small.png")
    before = sorted(site.rglob("*"))
    words = ["measure", "browser", site, tmp_path / "small.png", "--browser", chromium(), "--repeats", "1"]
    # A process of its own: Playwright drives the browsers of other tests in this one.
    run = subprocess.run(
        [sys.executable, "-m", "bench", *map(str, words), "--out", str(tmp_path / "found.json")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["size"] == [*small.size]
    assert found["realism"].keys() == {"0", "0.5", "1"}
    for row in found["realism"].values():
        assert 0 < row["last_file_ms"] < row["navigation_ms"]
    # Between the ends both syntheses are needed.
    loaded = {name: row["loaded_bytes"] for name, row in found["realism"].items()}
    assert max(loaded["0"], loaded["1"]) < loaded["0.5"]
    assert sorted(site.rglob("*")) == before


def test_without_playwright_it_says_how_to_get_it(
    photograph: Image.Image, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    result = measured_with(sys.executable, photograph, tmp_path)
    assert result.exit_code == 1
    assert "pip install playwright" in result.output


def test_a_browser_that_does_not_start_is_named(
    photograph: Image.Image, tmp_path: Path, monkeypatch: Any
) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")

    def visit(*_: Any) -> None:
        raise sync_api.Error("BrowserType.launch: it has ended\nCall log:\n  - a kilobyte of it")

    # Playwright may be driving the browsers of other tests in this process.
    monkeypatch.setattr(sync_api, "sync_playwright", contextlib.nullcontext)
    monkeypatch.setattr("bench.measure.browser._visit", visit)
    result = measured_with(sys.executable, photograph, tmp_path)
    assert result.exit_code == 1
    assert result.stderr == f"Error: {sys.executable}: BrowserType.launch: it has ended\n"


def measured_with(browser: str, photograph: Image.Image, folder: Path) -> Result:
    """The result of the command with a browser, on an empty site."""
    site, image = folder / "site", folder / "image.png"
    site.mkdir()
    photograph.crop((0, 0, 64, 64)).save(image)
    words = ["measure", "browser", str(site), str(image), "--browser", browser]
    return CliRunner().invoke(bench, words)
