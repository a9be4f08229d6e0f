from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from bench.__main__ import bench
from bench.codecs import BenchCodec, bench_codec
from bench.report.realism_gains import PERCEPTION_METRICS, curve_of, gains, value_at
from bench.report.sheet import busiest, sheet_row, stacked
from rdpcodec import Codec
from rdpcodec.peers import largest_within

BPPS = (0.05, 0.1, 0.2, 0.4, 0.8)


def ours(cost: float = 0.8, factor: float = 3.0) -> list[dict[str, float]]:
    """A made-up surface with known answers: perception falls as 1 / bpp, and with realism to 1 / factor."""
    return [
        {
            "bpp": bpp,
            "realism": beta,
            "psnr": 30 + 5 * np.log2(bpp / 0.1) - cost * beta,
            **dict.fromkeys(PERCEPTION_METRICS, 0.02 / bpp / (1 + (factor - 1) * beta)),
        }
        for bpp in BPPS
        for beta in (0.0, 0.5, 1.0)
    ]


def test_gains_are_read_off_at_the_asked_rate() -> None:
    avif = [{"bpp": bpp, "lpips_alex": 0.03 / bpp} for bpp in (0.02, *BPPS, 2.0)]
    found = gains(ours(), avif, 0.2)
    assert found["psnr_cost"] == pytest.approx(0.8)
    assert found["lpips_alex_factor"] == pytest.approx(3)
    # AVIF needs 4.5 times the rate for an LPIPS of 0.02 / 0.2 / 3.
    assert found["avif_share"] == pytest.approx(1 / 4.5)
    assert all(found["monotonic"].values())


def test_distances_are_interpolated_in_octaves_unless_they_may_be_negative() -> None:
    """Over the logarithm of the rate, 0.02 / bpp is straight in octaves and bent as it is."""
    along = gains(ours(), [{"bpp": bpp, "lpips_alex": 0.03 / bpp} for bpp in BPPS], 0.3)["along"]
    octaves = {"lpips_alex", "lpips_squeeze", "frechet", "sliced_wasserstein"}
    for metric in PERCEPTION_METRICS:
        exact = along[metric][0] == pytest.approx(0.02 / 0.3, rel=1e-6)
        assert exact == (metric in octaves), metric
    below_zero = [{**point, "kernel_held_out": -0.001} for point in ours()]
    assert value_at(below_zero, "kernel_held_out", 0.3) == pytest.approx(-0.001)


def test_a_dial_that_turns_back_is_noticed() -> None:
    points = ours()
    for point in points:
        if point["realism"] == 0.5:
            point["kernel"] *= 0.1
    found = gains(points, [{"bpp": bpp, "lpips_alex": 1 / bpp} for bpp in BPPS], 0.3)
    assert [metric for metric, falls in found["monotonic"].items() if not falls] == ["kernel"]


def test_avifs_lpips_may_stay_or_vanish() -> None:
    """Points that improve nothing do not count, nor do files without errors."""
    lpips = {0.05: 0.6, 0.1: 0.3, 0.2: 0.3, 0.4: 0.05, 0.8: 0.0}
    avif = [{"bpp": bpp, "lpips_alex": value} for bpp, value in lpips.items()]
    assert gains(ours(), avif, 0.1)["avif_share"] == pytest.approx(0.31, abs=0.05)
    flat = [{**point, "lpips_alex": 0.3} for point in avif]
    assert np.isnan(gains(ours(), flat, 0.1)["avif_share"])


def test_a_measure_that_small_images_lack_is_left_out() -> None:
    points = [{**point, "niqe": float("nan")} for point in ours()]
    found = gains(points, [{"bpp": bpp, "lpips_alex": 0.03 / bpp} for bpp in BPPS], 0.2)
    assert "niqe" not in found["along"].keys() | found["monotonic"].keys()
    assert "brisque" in found["along"]


def test_nothing_is_extrapolated() -> None:
    points = [point for point in ours() if point["realism"] == 0]
    assert np.isnan(curve_of(points, "psnr").at(0.01))
    assert np.isnan(curve_of(points, "psnr").rate_at(100))
    assert curve_of(points, "psnr").at(0.1) == pytest.approx(30)
    assert curve_of(points[::-1], "psnr").rate_at(30) == pytest.approx(0.1)


def test_another_codec_gets_as_many_bytes_and_no_more(photograph: Image.Image) -> None:
    jpeg = bench_codec("jpeg")
    limits = (10_000, 20_000, 40_000)
    sizes = [len(largest_within(lambda q: jpeg.encode(photograph, q), limit, {})) for limit in limits]
    assert sizes == sorted(sizes)
    for size, limit in zip(sizes, limits, strict=True):
        assert 0.93 * limit < size <= limit


def test_the_busiest_crop_is_where_the_detail_is() -> None:
    pixels = np.full((600, 700, 3), 128, np.uint8)
    pixels[300:, 400:] = np.random.default_rng(0).integers(0, 256, (300, 300, 3))
    left, top, right, bottom = busiest(Image.fromarray(pixels))
    assert (right - left, bottom - top) == (256, 256)
    assert left >= 350
    assert top >= 250


def test_a_sheet_shows_three_realisms_avif_and_the_original_from_left_to_right() -> None:
    size = (60, 40)

    def gray(level: float) -> Image.Image:
        return Image.new("RGB", size, (round(level),) * 3)

    class Ours:
        def compress(self, image: Image.Image, quality: float) -> bytes:
            return bytes(round(quality))

        def decompress(self, data: bytes, *, realism: float) -> Image.Image:
            return gray(100 * realism)

    avif = BenchCodec(
        "avif", "", (0,), lambda _, setting: bytes(2 * round(setting)), lambda data: gray(2 * len(data))
    )
    row = sheet_row(gray(255), 70.0, cast(Codec, Ours()), avif)
    shown = [row.getpixel((30 + 66 * column, row.height - 20)) for column in range(5)]
    # AVIF gets no more than our 70 bytes.
    assert shown == [(level,) * 3 for level in (0, 50, 100, 140, 255)]


def test_rows_stand_one_below_the_other() -> None:
    page = stacked([Image.new("RGB", (30, 10), "red"), Image.new("RGB", (40, 20), "blue")])
    assert page.size == (40, 30)
    assert [page.getpixel(at) for at in ((0, 9), (39, 9), (39, 10))] == [
        (255, 0, 0),
        (255, 255, 255),
        (0, 0, 255),
    ]


def test_the_command_needs_a_dial(tmp_path: Path) -> None:
    plain = [point for point in ours() if point["realism"] == 0]
    for name in ("rdpcodec", "avif"):
        record = {"points": {str(i): point for i, point in enumerate(plain)}}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    result = CliRunner().invoke(bench, ["report", "realism-gains", str(tmp_path)])
    assert result.exit_code == 1
    assert "no realism setting" in result.output
    record = {"points": {str(i): point for i, point in enumerate(ours())}}
    (tmp_path / "rdpcodec.json").write_text(json.dumps(record))
    assert CliRunner().invoke(bench, ["report", "realism-gains", str(tmp_path)]).exit_code == 0
    gained = json.loads((tmp_path / "realism" / "gains.json").read_text())
    assert [row["bpp"] for row in gained] == [0.15, 0.3, 0.45]
