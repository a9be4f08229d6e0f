from __future__ import annotations

import json
import shutil
from pathlib import Path

import gaussian
import numpy as np
from click.testing import CliRunner

from bench.__main__ import bench
from bench.analysis.measured import load_measured
from bench.codecs import weights_identity
from bench.report.publish import RESULTS_PAGE
from bench.report.tables import BD_RATES, headline_table, realism_table, result_lines, result_tables
from rdpcodec import Codec
from rdpcodec.weights.manifest import find_model


def test_published_figures_are_those_measured_and_only_with_the_same_weights(
    tmp_path: Path, codec: Codec
) -> None:
    shutil.copytree(find_model("fast").path.parent, tmp_path / "weights")
    manifest = tmp_path / "weights" / "manifest.json"
    identity = weights_identity(codec)
    other_synthesis = identity[:-8] + "0" * 8
    page = tmp_path / RESULTS_PAGE
    page.parent.mkdir()
    page.write_text(
        "before\n\n<!-- results fast -->\nold\n<!-- end -->\n\n<!-- speed fast -->\n<!-- end -->\nafter\n"
    )
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
            "avif": dict.fromkeys(BD_RATES, 8.6),
            "cjxl-e9": dict.fromkeys(BD_RATES, -4.0),
        },
        "peers": [
            {"name": "avif", "results": {"encoding_time": [0.7, 0.9], "decoding_time": [0.004, 0.006]}}
        ],
        "data": "photographs",
        "image_count": 3,
        "machine": {"threads": 2},
    }
    path = tmp_path / "measured.json"
    path.write_text(json.dumps(measured))
    words = ["report", "publish", str(path), "--root", str(tmp_path)]
    for _ in range(2):
        CliRunner().invoke(bench, words, catch_exceptions=False)
    text = page.read_text()
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "old" not in text
    assert text.count("| JPEG | −31.2 % | −30.0 % | −20.0 % | −32.0 % | −21.0 % |") == 1
    assert "| our fast | −3.0 % |" in text
    assert "| cjxl-e9 | −4.0 % |" in text
    assert "--codecs rdpcodec:large,jpeg,rdpcodec,avif,cjxl-e9`" in " ".join(text.split())
    assert "| PSNR, dB | 25.00 | 38.00 |\n| MS-SSIM | 0.9000 | 0.9900 |" in text  # at quality 0 and 100
    lines = json.loads(manifest.read_text())["models"]["fast"]["results"]
    assert "0.070 to 1.50 bits" in lines[1]
    assert "0.10 s to encode, 0.20 s to decode" in lines[2]
    tables = text.partition("<!-- results fast -->")[2].partition("<!-- end -->")[0]
    assert tables in (tmp_path / "weights" / "MODEL_CARD.md").read_text()
    surface = tmp_path / "surface"
    (surface / "realism").mkdir(parents=True)
    gaussian.write(surface, description=f"{identity}, cpu")
    gaussian.write(surface, name="avif", realisms=None, bpp=1.25)
    gaussian.write(surface, name="webp", realisms=None, bpp=2.0)
    along = {"psnr": [30, 29.5, 29], "lpips_alex": [0.2, 0.1, 0.05], "kernel": [0.04, 0.02, 0.01]}
    gains = [{"bpp": 0.3, "avif_share": 0.5, "along": {**along, "sliced_wasserstein": [30, 20, 10]}}]
    (surface / "realism" / "gains.json").write_text(json.dumps(gains))
    other = tmp_path / "other"
    gaussian.write(other, description=f"{identity}, cpu", data="others")
    gaussian.write(other, name="avif", realisms=None, bpp=0.8, data="others")
    both = [*words, "--surface", str(surface), "--surface", str(other)]
    CliRunner().invoke(bench, both, catch_exceptions=False)
    row = "| 0.30 | 30.00 → 29.00 | 0.200 → 0.050 | 0.040 → 0.010 | 30 → 10 | 50 |"
    assert row in page.read_text()
    assert "| our large | 100 | 200 |\n| AVIF | 800 | 5 |" in page.read_text()
    closeness = [block.split("<!-- end -->")[0] for block in page.read_text().split("<!-- closeness ")[1:]]
    assert [block.split()[0] for block in closeness] == ["gaussian", "others"]
    for block, share in zip(closeness, (80, 125), strict=True):  # the images are all alike
        assert f"| MS-SSIM, dB | {share} | {share} to {share} |" in block
    assert "| at equal | bytes, % of AVIF's | 95 % | % of WebP's |" in closeness[0]
    assert "| MS-SSIM, dB | 80 | 80 to 80 | 50 |" in closeness[0]
    readme = (tmp_path / "README.md").read_text()
    assert "| PSNR | 0 | 80 | 50 |" in readme  # from the points of the surface
    assert "| LPIPS-AlexNet, at 0.30 bits per pixel | 1 | 50 | " in readme
    path.write_text(json.dumps({**measured, "description": f"{other_synthesis}, realism 0, cpu"}))
    result = CliRunner().invoke(bench, words)
    assert result.exit_code
    assert "other weights" in result.output
    path.write_text(json.dumps(measured))
    gaussian.write(surface, description=f"{other_synthesis}, cpu")
    result = CliRunner().invoke(bench, [*words, "--surface", str(surface)])
    assert result.exit_code
    assert "other weights" in result.output


def test_figures_that_are_undefined_are_a_dash(tmp_path: Path) -> None:
    """Figures are undefined where codecs share no quality, as on images that one codes without error."""
    rates = {**dict.fromkeys(BD_RATES, -10.0), "psnr": None}
    times = {"encoding_time": [0.1], "decoding_time": [0.1]}
    measured = {
        "bd_rate": {"webp": rates},
        "results": {"setting": [0], "bpp": [0.1], "psnr-rgb": [30.0], "ms-ssim-rgb": [0.9], **times},
        "data": "drawings",
        "image_count": 1,
        "machine": {"threads": 2},
    }
    assert "| WebP | – | −10.0 % |" in result_tables(measured, "command")
    assert result_lines(measured)[0].endswith("against WebP –")
    gains = [{"bpp": 0.3, "avif_share": np.nan, "along": {"psnr": [30.0, 29.0]}}]
    assert realism_table(gains).endswith("| 0.30 | 30.00 → 29.00 | – |")
    gains[0]["along"] = {"psnr": [30.0, np.nan]}
    assert realism_table(gains).endswith("| 0.30 | – | – |")
    ours = load_measured(gaussian.write(tmp_path))
    far = load_measured(gaussian.write(tmp_path / "far", name="avif", realisms=None, mse=1e-6))
    lines = headline_table(ours, far, gains).splitlines()
    assert lines[2] == "| PSNR | 0 | – |"
    assert lines[-1] == "| LPIPS-AlexNet, at 0.30 bits per pixel | 1 | – |"
