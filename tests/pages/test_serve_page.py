"""The page of `rdpcodec serve`, in a browser."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_server import LIMITS, SHOWN, Server, figure, png, settled
from PIL import Image

from rdpcodec import Codec
from rdpcodec.errors import UsageError
from rdpcodec.metrics.distortion import psnr
from rdpcodec.pages.loaded_image import LoadedImage


@pytest.fixture
def page(view: Any, server: Server, piece: Image.Image, tmp_path: Path) -> Any:
    """The page, with an image in it."""
    path = tmp_path / "my photo.png"
    piece.save(path)
    view.goto(server.url)
    view.locator("#chosen").set_input_files(path)
    settled(view, 50)
    return view


def test_dragging_quality_changes_image_bytes_and_figures(
    page: Any, piece: Image.Image, codec: Codec
) -> None:
    before = page.locator(".layer.right img").get_attribute("src")
    assert figure(page, "bytes") == f"{len(codec.compress(piece, 50)):,}"
    slider = page.get_by_role("slider", name="Quality")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 1, y, steps=15)
    page.mouse.up()
    settled(page, 0)
    data = codec.compress(piece, 0)
    assert figure(page, "bytes") == f"{len(data):,}"
    assert figure(page, "bits per pixel") == f"{len(data) * 8 / (piece.width * piece.height):.3f}"
    assert figure(page, "of the upload") == f"{100 * len(data) / len(png(piece)):.1f} %"
    assert figure(page, "PSNR") == f"{psnr(np.asarray(piece), np.asarray(codec.decompress(data))):.2f} dB"
    assert page.locator(".layer.right img").get_attribute("src") != before


def test_the_downloaded_file_decodes_to_the_image_on_the_page(
    page: Any, codec: Codec, piece: Image.Image
) -> None:
    slider = page.get_by_role("slider", name="Quality")
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    settled(page, 55)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "my photo.rdpc"
    decoded = np.asarray(codec.decompress(Path(download.value.path()).read_bytes()))
    shown = page.evaluate(SHOWN)
    on_page = np.array(shown, np.uint8).reshape(piece.height, piece.width, 4)[..., :3]
    assert (on_page == decoded).all()


def test_figures_of_an_image_are_never_shown_under_the_name_of_another(page: Any, small: Image.Image) -> None:
    from playwright.sync_api import expect

    page.get_by_label("Beside").select_option(label="JPEG of as many bytes")
    expect(page.locator(".tag.left")).to_have_text(re.compile(r"JPEG, [\d,]+ bytes"), timeout=60_000)
    settled(page, 50)
    held: list[Any] = []  # requests that have no answer yet
    page.route("**/coded?*", lambda request: held.append(request))
    own = figure(page, "bytes")
    page.get_by_role("slider", name="Quality").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#figures .old")).not_to_have_count(0)
    assert figure(page, "bytes") == own  # of an earlier setting, but of this image
    page.locator("#chosen").set_input_files(
        {"name": "other.png", "mimeType": "image/png", "buffer": png(small)}
    )
    expect(page.locator("#about")).to_contain_text("other.png")
    assert set(page.locator("#figures dd").all_inner_texts()) == {"–"}
    assert page.locator(".tag.left").inner_text() == "JPEG …"
    page.unroute("**/coded?*")  # also lets go of what was held
    settled(page, 51)
    assert figure(page, "bytes") != own
    assert "–" not in page.locator("#figures dd").all_inner_texts()[:4]


def test_without_the_dial_realism_is_disabled_and_says_why(page: Any) -> None:
    slider = page.get_by_role("slider", name="Realism")
    assert slider.is_disabled()
    described = page.locator(f"#{slider.get_attribute('aria-describedby')}").inner_text()
    assert described == "The weights that are installed have no realism setting."


def test_with_the_dial_realism_changes_the_image_and_no_byte(
    view: Any, codec_with_realism: Codec, small: Image.Image, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    small.save(tmp_path / "small.png")
    running = Server(codec_with_realism)
    try:
        view.goto(running.url)
        view.locator("#chosen").set_input_files(tmp_path / "small.png")
        expect(view.locator(".tag.right")).to_have_text("Quality 50, realism 0.00", timeout=60_000)
        size = figure(view, "bytes")
        view.get_by_role("slider", name="Realism").focus()
        view.keyboard.press("End")
        expect(view.locator(".tag.right")).to_have_text("Quality 50, realism 1.00", timeout=60_000)
        assert figure(view, "bytes") == size
        assert "realism=1" in view.get_by_role("link", name="Download").get_attribute("href")
        view.goto("about:blank")  # or the server would wait for the page's connections
    finally:
        running.stop()


# Bring a file to the page.
DROP = 'new DragEvent("drop", { dataTransfer, cancelable: true })'
PASTE = 'new ClipboardEvent("paste", { clipboardData: dataTransfer })'
BRING = """([data, name]) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([new Uint8Array(data)], name));
  dispatchEvent(EVENT);
}"""


def test_a_pasted_image_is_taken_and_what_is_lost_of_it_is_said(
    view: Any, server: Server, small: Image.Image
) -> None:
    frames = io.BytesIO()
    small.save(frames, "WEBP", save_all=True, append_images=[small.rotate(180)], duration=100)
    view.goto(server.url)
    view.evaluate(BRING.replace("EVENT", PASTE), [list(frames.getvalue()), "moving.webp"])
    settled(view, 50)
    assert "moving.webp, 101 × 67 pixels" in view.locator("#about").inner_text()
    assert "only the first of several frames is coded" in view.locator("#notes").inner_text()


def test_a_dropped_image_is_taken_and_bad_ones_are_refused_with_a_reason(
    view: Any, server: Server, small: Image.Image
) -> None:
    view.goto(server.url)
    view.evaluate(BRING.replace("EVENT", DROP), [list(png(small)), "a.png"])
    settled(view, 50)
    assert "a.png, 101 × 67 pixels" in view.locator("#about").inner_text()
    large = {"name": "large.png", "mimeType": "image/png", "buffer": bytes(LIMITS.size + 1)}
    view.locator("#chosen").set_input_files(large)
    error = view.get_by_role("alert")
    error.get_by_text("this server takes up to 0.3 MB").wait_for()
    assert "a.png" in view.locator("#about").inner_text()  # the image before stays


def test_what_is_turned_and_taken_is_in_view_beside_a_tall_image(page: Any) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    page.evaluate("scrollTo(0, 0)")
    for role, name in (("slider", "Quality"), ("slider", "Realism"), ("link", "Download")):
        box = page.get_by_role(role, name=name).bounding_box()
        assert box["y"] > 0
        assert box["y"] + box["height"] <= 800


def test_another_format_can_stand_beside_ours(page: Any) -> None:
    from playwright.sync_api import expect

    page.get_by_label("Beside").select_option(label="AVIF of as many bytes")
    expect(page.locator(".tag.left")).to_have_text(re.compile(r"AVIF, [\d,]+ bytes"), timeout=60_000)
    before = page.locator(".tag.left").inner_text()
    page.get_by_role("slider", name="Quality").focus()
    page.keyboard.press("End")
    settled(page, 100)
    expect(page.locator(".tag.left")).not_to_have_text(before, timeout=60_000)
    page.get_by_label("Beside").select_option(label="the original")
    expect(page.locator(".tag.left")).to_have_text("Original")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UsageError("WebP cannot hold this image: its limit is 16383 pixels"), "cannot hold this image"),
        (MemoryError(), "not enough memory for an image of this size"),
    ],
)
def test_a_format_that_fails_says_so_and_hides_no_figures(
    browser: Any,
    server: Server,
    small: Image.Image,
    codec: Codec,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    said: str,
) -> None:
    from playwright.sync_api import expect

    def fail(*_: object) -> bytes:
        raise error

    monkeypatch.setattr(LoadedImage, "peer_file", fail)
    page = browser.new_page()  # not a strict tab: Chromium reports answers that are errors
    page.goto(server.url)
    page.locator("#chosen").set_input_files(
        {"name": "small.png", "mimeType": "image/png", "buffer": png(small)}
    )
    settled(page, 50)
    page.get_by_label("Beside").select_option(label="WebP of as many bytes")
    expect(page.locator(".tag.left")).to_have_text(f"WebP: {said}", timeout=60_000)
    settled(page, 50)
    decoded = np.asarray(codec.decompress(codec.compress(small, 50)))
    assert figure(page, "PSNR") == f"{psnr(np.asarray(small), decoded):.2f} dB"
    expect(page.locator("#error")).to_be_hidden()
    page.close()


def test_the_page_fits_its_window(page: Any) -> None:
    for width, scheme in ((400, "dark"), (1280, "light")):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", paper))) > 600) == (scheme == "light")
    assert "NaN" not in page.locator("main").inner_text()
