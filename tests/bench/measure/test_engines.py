"""`bench measure engines`: both engines, on each number of threads."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner
from PIL import Image

from bench.__main__ import bench


def test_both_engines_are_timed_on_a_number_of_threads(small: Image.Image, tmp_path: Path) -> None:
    data, out = tmp_path / "images", tmp_path / "engines.json"
    data.mkdir()
    small.save(data / "small.png")
    words = ["measure", "engines", "--data", str(data), "--threads", "2", "--repeats", "1", "--out", str(out)]
    run = CliRunner().invoke(bench, words)
    assert run.exit_code == 0, run.output
    record = json.loads(out.read_text())
    assert [row["threads"] for row in record["seconds_an_image"]] == [2]
    times = {
        (row["threads"], engine, what): row[engine][what]
        for row in record["seconds_an_image"]
        for engine in ("onnx", "torch")
        for what in ("encode", "decode")
    }
    assert len(set(times.values())) == 4  # each measured by itself
    assert min(times.values()) > 0
