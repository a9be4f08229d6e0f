from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gaussian
import pytest

from bench.analysis.measured import image_weights, load_measured
from bench.report.figures import specification
from bench.report.published import own_curves
from bench.report.report import bd_rate_table, content
from rdpcodec.errors import UsageError

CURVE = {"name": "mine", "source": "my thesis", "bpp": [0.1, 0.3, 0.9], "psnr": [27.0, 31.0, 36.0]}


def test_a_curve_of_ones_own_stands_in_the_report(tmp_path: Path) -> None:
    path = tmp_path / "curves.json"
    path.write_text(json.dumps({"curves": [{**CURVE, "ssimulacra2": [10, 45.5, 75]}]}))
    made = content(load_measured(gaussian.write(tmp_path / "own")), [], own_curves(path))
    curve = next(codec for codec in made["codecs"] if codec["label"] == "mine")
    assert curve["points"][1] == {"bpp": 0.3, "psnr": 31, "ssimulacra2": 45.5}
    (row,) = made["bd_rates"]["rows"]
    assert row["label"] == "mine"
    assert row["cells"][0]["value"] is not None


def test_a_curve_is_compared_at_the_realism_of_each_column(tmp_path: Path) -> None:
    """The curve is our own at realism 0."""
    ours = load_measured(gaussian.write(tmp_path / "own"))
    psnr = ours.mean("psnr")[:, 0].tolist()
    path = tmp_path / "curves.json"
    path.write_text(json.dumps({"curves": [{**CURVE, "bpp": gaussian.BPP.tolist(), "psnr": psnr}]}))
    table = bd_rate_table(ours, [], own_curves(path), image_weights(8, 4))
    columns = [(column["metric"], column["realism"]) for column in table["columns"]]
    rates = dict(zip(columns, (cell["value"] for cell in table["rows"][0]["cells"]), strict=True))
    assert rates["psnr", 0] == pytest.approx(0, abs=0.01)
    assert rates["psnr", 1] > 5


def test_a_curve_is_drawn_at_the_rates_that_were_measured_here(tmp_path: Path) -> None:
    path = tmp_path / "curves.json"
    path.write_text(json.dumps({"curves": [{**CURVE, "bpp": [0.01, 0.3, 5.0]}]}))
    made = content(load_measured(gaussian.write(tmp_path / "own")), [], own_curves(path))
    (drawn,) = (series for series in made["figures"]["psnr"]["series"] if series["codec"] == "mine")
    assert [(point["x"], point["y"]) for point in drawn["points"]] == [(0.3, 31)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"psnr": [27.0, 31.0]}, "as many as bpp"),
        ({"bpp": [0.1, 0.1, 0.9]}, "must rise"),
        ({"beauty": [1, 2, 3]}, "unknown measure 'beauty'"),
        ({"source": 3}, "must be words"),
        ({"psnr": [27.0, 31.0, float("inf")]}, "must be finite"),
        ({"ms_ssim": [8.0, 12.0, 16.0]}, "must be the index"),
        ({"lpips_alex": [0.3, 0.1, 0.0]}, "must be over 0"),
    ],
)
def test_a_file_of_no_curves_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "curves.json"
    path.write_text(json.dumps({"curves": [{**CURVE, **changes}]}))
    with pytest.raises(UsageError, match=message):
        own_curves(path)


@pytest.mark.parametrize("measures", [{"lpips_alex": [0.3, 0.2, 0.1]}, {"ms_ssim": [0.9, 0.95, 1.0]}])
def test_a_curve_may_lack_psnr_and_end_without_error(measures: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "curves.json"
    path.write_text(json.dumps({"curves": [{k: v for k, v in CURVE.items() if k != "psnr"} | measures]}))
    made = content(load_measured(gaussian.write(tmp_path / "own")), [], own_curves(path))
    assert specification(made)
