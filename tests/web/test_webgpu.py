"""The decoder on WebGPU: it gives the pixels of WebAssembly, which takes over where WebGPU fails.

Chromium runs WebGPU without a graphics card, through SwiftShader.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

GOLDEN = Path(__file__).parents[1] / "golden" / "eyes-low-realism-1"
DECODE = """async (file) => {
  const { decodeToPNG } = await import("/rdpcodec.js");
  const png = await decodeToPNG(Uint8Array.from(atob(file), (c) => c.charCodeAt(0)));
  return Array.from(new Uint8Array(await png.arrayBuffer()));
}"""
# The build with WebGPU, in which only WebGPU is broken: SESSION is the session it creates.
BROKEN = """import { InferenceSession as Whole } from "./ort.jspi.min.mjs?whole";
export * from "./ort.jspi.min.mjs?whole";
const broken = async () => { throw new Error("the device is lost"); };
const create = (bytes, options) =>
  options.executionProviders.includes("webgpu") ? SESSION : Whole.create(bytes, options);
export const InferenceSession = { create };"""


@pytest.fixture(scope="module")
def with_gpu(launch: Callable[..., Any]) -> Iterator[Any]:
    """A browser with WebGPU."""
    started = launch("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
    yield started
    started.close()


class Tab(NamedTuple):
    """A page, the names of the files that it has loaded, and what it has said on the console."""

    page: Any
    loaded: list[str]
    said: list[str]


@pytest.fixture
def tab(with_gpu: Any, address: str) -> Iterator[Tab]:
    page = with_gpu.new_page()
    page.set_default_timeout(300_000)  # machines may be busy
    page.goto(f"{address}index.html")
    if not page.evaluate("async () => Boolean(await navigator.gpu?.requestAdapter())"):
        pytest.skip("this browser has no WebGPU")
    found = Tab(page, [], [])
    page.on("response", lambda response: found.loaded.append(Path(response.url).name))
    page.on("console", lambda message: found.said.append(message.text))
    yield found
    page.close()


def assert_decodes(tab: Tab) -> None:
    """Assert that a golden file decodes to its pixels, within a level."""
    file = base64.b64encode(GOLDEN.with_suffix(".rdpc").read_bytes()).decode()
    png = io.BytesIO(bytes(tab.page.evaluate(DECODE, file)))
    with Image.open(png) as found, Image.open(f"{GOLDEN}.png") as golden:
        difference = np.abs(np.asarray(found.convert("RGB"), int) - np.asarray(golden.convert("RGB")))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


@pytest.mark.slow
def test_webgpu_gives_the_same_pixels(tab: Tab) -> None:
    assert_decodes(tab)
    assert "ort-wasm-simd-threaded.jspi.wasm" in tab.loaded
    assert "ort-wasm-simd-threaded.wasm" not in tab.loaded
    assert tab.said == []


@pytest.mark.parametrize(
    ("session", "said"),
    [
        (None, "onnxruntime-web cannot be loaded"),
        pytest.param("broken()", "the device is lost", marks=pytest.mark.slow),
        ("{ run: broken }", "the device is lost"),
    ],
    ids=["not loaded", "no session", "fails when run"],
)
def test_where_webgpu_fails_webassembly_decodes_and_a_warning_says_so(
    tab: Tab, session: str | None, said: str
) -> None:
    answer = {"status": 404} if session is None else {"body": BROKEN.replace("SESSION", session)}
    tab.page.route(
        "**/ort.jspi.min.mjs", lambda route: route.fulfill(**answer, content_type="text/javascript")
    )
    assert_decodes(tab)
    assert "ort-wasm-simd-threaded.wasm" in tab.loaded
    warnings = [text for text in tab.said if text.startswith("rdpcodec: ")]
    assert len(warnings) == 1
    assert said in warnings[0]
