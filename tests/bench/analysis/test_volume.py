from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import gaussian
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.__main__ import bench
from bench.analysis.curve import Curve
from bench.analysis.measured import Measured, image_weights, load_measured
from bench.analysis.planes import dominates
from bench.analysis.volume import (
    BOX,
    BOXES,
    attained,
    contours,
    measured_volume,
    resampled_volumes,
    volume,
)
from rdpcodec.errors import UsageError


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    return load_measured(gaussian.write(tmp_path))


def test_a_gaussians_surface_is_its_rate_distortion_perception_function() -> None:
    bpp = np.geomspace(0.1, 1, 40)
    realism = np.linspace(0, 1, 60)
    grid = np.broadcast_to(bpp[:, None], (40, 60))
    mse, distance = gaussian.unit(grid, realism[None])
    bounds = np.array([1e-4, 1e-3, 1e-2, 0.05, 0.2])
    reached = attained(grid, distance, mse, bpp, bounds)
    d = 2 ** (-2 * gaussian.SAMPLES * bpp)[:, None]
    excess = np.clip(1 - np.sqrt(1 - d) - np.sqrt(bounds)[None], 0, None)
    assert reached == pytest.approx(d + excess**2, rel=5e-3)


def test_nothing_is_reached_below_the_first_rate_and_more_bits_never_hurt() -> None:
    bpp, bound, value = (np.array(v)[:, None] for v in ([0.2, 0.4, 0.8], [3.0, 2.0, 1.0], [5.0, 3.0, 4.0]))
    reached = attained(bpp, bound, value, np.array([0.1, 0.2, 0.4, 0.8, 1.6]), np.array([0.5, 3.0]))
    assert np.isinf(reached[:, 0]).all()
    assert reached[:, 1].tolist() == [np.inf, 5.0, 3.0, 3.0, 3.0]


def test_interpolation_meets_the_measured_points_and_stays_inside_of_them() -> None:
    bpp = np.array([0.1, 0.3, 0.3, 0.9])  # the third costs no more than the second
    values = np.array([1.0, 2.0, 7.0, 3.0])
    found = Curve(bpp, values).at(np.array([0.05, 0.1, 0.3, 0.5, 0.9, 1.0]))
    assert found[[1, 2, 4]] == pytest.approx([1, 2, 3])
    assert 2 < found[3] < 3
    assert np.isnan(found[[0, 5]]).all()


@pytest.mark.parametrize(
    ("first", "psnr", "lpips", "expected"),
    [
        (BOX.bpp[0], 30.0, 0.08, 1 - 1 / 2 * 1 / 2),  # half of the dB, half of the octaves of LPIPS
        (0.25, 30.0, 0.08, 1 - 1 / 2 * 1 / 2 * 1 / 2),  # from the middle of the rates on
        (BOX.bpp[0], 50.0, 0.001, 0.0),
        (BOX.bpp[0], 15.0, 0.08, 1.0),
        (BOX.bpp[0], 30.0, 0.9, 1.0),
        (1.5, 30.0, 0.08, 1.0),
    ],
)
def test_the_volume_of_a_codec_with_one_distortion_and_one_perception(
    first: float, psnr: float, lpips: float, expected: float
) -> None:
    bpp = np.geomspace(first, 2, 5)[:, None]
    found = volume(bpp, np.full_like(bpp, psnr), np.full_like(bpp, lpips))
    assert found == pytest.approx(expected, abs=0.01)


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.floats(0.5, 1)] * 3), st.integers(0, 2**32 - 1))
def test_a_better_codec_has_a_smaller_volume(factors: tuple[float, ...], seed: int) -> None:
    generator = np.random.default_rng(seed)
    bpp = np.broadcast_to(np.geomspace(0.05, 1.5, 6)[:, None], (6, 4))
    # More bytes improve both: where curves jump up and down, interpolation may invent better settings.
    psnr = np.sort(generator.uniform(22, 38, (6, 4)), axis=0)
    lpips = np.sort(generator.uniform(0.02, 0.5, (6, 4)), axis=0)[::-1]
    before = volume(bpp, psnr, lpips)
    after = volume(bpp * factors[0], psnr - 10 * np.log10(factors[1]), lpips * factors[2])
    assert 0 <= after <= before + 0.002  # the integral's resolution
    assert before <= 1
    if factors[1] < 0.9:
        assert after < before


def test_a_dial_only_adds(tmp_path: Path, measured: Measured) -> None:
    without = load_measured(gaussian.write(tmp_path, name="without", realisms=(0.0,)))
    assert measured_volume(measured) < measured_volume(without) - 0.01


def test_contours_of_equal_perception_are_ordered_by_it(measured: Measured) -> None:
    lines = contours(measured, "lpips_alex")["equal_perception"]
    assert len(lines) == 6
    for (_, strict), (_, loose) in pairwise(lines):
        common = min(len(strict), len(loose))
        assert (strict[-common:, 1] <= loose[-common:, 1] + 1e-9).all()
    assert all((np.diff(line[:, 1]) >= 0).all() for _, line in lines)


def test_contours_of_equal_distortion_are_ordered_by_it(measured: Measured) -> None:
    """The higher the PSNR asked for, the worse the perception; more bits never make it worse."""
    lines = contours(measured, "lpips_alex")["equal_distortion"]
    assert len(lines) == 6
    psnr = measured.mean("psnr")
    for (low, loose), (high, strict) in pairwise(lines):
        assert psnr.min() < low < high < psnr.max()
        common = min(len(strict), len(loose))
        assert common
        assert (strict[-common:, 1] >= loose[-common:, 1] - 1e-9).all()
    assert all((np.diff(line[:, 1]) <= 1e-9).all() for _, line in lines)


def test_only_the_better_in_both_dominates() -> None:
    a, b, c = np.array([1.0, 1.0]), np.array([2.0, 2.0]), np.array([0.5, 3.0])
    assert dominates(a, b)
    assert not dominates(b, a)
    assert not dominates(a, a)
    assert not dominates(a, c)
    assert not dominates(c, a)
    assert not dominates(a, np.array([np.nan, 2.0]))


def test_resampled_means_spread_like_the_standard_error_of_the_mean(tmp_path: Path) -> None:
    measured = load_measured(gaussian.write(tmp_path, images=60))
    mse = measured.values["mse"][:, 0, 0]
    drawn = measured.resampled("mse", image_weights(60, 4000))[:, 0, 0]
    assert drawn.std() == pytest.approx(mse.std() / np.sqrt(60), rel=0.1)
    kernel = measured.resampled("kernel", image_weights(60, 4000))[:, 0, 0]
    assert kernel.std() == pytest.approx(1e-4, rel=0.1)


def compare(*paths: Path) -> tuple[int, str]:
    result = CliRunner().invoke(bench, ["report", "gate", *map(str, paths)])
    return result.exit_code, result.output


def test_compare_tells_better_from_worse_and_neither(tmp_path: Path) -> None:
    old, better, doubtful = tmp_path / "old", tmp_path / "better", tmp_path / "doubtful"
    ends = (0.0, 1.0)
    gaussian.write(old, realisms=ends)
    gaussian.write(better, realisms=ends, mse=0.97)
    # Half of the images are better, half are worse.
    record = gaussian.write(doubtful, realisms=ends)
    made = load_measured(record)
    stored = json.loads(record.read_text())
    for i, image in enumerate(made.images):
        for facts in stored["images"][image].values():
            facts["psnr"] += 1 if i % 2 else -1
    record.write_text(json.dumps(stored))
    code, text = compare(old, better)
    assert code == 0
    assert "better: volume" in text
    assert "better in 100.0% of the resamplings" in text
    code, text = compare(better, old)
    assert code == 1
    assert "worse: volume +" in text
    for same in (doubtful, old / "rdpcodec.json"):
        code, text = compare(old, same)
        assert code == 0
        assert "undecided: volume" in text
    assert "better in 50.0% of the resamplings" in text  # a record against itself


def test_compare_says_how_many_bits_equal_quality_takes(tmp_path: Path) -> None:
    gaussian.write(tmp_path / "old", realisms=(0.0, 0.5, 1.0))
    gaussian.write(tmp_path / "smaller", realisms=(0.0, 1.0), bpp=0.8)
    _, text = compare(tmp_path / "old", tmp_path / "smaller")
    for metric in ("PSNR", "MS-SSIM", "LPIPS-AlexNet"):
        for realism in (0, 1):
            line = f"bits for equal {metric} at realism {realism}: -20.0 % (95 %: -20.0 to -20.0)"
            assert (line in text) == (metric != "LPIPS-AlexNet" or realism == 0), text


@pytest.mark.parametrize(
    "found", [{"value": math.nan, "interval": None}, {"value": math.nan, "interval": [1.0, 2.0]}]
)
def test_compare_leaves_out_what_is_undefined(
    found: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some resamplings may share a quality though the means do not."""
    monkeypatch.setattr("bench.report.gate.measured_bd_rate", lambda *_: found)
    gaussian.write(tmp_path)
    code, text = compare(tmp_path, tmp_path)
    assert (code, "bits for equal" in text) == (0, False)


def test_compare_refuses_other_images_and_broken_files(tmp_path: Path) -> None:
    gaussian.write(tmp_path / "a")
    gaussian.write(tmp_path / "b", images=9)
    code, text = compare(tmp_path / "a", tmp_path / "b")
    assert code
    assert "not measured on the same images" in text
    for name, mse in (("c", 1.0), ("d", 0.9)):
        gaussian.write(tmp_path / name, images=1, mse=mse)
    code, text = compare(tmp_path / "c", tmp_path / "d")
    assert (code, "one image says nothing about others" in text) == (1, True)
    broken = tmp_path / "broken.json"
    broken.write_text((tmp_path / "a" / "rdpcodec.json").read_text().replace('"40/0.5"', '"40/x"', 1))
    code, text = compare(tmp_path / "a", broken)
    assert code
    assert "measure it again" in text
    code, text = compare(tmp_path / "a", tmp_path)
    assert code
    assert "cannot be read" in text


def test_a_divergence_at_or_below_zero_has_a_volume() -> None:
    """Perfect perception, which an estimate may put below zero, leaves only distortion in the volume."""
    bpp = np.array([[BOX.bpp[0]], [1.0]])
    box = BOXES["kernel_held_out"]
    for perception in (0.0, -0.002):
        found = volume(bpp, np.full_like(bpp, 30.0), np.full_like(bpp, perception), box)
        assert found == pytest.approx(0.5, abs=1e-3)


def test_measures_that_changed_their_meaning_are_absent_from_older_records(tmp_path: Path) -> None:
    older = load_measured(gaussian.write(tmp_path, measures=1))
    assert not older.has("kernel")
    assert older.has("lpips_alex")
    assert older.has("frechet")


def test_records_may_hold_more_errors_than_those_of_distances(tmp_path: Path) -> None:
    """Those of older versions have errors of means, too."""
    path = gaussian.write(tmp_path)
    record = json.loads(path.read_text())
    for point in record["points"].values():
        point["standard_errors"]["psnr"] = 0.5
    path.write_text(json.dumps(record))
    assert load_measured(path).errors.keys() == {"kernel", "frechet"}


def test_runs_are_compared_at_the_settings_that_both_have(tmp_path: Path) -> None:
    """Every added setting shrinks the volume, which by itself makes no codec better."""
    whole, part, other = tmp_path / "whole", tmp_path / "part", tmp_path / "other"
    gaussian.write(whole, realisms=(0.0, 0.5, 1.0))
    gaussian.write(part, realisms=(0.0, 1.0))
    for first, second in ((whole, part), (part, whole)):
        code, output = compare(first, second)
        assert (code, "undecided: volume +0.0000" in output) == (0, True), output
        assert "settings that the other lacks are left out" in output
    gaussian.write(other, realisms=(0.25, 0.75))
    code, output = compare(whole, other)
    assert (code, "not measured at the same settings" in output) == (1, True)


def test_a_run_without_a_dial_is_compared_with_the_whole_of_one_with_a_dial(tmp_path: Path) -> None:
    gaussian.write(tmp_path / "without", realisms=(0.0,))
    gaussian.write(tmp_path / "with")
    code, output = compare(tmp_path / "without", tmp_path / "with")
    assert (code, "\nbetter: volume -" in output) == (0, True), output
    assert "left out" not in output


def test_each_measure_has_a_volume_in_its_own_box(measured: Measured) -> None:
    """A divergence of a tenth of LPIPS, in a box ten times lower, has LPIPS's volume and draws."""
    tenth = dataclasses.replace(measured, distances={"kernel_held_out": measured.mean("lpips_alex") / 10})
    weights = image_weights(8, 4)
    assert BOXES["kernel_held_out"].perception == pytest.approx([edge / 10 for edge in BOX.perception])
    assert measured_volume(tenth, "kernel_held_out") == pytest.approx(measured_volume(tenth))
    drawn = resampled_volumes(tenth, weights)
    assert len(set(drawn)) == 4
    assert resampled_volumes(tenth, weights, "kernel_held_out") == pytest.approx(drawn)


def test_a_distance_that_is_read_in_octaves_is_drawn_in_octaves(measured: Measured) -> None:
    """However large its error, no draw is negative."""
    distance = measured.distances["frechet"]
    unsure = dataclasses.replace(measured, errors={"frechet": distance})
    octaves = np.log(unsure.resampled("frechet", image_weights(8, 1000)) / distance)
    assert np.isfinite(octaves).all()
    assert (octaves.mean(), octaves.std()) == pytest.approx((0, 1), abs=0.05)


def test_an_image_without_error_counts_as_100_db(tmp_path: Path) -> None:
    path = gaussian.write(tmp_path)
    record = json.loads(path.read_text())
    record["images"]["03.png"]["80/0"]["psnr"] = math.inf
    path.write_text(json.dumps(record))
    psnr = load_measured(path).values["psnr"]
    assert psnr[3, 4, 0] == 100
    assert psnr.max() == 100


def without(setting: str, record: dict[str, Any]) -> None:
    """Remove the points whose names begin with `setting` from a record."""
    for points in (record["points"], *record["images"].values()):
        for key in [key for key in points if key.startswith(setting)]:
            del points[key]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda record: without("40/0.5", record), "24 points for 5 qualities and 5 realisms"),
        (lambda record: [without(f"{q:g}/", record) for q in gaussian.QUALITIES[1:]], "a single quality"),
        (
            lambda record: [image["60/1"].update(bpp=0.2) for image in record["images"].values()],
            "the rate does not rise with quality",
        ),
    ],
    ids=["hole", "one quality", "falling rate"],
)
def test_what_is_no_surface_is_refused(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    path = gaussian.write(tmp_path)
    record = json.loads(path.read_text())
    spoil(record)
    path.write_text(json.dumps(record))
    with pytest.raises(UsageError, match=reason):
        load_measured(path)


def test_errors_of_distances_do_not_cancel_in_a_volume(tmp_path: Path) -> None:
    measured = load_measured(gaussian.write(tmp_path, images=60))
    weights = image_weights(60, 400)
    together = measured.resampled("kernel", weights, together=True)
    moved = (together - measured.distances["kernel"]) / measured.errors["kernel"]
    np.testing.assert_allclose(moved, np.broadcast_to(moved[:, :1, :1], moved.shape), atol=1e-6)
    assert moved.std() == pytest.approx(1, rel=0.1)
