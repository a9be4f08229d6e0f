from __future__ import annotations

import base64
import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from page_server import SHOWN
from PIL import Image
from web_site import RUNTIME

from rdpcodec import Codec, RdpError
from rdpcodec.cli import rdpcodec as command
from rdpcodec.image import Picture, load_picture
from rdpcodec.metrics.distortion import psnr
from rdpcodec.pages import FOLDER, assembled, compare
from rdpcodec.pages.compare import compare_page


def run(*words: object) -> Result:
    return CliRunner().invoke(command, ["compare", *map(str, words)])


def embedded(page: str) -> dict[str, Any]:
    """The data inside of a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def file_of(url: str) -> bytes:
    return base64.b64decode(url.split(",")[1])


def image_of(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file_of(url))).convert("RGB"))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, photograph: Image.Image) -> list[Path]:
    """Two images: one as large as MS-SSIM needs, one with alpha."""
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


def test_our_images_are_in_the_page_without_loss(written: Path, sources: list[Path], codec: Codec) -> None:
    first, second = embedded(written.read_text())["images"]
    original = load_picture(sources[0])
    assert (image_of(first["original"]) == original.pixels).all()
    ours = [version for version in first["versions"] if version["ours"]]
    points = [(quality, realism) for quality in (30, 70) for realism in (0, 1)]
    for version, (quality, realism) in zip(ours, points, strict=True):
        data = codec.compress(sources[0], quality)
        assert (version["quality"], version["bytes"]) == (quality, len(data))
        decoded = np.asarray(codec.decompress(data, realism=realism))
        assert (image_of(version["image"]) == decoded).all()
        assert version["psnr"] == pytest.approx(psnr(original.pixels, decoded), abs=1e-4)
        assert 0.5 < version["ms_ssim"] < 1
    assert second["notes"] == ["The alpha channel is left out."]
    assert all(version["ms_ssim"] is None for version in second["versions"])  # too small for it


def test_the_other_formats_files_are_in_the_page_as_they_are(written: Path) -> None:
    record = embedded(written.read_text())["images"][0]
    own = {version["quality"]: version["bytes"] for version in record["versions"] if version["ours"]}
    peers = [version for version in record["versions"] if not version["ours"]]
    assert [version["label"] for version in peers] == ["JPEG", "WebP", "AVIF"] * 2
    for version in peers:
        file = file_of(version["image"])
        assert len(file) == version["bytes"]
        assert Image.open(io.BytesIO(file)).format == version["label"].upper()
        assert version["bpp"] == pytest.approx(len(file) * 8 / (180 * 170), abs=1e-5)
        if version["quality"] == 70:
            assert len(file) == pytest.approx(own[70], rel=0.1)


def test_realism_is_shown_if_and_only_if_the_weights_have_it(
    small: Image.Image, plain_codec: Codec, codec_with_realism: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "PEER_NAMES", ())
    shown = {}
    for name, model in (("without", plain_codec), ("with", codec_with_realism)):
        page = compare_page(model, {"a": load_picture(small)}, [40], 0, lambda: None)
        shown[name] = embedded(page)["images"][0]["versions"]
    assert [version["label"] for version in shown["without"]] == ["rdpcodec"]
    assert [version["label"] for version in shown["with"]] == [f"rdpcodec, realism {r}" for r in (0, 1)]
    fidelity, realism = shown["with"]
    assert fidelity["bytes"] == realism["bytes"]
    assert fidelity["image"] == shown["without"][0]["image"] != realism["image"]
    assert fidelity["psnr"] > realism["psnr"]


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 5000))
def test_of_a_large_image_the_middle_is_compared(width: int, height: int, limit: int) -> None:
    pixels = np.indices((height, width)).transpose(1, 2, 0).astype(np.uint16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "MAX_PIXELS", limit)
        cut, notes = compare.middle(Picture(pixels))
    cut_width, cut_height = cut.size
    assert cut_width * cut_height <= limit or cut.size == (width, height)
    assert bool(notes) == (cut.size != (width, height))
    top, left = cut.pixels[0, 0]
    bottom, right = cut.pixels[-1, -1]
    assert abs(int(left) - (width - 1 - int(right))) <= 1
    assert abs(int(top) - (height - 1 - int(bottom))) <= 1
    assert (cut_width, cut_height) == (right - left + 1, bottom - top + 1)


def test_nothing_is_overwritten_without_force(sources: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("mine")
    assert "exists already" in str(run(sources[1], "-o", page, "-q", 20).exception)
    assert page.read_text() == "mine"
    assert run(sources[1], "-o", page, "-q", 20, "--force").exit_code == 0
    assert embedded(page.read_text())["qualities"] == [20]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{source}", "-q", "101"), "quality 101"),
        (("{source}", "--effort", "10"), "effort 10"),
        (("{source}", "--model", "none"), "no model 'none'"),
    ],
)
def test_bad_input_is_an_error_and_leaves_no_page(
    words: tuple[str, ...], message: str, sources: list[Path], tmp_path: Path
) -> None:
    result = run(*(word.format(source=sources[1]) for word in words), "-o", tmp_path / "page.html")
    assert isinstance(result.exception, RdpError)
    assert message in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_one_bad_image_does_not_stop_the_rest(sources: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = run("missing.png", sources[1], "-o", page, "-q", 20)
    assert (result.exit_code, "error: missing.png: no such file" in result.stderr) == (1, True)
    assert "error: 1 of 2 failed" in result.stderr
    assert [image["name"] for image in embedded(page.read_text())["images"]] == [sources[1].name]
    alone = run("missing.png", "-o", tmp_path / "none.html", "-q", 20)
    assert (alone.exit_code, alone.stderr) == (1, "error: missing.png: no such file\n")
    assert not (tmp_path / "none.html").exists()


# In a browser.


def flat(colour: tuple[int, int, int], size: tuple[int, int]) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


RED, GREEN, BLUE = (200, 0, 0), (0, 150, 0), (0, 0, 250)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page whose images say by their colour what they are: red original, ours green, JPEG blue."""

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
                "image": flat(colour, size),
            }
            for quality in (20, 40)
            for label, colour, factor in (("rdpcodec", GREEN, 1), ("JPEG", BLUE, quality / 19))
        ]
        shown = {"name": name, "width": size[0], "height": size[1], "notes": []}
        return {**shown, "original": flat(RED, size), "versions": versions}

    data = {
        "metrics": {"psnr": "PSNR", "ms_ssim": "MS-SSIM"},
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
    """The colour on the stage, a share across and down."""
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
    # Only figures of about equal bytes are compared: JPEG has twice ours at quality 40, 5 % more at 20.
    assert view.locator("#versions b").all_inner_texts() == ["31.05 dB", "31.00 dB"]


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
    chosen = "rdpcodec, realism as turned at quality 30 on the right"
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


def test_the_page_needs_nothing_from_elsewhere(written: Path) -> None:
    text = written.read_text()
    assert text.count("</script>") == 2
    assert "default-src 'none'" in text
    assert not re.search(r"""(src|href)=["']?(?!data:|#)\w""", text)
