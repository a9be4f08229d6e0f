from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageCms

from bench.__main__ import bench
from bench.codecs import bench_codec
from bench.folder import load_folder
from bench.measure.rd import plot
from rdpcodec.metrics.distortion import ms_ssim, mse, psnr
from rdpcodec.model.transforms import haar_basis
from rdpcodec.peers import Unavailable


def test_psnr_and_mse_of_a_known_error() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert mse(black, black + 10) == 100
    assert psnr(black, black + 10) == pytest.approx(20 * math.log10(25.5))
    assert psnr(black, black) == math.inf
    with pytest.raises(ValueError, match="shapes differ"):
        mse(black, black[:2])


def test_ms_ssim_is_one_for_equal_images_and_undefined_for_small_ones(photograph: Image.Image) -> None:
    array = np.asarray(photograph)
    assert ms_ssim(array, array) == pytest.approx(1)
    assert ms_ssim(array, array // 2) < 0.95
    assert math.isnan(ms_ssim(array[:100], array[:100]))


def test_a_missing_plugin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_jxl", None)
    with pytest.raises(Unavailable, match="pillow_jxl is not installed"):
        bench_codec("jxl")


def test_the_figure_calls_formats_what_readers_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.drawing import pyplot

    point = {"bpp": [0.1, 0.5], "psnr-rgb": [25.0, 30.0], "ms-ssim-rgb": [0.9, 0.95]}
    shown: list[str] = []
    monkeypatch.setattr(
        pyplot,
        "close",
        lambda figure: shown.extend(t.get_text() for t in figure.axes[0].get_legend().get_texts()),
    )
    codecs = [{"name": name, "results": point} for name in ("rdpcodec", "jxl", "webp")]
    plot(codecs, tmp_path / "figure.png", "two images")
    assert shown == ["rdpcodec", "JPEG XL", "WebP"]


def test_a_run_writes_what_compressai_reads(tmp_path: Path, photograph: Image.Image) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    photograph.crop((0, 0, 192, 176)).save(folder / "a.png")
    out = tmp_path / "results" / "two.json"
    words = ["measure", "rd", "--data", str(folder), "--codecs", "rdpcodec,jpeg", "--out", str(out)]
    result = CliRunner().invoke(bench, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    record = json.loads(out.read_text())
    for codec in (record, json.loads((tmp_path / "results" / "two" / "jpeg.json").read_text())):
        assert {"name", "description", "results"} <= codec.keys()
        results = codec["results"]
        assert {"bpp", "psnr-rgb", "ms-ssim-rgb", "encoding_time", "decoding_time"} <= results.keys()
        assert len({len(values) for values in results.values()}) == 1
        assert results["bpp"] == sorted(results["bpp"])
    assert record["bd_rate"].keys() == {"jpeg"}
    assert len(record["pictures"]["a.png"]) == len(record["results"]["bpp"])
    assert record["picture_count"] == 1
    assert Image.open(tmp_path / "results" / "two.png").width > 400


def test_unknown_codecs_and_empty_folders_are_refused(tmp_path: Path, photograph: Image.Image) -> None:
    empty = CliRunner().invoke(bench, ["measure", "rd", "--data", str(tmp_path)])
    assert "no images" in empty.output
    photograph.save(tmp_path / "a.png")
    unknown = CliRunner().invoke(bench, ["measure", "rd", "--data", str(tmp_path), "--codecs", "gif"])
    assert "unknown codec 'gif'" in unknown.output


@pytest.mark.parametrize("make", [haar_basis])
def test_bases_are_orthonormal_and_in_the_order_of_the_patches(
    make: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]],
) -> None:
    patches = np.random.default_rng(0).random((200, 768))
    _, basis = make(patches, 768)
    assert np.allclose(basis @ basis.T, np.eye(768))
    flat = np.repeat([0.1, 0.5, 0.9], 256)  # one colour: only the three constant rows respond
    assert np.count_nonzero(np.abs(basis @ flat) > 1e-9) <= 3


def test_images_that_are_coded_without_error_do_not_end_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    drawing = Image.new("RGB", (200, 180), "white")
    drawing.paste("navy", (20, 20, 120, 90))
    drawing.save(folder / "drawing.png")
    out = tmp_path / "out.json"
    words = ["measure", "rd", "--data", str(folder), "--codecs", "rdpcodec,webp", "--out", str(out)]
    result = CliRunner().invoke(bench, words)
    assert result.exit_code == 0, result.output
    record = json.loads(out.read_text())
    assert max(record["results"]["psnr-rgb"]) == 100
    assert "undefined" in result.output
    assert None in record["bd_rate"]["webp"].values()


def test_profiles_of_sources_and_hidden_files_do_not_count(tmp_path: Path, photograph: Image.Image) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = photograph.crop((0, 0, 64, 64))
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "described.png", icc_profile=profile)
    (tmp_path / "._plain.png").write_bytes(b"not an image")
    images = load_folder(tmp_path)
    assert list(images) == ["described.png", "plain.png"]
    for name in ("avif", "webp", "jpeg"):
        codec = bench_codec(name)
        sizes = {len(codec.encode(one, codec.settings[0])) for one in images.values()}
        assert len(sizes) == 1, name
