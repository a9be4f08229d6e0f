from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from bench.__main__ import bench
from bench.codecs import bench_codec, weights_identity
from bench.report.publish import BD_RATES
from rdpcodec import Codec
from rdpcodec.metrics.distortion import ms_ssim, mse, psnr
from rdpcodec.model.transforms import haar_basis
from rdpcodec.peers import Unavailable
from rdpcodec.weights.manifest import find_model


def test_psnr_and_mse_of_a_known_error() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert mse(black, black + 10) == 100
    assert psnr(black, black + 10) == pytest.approx(20 * math.log10(25.5))
    assert psnr(black, black) == math.inf
    with pytest.raises(ValueError, match="shapes differ"):
        mse(black, black[:2])


def test_ms_ssim_is_one_for_equal_pictures_and_undefined_for_small_ones(photograph: Image.Image) -> None:
    array = np.asarray(photograph)
    assert ms_ssim(array, array) == pytest.approx(1)
    assert ms_ssim(array, array // 2) < 0.95
    assert math.isnan(ms_ssim(array[:100], array[:100]))


def test_a_missing_plugin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_jxl", None)
    with pytest.raises(Unavailable, match="pillow_jxl is not installed"):
        bench_codec("jxl")


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


def test_published_figures_are_those_measured_and_only_with_the_same_weights(
    tmp_path: Path, codec: Codec
) -> None:
    shutil.copytree(find_model("fast").path.parent, tmp_path / "weights")
    manifest = tmp_path / "weights" / "manifest.json"
    identity = weights_identity(codec)
    other_synthesis = identity[:-8] + "0" * 8
    (tmp_path / "README.md").write_text("before\n\n<!-- results fast -->\nold\n<!-- end -->\n\nafter\n")
    ours = {
        "setting": [0, 50, 100],
        "bpp": [0.07, 0.5, 1.5],
        "psnr-rgb": [25.0, 32.0, 38.0],
        "ms-ssim-rgb": [0.9, 0.97, 0.99],
        "encoding_time": [0.1, 0.1, 0.1],
        "decoding_time": [0.2, 0.2, 0.2],
    }
    measured = {
        "name": "rdpcodec:large",
        "description": f"{identity}, realism 0, cpu",
        "results": ours,
        "bd_rate": {
            "jpeg": dict(zip(BD_RATES, (-31.25, -30.0, -20.0, -32.0, -21.0), strict=True)),
            "rdpcodec": dict.fromkeys(BD_RATES, -3.0),
        },
        "data": "photographs",
        "picture_count": 3,
        "machine": {"threads": 2},
    }
    path = tmp_path / "measured.json"
    path.write_text(json.dumps(measured))
    words = ["report", "publish", str(path), "--root", str(tmp_path)]
    for _ in range(2):
        CliRunner().invoke(bench, words, catch_exceptions=False)
    readme = (tmp_path / "README.md").read_text()
    assert readme.startswith("before")
    assert readme.endswith("after\n")
    assert "old" not in readme
    assert readme.count("| JPEG | −31.2 % | −30.0 % | −20.0 % | −32.0 % | −21.0 % |") == 1
    assert "| our fast | −3.0 % |" in readme
    assert "--codecs rdpcodec:large,jpeg,rdpcodec`" in readme
    assert "0.070 to 1.50 bits" in json.loads(manifest.read_text())["models"]["fast"]["results"][1]
    surface = tmp_path / "surface"
    (surface / "realism").mkdir(parents=True)
    (surface / "rdpcodec.json").write_text(json.dumps({"description": f"{identity}, cpu"}))
    along = {"psnr": [30, 29.5, 29], "lpips_alex": [0.2, 0.1, 0.05], "kernel": [0.04, 0.02, 0.01]}
    gains = [{"bpp": 0.3, "avif_share": 0.5, "along": {**along, "sliced_wasserstein": [30, 20, 10]}}]
    (surface / "realism" / "gains.json").write_text(json.dumps(gains))
    CliRunner().invoke(bench, [*words, "--surface", str(surface)], catch_exceptions=False)
    row = "| 0.30 | 30.00 → 29.00 dB | 0.200 → 0.050 | 0.040 → 0.010 | 30 → 10 | 50 % |"
    assert row in (tmp_path / "README.md").read_text()
    path.write_text(json.dumps({**measured, "description": f"{other_synthesis}, realism 0, cpu"}))
    result = CliRunner().invoke(bench, words)
    assert result.exit_code
    assert "other weights" in result.output
    path.write_text(json.dumps(measured))
    (surface / "rdpcodec.json").write_text(json.dumps({"description": f"{other_synthesis}, cpu"}))
    result = CliRunner().invoke(bench, [*words, "--surface", str(surface)])
    assert result.exit_code
    assert "other weights" in result.output


@pytest.mark.parametrize("make", [haar_basis])
def test_bases_are_orthonormal_and_in_the_order_of_the_patches(
    make: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]],
) -> None:
    patches = np.random.default_rng(0).random((200, 768))
    _, basis = make(patches, 768)
    assert np.allclose(basis @ basis.T, np.eye(768))
    flat = np.repeat([0.1, 0.5, 0.9], 256)  # one colour: only the three constant rows respond
    assert np.count_nonzero(np.abs(basis @ flat) > 1e-9) <= 3
