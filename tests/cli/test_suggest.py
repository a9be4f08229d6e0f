"""`rdpcodec suggest`: what an image would give at several operating points."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from lpips_tensors import save_networks
from PIL import Image
from programs import run

import rdpcodec
from rdpcodec.cli.progress import Bar
from rdpcodec.metrics.distortion import psnr
from rdpcodec.metrics.full_reference import LABELS, Metrics, full_reference
from rdpcodec.metrics.lpips import WEIGHTS_VARIABLE


def test_suggest_tells_what_compress_would_give(
    tmp_path: Path, photograph: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_reference.cache_clear()
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(save_networks(tmp_path)))
    image, path = photograph.resize((240, 170)), tmp_path / "photo.png"
    image.save(path)
    points = json.loads(run("suggest", path, "--json").stdout)["points"]
    full_reference.cache_clear()
    assert [(point["quality"], point["realism"]) for point in points] == [
        (quality, realism) for quality in (10, 30, 50, 70, 90) for realism in (0, 1)
    ]
    for point in points:
        data = rdpcodec.compress(image, point["quality"])
        assert point["bytes"] == len(data)
        assert point["bpp"] == pytest.approx(len(data) / 240 / 170 * 8, abs=1e-4)
        decoded = np.asarray(rdpcodec.decompress(data, realism=point["realism"]))
        assert point["psnr"] == pytest.approx(psnr(np.asarray(image), decoded), abs=1e-4)
    for name, rises in (("bytes", True), ("ms_ssim", True), ("ssimulacra2", True), ("lpips", False)):
        values = [point[name] for point in points if point["realism"] == 0]
        assert values == sorted(values, reverse=not rises)


def test_suggest_says_how_to_get_the_metrics_that_are_missing(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_reference.cache_clear()
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, "lpips", None)
    table = run("suggest", photo)
    assert table.exit_code == 0
    assert WEIGHTS_VARIABLE in table.stderr
    points = json.loads(run("suggest", "-", "--json", stdin=photo.read_bytes()).stdout)["points"]
    assert {point["lpips"] for point in points} == {None}
    title, head, *rows = (line.replace("PSNR dB", "PSNR").split() for line in table.stdout.splitlines())
    assert title[-1] == "101×67"
    assert "LPIPS" not in head
    for row, point in zip(rows, points, strict=True):
        shown = dict(zip(head, row, strict=True))
        assert shown["MS-SSIM"] == "-"  # the image is too small for it
        assert int(shown["bytes"]) == point["bytes"]
        assert float(shown["PSNR"]) == pytest.approx(point["psnr"], abs=0.01)
        assert float(shown["SSIMULACRA2"]) == pytest.approx(point["ssimulacra2"], abs=0.1)


def test_suggest_takes_qualities_and_says_where_an_image_is_exact(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(path := tmp_path / "red.png")
    result = run("suggest", path, "-q", "35.5", "-q", "90")
    rows = [line.split() for line in result.stdout.splitlines()[2:]]
    assert [(row[0], row[1], row[4]) for row in rows] == [
        (quality, realism, "exact") for quality in ("35.5", "90") for realism in "01"
    ]
    assert "quality 101.0 is outside 0..100" in run("suggest", path, "-q", "101").stderr


def test_a_wrong_folder_of_lpips_is_an_error(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(photo.parent / "nowhere"))
    full_reference.cache_clear()
    result = run("suggest", photo, "--quiet")
    assert result.exit_code == 1
    assert "nowhere: no weights of LPIPS" in result.stderr
    full_reference.cache_clear()


def test_a_narrow_terminal_cuts_no_figure(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = []
    for columns in ("30", "60", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        tables.append(run("suggest", photo).stdout)
    assert tables[0] == tables[1] == tables[2]
    assert "…" not in tables[0]
    assert max(map(len, tables[0].splitlines()[1:])) < 60


def test_a_row_is_shown_as_soon_as_it_is_known(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[float] = []

    def measure(metrics: Metrics, reference: np.ndarray, decoded: np.ndarray) -> dict[str, float | None]:
        if len(measured) == 3:
            raise MemoryError
        measured.append(20)
        return dict.fromkeys(LABELS, 20)

    monkeypatch.setattr(Metrics, "__call__", measure)
    found = run("suggest", photo)
    assert (found.exit_code, found.stdout.count(" 20.00 ")) == (1, 3)
    assert run("suggest", photo, "--json").stdout == ""


def test_suggest_takes_several_images_and_goes_on_after_a_bad_one(photo: Path) -> None:
    bad = photo.with_name("bad.png")
    bad.write_bytes(b"rubbish")
    found = run("suggest", photo, bad, photo, "--json", "--quiet")
    assert (found.exit_code, found.stderr.count("\n")) == (1, 2)
    assert "error: 1 of 3 failed" in found.stderr
    first, second = map(json.loads, found.stdout.splitlines())
    assert first == second
    assert first["file"] == str(photo)


def test_names_are_no_markup_and_hidden_colours_no_error(tmp_path: Path, photograph: Image.Image) -> None:
    image = photograph.resize((96, 64))
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, 96, 32))
    noise = Image.effect_noise((96, 32), 90).convert("RGB")
    path = tmp_path / "IMG [final] [\\[.png"
    for hidden in (noise, Image.new("RGB", (96, 32))):
        image.paste(hidden, (0, 0))
        image.putalpha(alpha)
        image.save(path)
        image = image.convert("RGB")
        shown = run("suggest", path)
        assert shown.stdout.splitlines()[0].endswith("IMG [final] [\\[.png, 96×64")
        best = json.loads(run("suggest", path, "--json").stdout)["points"][-2]
        assert best["psnr"] > 25


def test_a_reader_that_has_seen_enough_ends_suggest_in_silence(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in `rdpcodec suggest photo.png | head -3`."""
    printed: list[str] = []

    def echo(bar: Bar, line: str, err: bool = False) -> None:
        if len(printed) == 2 and not err:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        printed.append(line)

    monkeypatch.setattr(Bar, "echo", echo)
    result = run("suggest", photo, photo)
    assert (result.exit_code, result.output, len(printed)) == (1, "", 2)
