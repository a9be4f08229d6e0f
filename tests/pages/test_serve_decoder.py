"""`rdpcodec serve` with the decoder for browsers: the page turns realism or, failing that, the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from click.testing import CliRunner
from page_server import SHOWN, Server, figure
from PIL import Image
from web_site import RUNTIME

from rdpcodec import Codec, UsageError
from rdpcodec.cli import rdpcodec as command
from rdpcodec.web.folder import site_files
from rdpcodec.weights.manifest import find_model


@pytest.fixture(scope="module")
def server(codec: Codec) -> Iterator[Server]:
    if not RUNTIME.is_dir():
        pytest.skip("onnxruntime-web is not installed, see tests/web/package.json")
    running = Server(codec, site_files(RUNTIME, [find_model("fast")]))
    yield running
    running.stop()


@pytest.fixture
def opened(browser: Any, server: Server, small: Image.Image, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open the page with an image in it; broken: a pattern of addresses that answer 404."""
    small.save(tmp_path / "small.png")
    page = browser.new_page(viewport={"width": 1280, "height": 800})

    def work(broken: str | None = None) -> Any:
        if broken:
            page.route(broken, lambda route: route.fulfill(status=404))
        page.goto(server.url)
        page.locator("#chosen").set_input_files(tmp_path / "small.png")
        rested(page, 0)
        return page

    yield work
    page.close()


def rested(page: Any, realism: float) -> None:
    """Wait until the page shows a realism and all its figures."""
    from playwright.sync_api import expect

    text = f"Quality 50, realism {realism:.2f}"
    expect(page.locator(".tag.right")).to_have_text(text, timeout=60_000)
    expect(page.locator("#state")).to_have_text("", timeout=60_000)
    expect(page.locator("#figures .old")).to_have_count(0)


def turn(page: Any, key: str) -> None:
    page.get_by_role("slider", name="Realism").focus()
    page.keyboard.press(key)


def assert_shows(page: Any, expected: Image.Image) -> None:
    found = np.array(page.evaluate(SHOWN), int).reshape(expected.height, expected.width, 4)
    assert np.abs(found[..., :3] - np.asarray(expected.convert("RGB"))).max() <= 1


def test_realism_is_turned_without_asking_the_server_for_an_image(
    opened: Callable[..., Any], codec: Codec, small: Image.Image
) -> None:
    page = opened()
    data = codec.compress(small, 50)
    assert "This browser decodes it" in page.locator("#realism-help").inner_text()
    size, psnr = figure(page, "bytes"), figure(page, "PSNR")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    for key, realism in (("End", 1), ("ArrowLeft", 0.95)):
        turn(page, key)
        rested(page, realism)
        assert_shows(page, codec.decompress(data, realism=realism))
    assert figure(page, "bytes") == size
    assert figure(page, "PSNR") != psnr
    kinds = {path.split("/")[-1] for path in asked if path.startswith("/images/")}
    assert kinds <= {"figures", "file"}
    assert page.evaluate("crossOriginIsolated")  # so that the decoder may use threads


def test_where_the_browser_cannot_decode_the_server_does_and_the_page_says_why(
    opened: Callable[..., Any], codec: Codec, small: Image.Image
) -> None:
    page = opened(broken="**/ort.*.mjs")
    turn(page, "End")
    rested(page, 1)
    assert_shows(page, codec.decompress(codec.compress(small, 50), realism=1))
    help_text = page.locator("#realism-help").inner_text()
    assert "The server decodes it, for this browser cannot: onnxruntime-web cannot be loaded" in help_text


def test_what_is_turned_is_above_the_fold(opened: Callable[..., Any]) -> None:
    page = opened()
    for role, name in (("slider", "Quality"), ("slider", "Realism"), ("link", "Download")):
        box = page.get_by_role(role, name=name).bounding_box()
        assert box["y"] > 0
        assert box["y"] + box["height"] <= 800


def test_the_decoder_is_given_out_as_browsers_run_it(server: Server) -> None:
    for name, kind in (
        ("rdpcodec.js", "text/javascript"),
        ("onnxruntime-web/ort.wasm.min.mjs", "text/javascript"),
        ("onnxruntime-web/ort-wasm-simd-threaded.wasm", "application/wasm"),
        ("weights/models.json", "application/json"),
    ):
        answer = server.ask(f"/decoder/{name}")
        assert (answer.status, answer.headers["content-type"].split(";")[0]) == (200, kind)
    assert server.ask("/decoder/../serve.py").status == 404


def test_another_package_than_onnxruntime_web_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["serve", "--onnxruntime-web", str(tmp_path)])
    assert isinstance(result.exception, UsageError)
    assert "is not the npm package onnxruntime-web" in str(result.exception)
