from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from bench.__main__ import bench
from bench.measure.auto_realism import averages


def test_a_row_tells_the_mean_and_both_ends_of_what_was_chosen() -> None:
    rows = [{"realism": 0.25, "bpp": 1.0}, {"realism": 0.75, "bpp": 2.0}]
    assert averages(rows) == {"realism": 0.5, "bpp": 1.5, "least_realism": 0.25, "most_realism": 0.75}


def test_what_was_chosen_lies_between_none_and_all(
    tmp_path: Path, photograph: Image.Image, lpips: Path
) -> None:
    images, out = tmp_path / "pictures", tmp_path / "auto.json"
    images.mkdir()
    for number, left in enumerate((0, 300)):
        photograph.crop((left, 60, left + 96, 140)).save(images / f"{number}.png")
    words = ["measure", "auto-realism", "--data", images, "--out", out, "--qualities", "10,95"]
    words += ["--lpips-weights", lpips]
    run = CliRunner().invoke(bench, [str(word) for word in words], catch_exceptions=False)
    assert run.exit_code == 0, run.output
    low, high = json.loads(out.read_text())["points"]
    assert low["bpp"] < high["bpp"]
    assert low["realism"] > high["realism"]
    for point in (low, high):
        assert point["least_realism"] <= point["realism"] <= point["most_realism"]
        assert point["psnr_at_0"] >= point["psnr_chosen"] >= point["psnr_at_1"]
        assert point["psnr_chosen"] != pytest.approx(point["psnr_at_1"]) or point["realism"] > 0.9
