from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from bench.__main__ import bench
from bench.measure.drawn.icons import sprite
from bench.measure.effort import curves, savings
from bench.metrics.eye_measures import eye_measures

OTHERS = ("ms_ssim", "ssimulacra2", "butteraugli")


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
                        "butteraugli": 80 / db,
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
    rates = [{key: rate for key, rate in row.items() if key.startswith("bd_rate")} for row in rows]
    assert rates[0].keys() == {"bd_rate", "bd_rate_by_image", *map("bd_rate_{}".format, OTHERS)}
    for row, saved in zip(rates, (0, -10, -50), strict=True):
        assert [*row.values()] == pytest.approx([saved] * 5, abs=0.1)
    assert [row["seconds"] for row in rows] == [2.0, 1.8, 1.0]


def test_the_command_measures_a_folder(tmp_path: Path, photograph: Image.Image) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, left in (("a", 200), ("b", 0)):
        photograph.crop((left, 100, left + 192, 292)).save(folder / f"{name}.png")
    out = tmp_path / "effort.json"
    words = ["measure", "effort", "--data", str(folder), "--out", str(out), "--qualities", "10,90"]
    result = CliRunner().invoke(bench, [*words, "--top", "2", "--first", "1"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    record = json.loads(out.read_text())
    rows = record["efforts"]
    assert [row["effort"] for row in rows] == [0, 1, 2]
    assert 0 > rows[1]["bd_rate_ssimulacra2"] > rows[2]["bd_rate_ssimulacra2"]
    assert ("bd_rate_butteraugli" in rows[1]) == ("butteraugli" in eye_measures()[0])
    assert rows[0]["seconds"] < rows[1]["seconds"] < rows[2]["seconds"]
    assert [list(found["images"]) for found in record["measured"]] == [["a.png"]] * 3
    assert Image.open(out.with_suffix(".png")).size[0] > 400


@pytest.mark.filterwarnings("error")
def test_images_that_are_coded_without_error_have_no_bd_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no Butteraugli
    (tmp_path / "icons").mkdir()
    sprite(0, 16, 4).save(tmp_path / "icons" / "a.png")
    out = tmp_path / "effort.json"
    words = ["--data", str(tmp_path / "icons"), "--out", str(out), "--qualities", "90,100", "--top", "1"]
    result = CliRunner().invoke(bench, ["measure", "effort", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "Butteraugli left out" in result.output
    assert "undefined" in result.output
    record = json.loads(out.read_text())
    for row in record["efforts"]:
        assert {rate for name, rate in row.items() if name.startswith("bd_rate")} == {None}
    points = record["measured"][0]["images"]["a.png"]
    assert [point["ssimulacra2"] for point in points] == [100, 100]
    assert out.with_suffix(".png").exists()
