"""The page of `rdpcodec compare`: what it holds, and what it refuses."""

from __future__ import annotations

import base64
import gzip
import io
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compare_page import embedded, run
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rdpcodec import Codec, OperatingPoint, RdpError, UsageError
from rdpcodec.image import ImageData, load_image
from rdpcodec.metrics.distortion import psnr
from rdpcodec.pages import compare
from rdpcodec.pages.compare import compare_page
from rdpcodec.peers import find_peer


def file_of(url: str) -> bytes:
    return base64.b64decode(url.split(",")[1])


def image_of(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file_of(url))).convert("RGB"))


def test_our_images_are_in_the_page_without_loss(written: Path, sources: list[Path], codec: Codec) -> None:
    first, second = embedded(written.read_text())["images"]
    original = load_image(sources[0])
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
        page = compare_page(model, {"a": load_image(small)}, [40], 0, lambda: None, {})
        shown[name] = embedded(page)["images"][0]["versions"]
    assert [version["label"] for version in shown["without"]] == ["rdpcodec"]
    assert [version["label"] for version in shown["with"]] == [f"rdpcodec, realism {r}" for r in (0, 1)]
    fidelity, realism = shown["with"]
    assert fidelity["bytes"] == realism["bytes"]
    assert fidelity["image"] == shown["without"][0]["image"] != realism["image"]
    assert fidelity["psnr"] > realism["psnr"]


def test_qualities_rise_each_once_at_the_effort_that_was_asked_for(
    small: Image.Image, codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, asked, steps = codec.encoder, [], []

    def recorded(loaded: ImageData) -> Callable[[OperatingPoint], bytes]:
        def encode(point: OperatingPoint) -> bytes:
            asked.append((point.quality, point.effort))
            return encoder(loaded)(OperatingPoint(point.quality))  # a search would take seconds

        return encode

    monkeypatch.setattr(codec, "encoder", recorded)
    monkeypatch.setattr(compare, "PEER_NAMES", ())
    images = {name: load_image(small) for name in "ab"}
    page = embedded(compare_page(codec, images, [70, 20, 70], 3, lambda: steps.append(len(asked)), {}))
    assert asked == [(20, 3), (70, 3)] * 2
    assert steps == [1, 2, 3, 4]
    assert page["qualities"] == [20, 70]
    assert page["model"].endswith(", effort 3")
    for image in page["images"]:
        assert [version["quality"] for version in image["versions"]] == [20, 20, 70, 70]


def test_the_page_holds_of_the_decoder_what_decodes_and_our_files_with_it(
    small: Image.Image, codec: Codec, plain_codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "PEER_NAMES", ())
    needed = ("rdpcodec.js", "decoder/worker.js", "onnxruntime-web/ort.wasm.min.mjs", "weights/models.json")
    beside = ("index.html", "demo.js", "demo.css", "onnxruntime-web/ort.jspi.min.mjs")
    files = dict.fromkeys((*needed, *beside), b"some text")
    loaded = load_image(small)
    page, plain = (
        embedded(compare_page(model, {"a": loaded}, [40], 0, lambda: None, files))
        for model in (codec, plain_codec)
    )
    assert page["decoder"].keys() == set(needed)
    assert {gzip.decompress(base64.b64decode(file)) for file in page["decoder"].values()} == {b"some text"}
    file = base64.b64decode(page["images"][0]["versions"][-1]["file"])
    assert file == codec.compress(small, 40)
    assert (plain["decoder"], plain["decoder_bytes"]) == ({}, 0)  # there is no realism to turn
    assert not any("file" in version for version in plain["images"][0]["versions"])


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 5000))
def test_of_a_large_image_the_middle_is_compared(width: int, height: int, limit: int) -> None:
    pixels = np.indices((height, width)).transpose(1, 2, 0).astype(np.uint16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "MAX_PIXELS", limit)
        cut, notes = compare.middle(ImageData(pixels))
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
    assert "already exists" in str(run(sources[1], "-o", page, "-q", 20).exception)
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


def test_the_page_needs_nothing_from_elsewhere(written: Path) -> None:
    text = written.read_text()
    assert text.count("</script>") == 2
    assert "default-src 'none'" in text
    assert not re.search(r"""(src|href)=["']?(?!data:|#)\w""", text)


def test_what_a_page_leaves_out_is_said_on_the_terminal_too(tmp_path: Path) -> None:
    Image.new("LA", (40, 30), (90, 128)).save(source := tmp_path / "a.png")
    found = run(source, "-o", tmp_path / "page.html", "-q", 20, "--quiet")
    assert found.stderr == "warning: a.png: The alpha channel is left out.\n"


def test_an_image_longer_than_webp_holds_is_cut(codec: Codec) -> None:
    long = ImageData(np.zeros((2, 17_000, 3), np.uint8))
    cut, notes = compare.middle(long)
    assert cut.size == (16_383, 2)
    assert "its middle, 16383×2, was cut out" in notes[0]
    with pytest.raises(UsageError, match="WebP cannot hold this image"):
        find_peer("webp").encode(long.to_pillow(), 50)


def test_odd_names_and_an_image_named_twice_are_no_trouble(sources: list[Path], tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"x\xff.png")
    shutil.copy(sources[1], odd)
    page = tmp_path / "page.html"
    result = run(odd, odd, "-o", page, "-q", 20)
    assert (result.exit_code, len(embedded(page.read_text())["images"])) == (0, 1)


def test_images_of_one_name_are_told_apart_by_their_folders(sources: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    paths = [tmp_path / folder / name for folder, name in (("a", "x.png"), ("b", "x.png"), ("b", "y.png"))]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        shutil.copy(sources[1], path)
    assert run(*paths, "-o", page, "-q", 20).exit_code == 0
    names = [image["name"] for image in embedded(page.read_text())["images"]]
    assert names == [str(paths[0]), str(paths[1]), "y.png"]
