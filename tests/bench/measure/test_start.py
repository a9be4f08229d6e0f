"""What a cold command costs, and how processes share a machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from bench.__main__ import bench
from bench.measure.start import cost
from rdpcodec.errors import UsageError


def test_cold_commands_and_processes_are_measured(tmp_path: Path, small: Image.Image) -> None:
    small.save(tmp_path / "photo.png")
    out = tmp_path / "start.json"
    words = ["--runs", "1", "--processes", "2", "--seconds", "0.1", "--out", str(out)]
    run = CliRunner().invoke(bench, ["measure", "start", str(tmp_path / "photo.png"), *words])
    assert run.exit_code == 0, run.output
    record = json.loads(out.read_text())
    for action in ("compress", "decompress"):
        assert 0 < record["cold"][action]["cpu_seconds"] < 60
        assert 50 < record["cold"][action]["peak_megabytes"] < 1000
        assert record["images_per_second"][action]["2"] > 0


def test_memory_and_time_are_those_of_the_process() -> None:
    idle = cost(sys.executable, "")
    busy = cost(sys.executable, "block = b'1' * 10**8; sum(range(3 * 10**6))")
    assert 95 < busy.megabytes - idle.megabytes < 110
    assert busy.cpu_seconds > idle.cpu_seconds


def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(UsageError, match=r"^exit status 3: $"):
        cost(sys.executable, "raise SystemExit(3)")
    with pytest.raises(UsageError, match=r"^exit status 1: error: no image$"):
        cost(sys.executable, "import sys; sys.exit('error:  no image')")
