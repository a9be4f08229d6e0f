from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from bench.__main__ import bench
from bench.codecs import bench_codec
from bench.measure.cache import Point
from bench.own_codec import OwnCodec
from bench.record import number_text
from rdpcodec.errors import UsageError

# A codec of two lines, which scales an image down by a share and back up.
ENCODE = "from PIL import Image; import sys; i = Image.open(sys.argv[1]); s = float(sys.argv[3]) / 100; "
ENCODE += "i.resize((int(i.width * s), int(i.height * s))).save(sys.argv[2])"
DECODE = "from PIL import Image; import sys; i = Image.open(sys.argv[1]); "
DECODE += "i.resize((260, 256)).save(sys.argv[2])"
RECORD: dict[str, Any] = {
    "name": "scaled",
    "description": "smaller and back",
    "settings": [20, 60],
    "encode": [sys.executable, "-c", ENCODE, "{input}", "{output}", "{setting}"],
    "decode": [sys.executable, "-c", DECODE, "{input}", "{output}"],
    "suffix": ".png",
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "codec.json"
    path.write_text(json.dumps({key: v for key, v in {**RECORD, **changes}.items() if v is not None}))
    return path


def test_a_codec_of_ones_own_is_measured_as_others_are(
    tmp_path: Path, photograph: Image.Image, lpips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # threads that wait for each other take longer than one
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    for number in range(2):
        photograph.crop((number * 300, 0, number * 300 + 260, 256)).save(images / f"{number}.png")
    where = ["--data", str(images), "--out", str(out), "--lpips-weights", str(lpips), "--workers", "1"]
    result = CliRunner().invoke(bench, ["measure", "peers", *where, "--codecs", str(written(tmp_path))])
    assert result.exit_code == 0, result.output
    points = list(json.loads((out / "scaled.json").read_text())["points"].values())
    assert [point["quality"] for point in points] == [20, 60]
    assert points[0]["psnr"] < points[1]["psnr"]
    assert points[0]["ssimulacra2"] < points[1]["ssimulacra2"]
    assert points[0]["energy_1"] < points[1]["energy_1"] < 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": None}, "'name'"),
        ({"name": "../up"}, "'name'"),
        ({"settings": [1]}, "two numbers"),
        ({"settings": ["a", "b"]}, "two numbers"),
        ({"encode": ["tool", "{input}", "{output}"]}, "lacks {setting}"),
        ({"decode": "tool {input} {output}"}, "list of words"),
        ({"name": "avif"}, "taken"),
    ],
)
def test_a_file_that_is_no_codec_is_refused_with_what_is_wrong(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        bench_codec(str(written(tmp_path, **changes)))


def test_a_command_that_fails_is_named_with_what_it_said(tmp_path: Path, small: Image.Image) -> None:
    missing = OwnCodec.load(written(tmp_path, encode=["no-such-tool", "{input}", "{output}", "{setting}"]))
    with pytest.raises(UsageError, match="no-such-tool cannot be run"):
        missing.encode(small, 20)
    code = "import sys; sys.exit('out of paper')"
    failing = OwnCodec.load(written(tmp_path, decode=[sys.executable, "-c", code, "{input}", "{output}"]))
    with pytest.raises(UsageError, match="out of paper"):
        failing.decode(b"")
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            OwnCodec.load(path)


def test_settings_keep_all_of_their_digits() -> None:
    assert [number_text(value) for value in (5.0, 0.25, 1234567.0, 0.1)] == ["5", "0.25", "1234567", "0.1"]
    assert Point(1234567).key != Point(1234568).key
