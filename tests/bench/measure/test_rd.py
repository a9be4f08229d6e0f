from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageCms
from rich.console import Console

from bench.__main__ import bench
from bench.codecs import BenchCodec, bench_codec
from bench.folder import load_folder
from bench.measure import rd
from bench.measure.rd import bd_rates, measure, plot, rises
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


def test_a_codec_that_was_asked_for_is_not_left_out(
    tmp_path: Path, small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_jxl", None)
    small.save(tmp_path / "a.png")
    result = CliRunner().invoke(bench, ["measure", "rd", "--data", str(tmp_path), "--codecs", "jxl"])
    assert (result.exit_code, "Error: jxl: pillow_jxl is not installed" in result.output) == (1, True)


def test_a_point_says_what_a_file_costs_and_how_long_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured by a clock on which encoding takes one second and decoding two."""
    images = {"a": Image.new("RGB", (200, 180), "gray"), "b": Image.new("RGB", (180, 200), "white")}
    now = 0.0
    monkeypatch.setattr(rd, "time", SimpleNamespace(perf_counter=lambda: now))

    def encode(image: Image.Image, setting: float) -> bytes:
        nonlocal now
        now += 1
        return bytes(round(100 * setting) * (1 if image is images["a"] else 3))

    def decode(data: bytes) -> Image.Image:
        nonlocal now
        now += 2
        return Image.new("RGB", (200, 180) if len(data) in (900, 1800) else (180, 200), "gray")

    record = measure(BenchCodec("made", "made up", (9, 18), encode, decode), images, Console(quiet=True))
    assert [point["bytes"] for point in record["images"]["a"]] == [900, 1800]
    assert record["images"]["a"][0]["psnr-rgb"] == 100
    assert record["images"]["b"][0]["psnr-rgb"] == pytest.approx(20 * math.log10(255 / 127), abs=1e-4)
    results = record["results"]
    assert results["bpp"] == pytest.approx(
        [0.4, 0.8]
    )  # the mean of 0.2 and 0.6 bits for each of 36 000 pixels, and twice as much
    assert (results["setting"], results["encoding_time"], results["decoding_time"]) == (
        [9, 18],
        [1, 1],
        [2, 2],
    )


@pytest.mark.parametrize(
    ("points", "steady"),
    [
        ([(100, 30.0), (200, 31.0), (300, 32.0)], True),
        ([(100, 30.0), (100, 31.0)], False),
        ([(100, 30.0), (200, 30.0)], False),
        ([(100, 30.0), (200, 31.0), (150, 32.0)], False),
    ],
)
def test_a_dial_is_steady_where_bytes_and_psnr_rise_with_every_step(
    points: list[tuple[int, float]], steady: bool
) -> None:
    assert rises([{"bytes": size, "psnr-rgb": psnr} for size, psnr in points]) == steady


def test_bd_rates_are_of_ours_against_a_peer_as_a_whole_and_between_common_rates() -> None:
    """Ours needs 20 % fewer bits up to 1 bit per pixel, and ever fewer beyond."""
    bpp = np.geomspace(0.1, 4, 65)

    def codec(rates: np.ndarray) -> dict[str, Any]:
        measured = {"bpp": rates, "psnr-rgb": 30 + 5 * np.log2(bpp), "ms-ssim-rgb": 1 - 0.1 / bpp}
        points = [dict(zip(measured, row, strict=True)) for row in zip(*measured.values(), strict=True)]
        return {"results": measured, "images": {"a": points, "b": points}}

    rates = bd_rates(codec(bpp), codec(0.8 * np.minimum(bpp, np.sqrt(bpp))))
    assert rates["psnr_common_range"] == pytest.approx(-20, abs=0.1)
    assert -40 < rates["psnr"] < -25  # type: ignore[operator]
    assert rates["psnr_by_image"] == pytest.approx(rates["psnr"], abs=0.01)
    assert rates["ms_ssim_by_image"] == pytest.approx(rates["ms_ssim"], abs=0.01)
    assert rates["ms_ssim"] < -25  # type: ignore[operator]


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


def test_small_images_are_measured_beyond_the_rates_of_photographs(
    tmp_path: Path, photograph: Image.Image
) -> None:
    """They have no MS-SSIM, and their smallest files take more bits per pixel than the range compared."""
    (tmp_path / "data").mkdir()
    photograph.crop((0, 0, 12, 9)).save(tmp_path / "data" / "a.png")
    words = ["measure", "rd", "--data", str(tmp_path / "data"), "--codecs", "webp,jpeg"]
    run = CliRunner().invoke(bench, [*words, "--out", str(tmp_path / "small.json")])
    assert run.exit_code == 0, run.output
    assert json.loads((tmp_path / "small.json").read_text())["bd_rate"]["jpeg"]["psnr_common_range"] is None
    assert (tmp_path / "small.png").exists()


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
    assert len(record["images"]["a.png"]) == len(record["results"]["bpp"])
    assert record["image_count"] == 1
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
