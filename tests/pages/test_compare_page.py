"""The page of `rdpcodec compare`, in a browser."""

from __future__ import annotations

import base64
import gzip
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare_page import run
from page_server import SHOWN
from PIL import Image
from web_site import RUNTIME

from rdpcodec import Codec
from rdpcodec.pages import FOLDER, assembled


def flat(colour: tuple[int, int, int], size: tuple[int, int]) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


RED, GREEN, BLUE = (200, 0, 0), (0, 150, 0), (0, 0, 250)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page whose images have telling colours: the original is red, ours is green, JPEG is blue."""

    def record(name: str, size: tuple[int, int]) -> dict[str, Any]:
        versions = [
            {
                "label": label,
                "ours": label == "rdpcodec",
                "quality": quality,
                "bytes": round(20 * quality * factor),
                "bpp": 0.01 * quality,
                "psnr": 30 + factor,
                "ms_ssim": None,
                "lpips": 0.1 * factor,
                "image": flat(colour, size),
            }
            for quality in (20, 40)
            for label, colour, factor in (("rdpcodec", GREEN, 1), ("JPEG", BLUE, quality / 19))
        ]
        shown = {"name": name, "width": size[0], "height": size[1], "notes": []}
        return {**shown, "original": flat(RED, size), "versions": versions}

    data = {
        "metrics": {"psnr": "PSNR", "ms_ssim": "MS-SSIM", "lpips": "LPIPS"},
        "realism": False,
        "qualities": [20, 40],
        "model": "fast",
        "peers": ["JPEG: Pillow"],
        "notes": [],
        "image_bytes": 1,
        "images": [record("a</script><b>.png", (300, 200)), record("b.png", (64, 128))],
    }
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(assembled(FOLDER / "compare", data, "base", "viewer"), encoding="utf-8")
    return path.as_uri()


def seen(view: Any, across: float, down: float = 0.3) -> tuple[int, ...]:
    """The colour on the stage at the given shares of its width and height."""
    view.mouse.move(1, 1)
    image = Image.open(io.BytesIO(view.locator(".stage").screenshot())).convert("RGB")
    pixel = image.getpixel((int(across * image.width), int(down * image.height)))
    assert isinstance(pixel, tuple)
    return pixel


def started(view: Any, url: str) -> Any:
    view.goto(url)
    view.locator(".layer.right img").wait_for()
    return view


def test_the_wipe_follows_the_mouse_and_the_keys(view: Any, colours: str) -> None:
    started(view, colours)
    assert seen(view, 0.4) == RED
    assert seen(view, 0.6) == GREEN
    box = view.locator(".stage").bounding_box()
    view.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    view.mouse.down()
    view.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 60, steps=3)
    view.mouse.up()
    assert seen(view, 0.6) == RED
    assert seen(view, 0.75) == GREEN
    wipe = view.get_by_role("slider", name="Wipe")
    assert wipe.get_attribute("aria-valuetext") == "70 % Original, 30 % rdpcodec"
    wipe.focus()
    view.keyboard.press("Home")
    assert seen(view, 0.3) == GREEN
    view.keyboard.press("End")
    assert seen(view, 0.7) == RED
    for _ in range(4):
        view.keyboard.press("PageDown")
    view.keyboard.press("ArrowLeft")
    assert wipe.get_attribute("aria-valuenow") == "59"


def test_any_two_versions_can_be_chosen_with_the_keyboard(view: Any, colours: str) -> None:
    started(view, colours)
    view.get_by_role("radio", name="JPEG at quality 40 on the left").focus()
    view.keyboard.press("Space")
    view.get_by_role("radio", name="JPEG at quality 20 on the right").check()
    captions = view.locator("#captions figure")
    view.locator("#captions", has_text="JPEG at quality 20").wait_for()
    assert seen(view, 0.4) == seen(view, 0.6) == BLUE
    assert re.search(r"JPEG at quality 40\s+bytes\s+1,684", captions.nth(0).inner_text())
    assert "32.11 dB" in captions.nth(0).inner_text()
    view.get_by_role("button", name="Quality 20").click()
    view.locator("#captions figure:first-child", has_text="quality 20").wait_for()
    assert view.get_by_role("radio", name="JPEG at quality 20 on the left").is_checked()
    view.get_by_role("radio", name="rdpcodec at quality 20 on the left").check()
    view.get_by_role("button", name="Swap the two sides").click()
    view.locator("#captions figure:last-child", has_text="rdpcodec").wait_for()
    assert (seen(view, 0.4), seen(view, 0.6)) == (BLUE, GREEN)
    # Only versions of about equal size are compared: JPEG has twice our bytes at quality 40, 5 % more at 20.
    best = ["0.1000", "31.05 dB", "31.00 dB", "0.1000"]
    assert view.locator("#versions b").all_inner_texts() == best
    assert view.locator("#versions small").all_inner_texts() == [" (105 %)", " (211 %)"]


def places(view: Any) -> list[dict[str, float]]:
    return view.evaluate(
        "[...document.querySelectorAll('.layer img')].map(image => image.getBoundingClientRect().toJSON())"
    )


def test_both_images_zoom_and_move_together(view: Any, colours: str) -> None:
    started(view, colours)
    stage = view.locator(".stage")
    stage.focus()
    view.keyboard.press("1")
    assert view.locator(".tools output").inner_text() == "100 %"
    assert [place["width"] for place in places(view)] == [300, 300]
    view.keyboard.press("+")
    view.keyboard.press("+")
    view.keyboard.press("+")
    assert view.locator(".tools output").inner_text() == "800 %"
    rendering = "getComputedStyle(document.querySelector('.layer img')).imageRendering"
    assert view.evaluate(rendering) == "pixelated"
    before = places(view)
    box = stage.bounding_box()
    view.mouse.move(box["x"] + 100, box["y"] + 100)
    view.mouse.down()
    view.mouse.move(box["x"] + 160, box["y"] + 70, steps=3)
    view.mouse.up()
    view.keyboard.press("ArrowRight")
    after = places(view)
    assert before[0] == before[1]
    assert after[0] == after[1]
    assert (after[0]["x"] - before[0]["x"], after[0]["y"] - before[0]["y"]) == (0, -30)
    view.keyboard.press("0")
    (fitted, _) = places(view)
    assert fitted["height"] <= box["height"] + 0.5
    # What is under the mouse stays there.
    x, y = box["x"] + 0.4 * box["width"], box["y"] + 0.4 * box["height"]
    view.mouse.move(x, y)
    view.keyboard.down("Control")
    view.mouse.wheel(0, -400)
    view.keyboard.up("Control")
    view.wait_for_timeout(100)
    (zoomed, _) = places(view)
    assert zoomed["width"] > 2 * fitted["width"]
    assert (x - zoomed["x"]) / zoomed["width"] == pytest.approx((x - fitted["x"]) / fitted["width"], abs=0.01)


def test_another_image_is_shown_at_the_same_versions(view: Any, colours: str) -> None:
    started(view, colours)
    view.get_by_role("button", name="b.png").click()
    view.get_by_role("heading", name="b.png").wait_for()
    view.locator("#captions", has_text="64 × 128").wait_for()
    place = places(view)[0]
    assert place["height"] == pytest.approx(2 * place["width"])
    assert view.get_by_role("radio", name="rdpcodec at quality 20 on the right").is_checked()


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1280, "light")])
def test_the_written_page_fits_its_window_and_can_be_read(
    view: Any, written: Path, width: int, scheme: str
) -> None:
    view.emulate_media(color_scheme=scheme)
    view.set_viewport_size({"width": width, "height": 900})
    started(view, written.as_uri())
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    assert "NaN" not in view.locator("main").inner_text()
    colours = "e => [getComputedStyle(e).color, getComputedStyle(document.body).backgroundColor]"
    ink, paper = (luminance(c) for c in view.eval_on_selector("#notes", colours))
    assert (paper > 0.5) == (scheme == "light")
    assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 4.5  # WCAG 2, AA
    stage = Image.open(io.BytesIO(view.locator(".stage").screenshot()))
    assert len(stage.getcolors(1 << 24) or []) > 1000  # a photograph


@pytest.fixture(scope="module")
def turnable(sources: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page that holds the decoder for browsers."""
    if not RUNTIME.is_dir():
        pytest.skip("onnxruntime-web is not installed, see tests/web/package.json")
    path = tmp_path_factory.mktemp("turnable") / "page.html"
    result = run(sources[1], "-o", path, "-q", 30, "--onnxruntime-web", RUNTIME)
    assert result.exit_code == 0, result.output
    return path


def test_the_page_turns_realism_from_a_disk_and_loads_nothing(
    view: Any, turnable: Path, sources: list[Path], codec: Codec
) -> None:
    from playwright.sync_api import expect

    started(view, turnable.as_uri())
    view.get_by_role("slider", name="Realism").fill("0.7")
    expect(view.locator(".tag.right")).to_have_text("rdpcodec, realism 0.70", timeout=300_000)
    spoon = Image.open(sources[1]).convert("RGB")
    expected = np.asarray(codec.decompress(codec.compress(spoon, 30), realism=0.7), int)
    found = np.array(view.evaluate(SHOWN), int).reshape(*expected.shape[:2], 4)
    assert np.abs(found[..., :3] - expected).max() <= 1
    chosen = "rdpcodec, realism as set at quality 30 on the right"
    assert view.get_by_role("radio", name=chosen).is_checked()
    assert "decoder that turns realism" in view.locator("#notes").inner_text()


def test_where_the_decoder_does_not_run_the_page_says_so_and_shows_what_it_holds(
    view: Any, turnable: Path, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    page = turnable.read_text()
    module = base64.b64encode(gzip.compress(b"throw new Error('no modules here')")).decode()
    broken = tmp_path / "broken.html"
    name = '"onnxruntime-web/ort.wasm.min.mjs"'
    broken.write_text(re.sub(f'{name}:"[^"]*"', f'{name}:"{module}"', page))
    started(view, broken.as_uri())
    dial = view.get_by_role("slider", name="Realism")
    dial.fill("0.7")
    said = "cannot turn realism: onnxruntime-web cannot be loaded"
    expect(view.locator("#dial-note")).to_contain_text(said, timeout=300_000)
    expect(view.locator(".tag.right")).to_have_text("rdpcodec, realism 0")
    assert dial.is_disabled()


def luminance(colour: str) -> float:
    """Relative luminance of a CSS colour, as WCAG 2 defines it."""
    channels = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
