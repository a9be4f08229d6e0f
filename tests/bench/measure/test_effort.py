from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from bench.__main__ import bench
from bench.measure.effort import curves, savings


def test_savings_are_against_effort_zero() -> None:
    measured = [
        curves(
            {
                name: [
                    {
                        "bpp": rate * f,
                        "psnr-rgb": db,
                        "ms-ssim-rgb": similar,
                        "ssimulacra2": 2 * db,
                        "encoding_time": 2 * f,
                    }
                    for rate, db, similar in ((0.1, 28, 0.9), (0.4, 32, 0.95), (1.6, 37, 0.99))
                ]
                for name in "ab"
            }
        )
        for f in (1.0, 0.9, 0.5)
    ]
    rows = savings(measured)
    for key in ("bd_rate", "bd_rate_by_picture", "bd_rate_ms_ssim", "bd_rate_ssimulacra2"):
        assert [row[key] for row in rows] == pytest.approx([0, -10, -50], abs=0.1)
    assert [row["seconds"] for row in rows] == [2.0, 1.8, 1.0]


def test_the_command_measures_a_folder(tmp_path: Path, photograph: Image.Image) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, left in (("a", 200), ("b", 0)):
        photograph.crop((left, 100, left + 192, 292)).save(folder / f"{name}.png")
    out = tmp_path / "effort.json"
    words = ["measure", "effort", "--data", str(folder), "--out", str(out), "--qualities", "10,50,90"]
    result = CliRunner().invoke(bench, [*words, "--top", "2", "--first", "1"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    record = json.loads(out.read_text())
    rows = record["efforts"]
    assert [row["effort"] for row in rows] == [0, 1, 2]
    assert 0 > rows[1]["bd_rate_ssimulacra2"] > rows[2]["bd_rate_ssimulacra2"]
    assert rows[0]["seconds"] < rows[1]["seconds"] < rows[2]["seconds"]
    assert [list(found["pictures"]) for found in record["measured"]] == [["a.png"]] * 3
    assert Image.open(out.with_suffix(".png")).size[0] > 400
