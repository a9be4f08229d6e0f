from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.analysis.bd_rate import bd_rate, bd_rate_by_image, bd_rate_if_shared, mean_curve, quality_curve
from bench.analysis.curve import Curve


def curve(factor: float, points: int = 6) -> Curve:
    """A codec whose PSNR is 30 + 5·log2(bpp / factor)."""
    bpp = np.geomspace(0.1, 2, points)
    return Curve(bpp, 30 + 5 * np.log2(bpp / factor))


@pytest.mark.parametrize("bpp_range", [None, (0.15, 1.0)])
@pytest.mark.parametrize(("factor", "expected"), [(1.0, 0.0), (0.5, -50.0), (2.0, 100.0)])
def test_bd_rate_of_curves_a_factor_apart_is_that_factor(
    factor: float, expected: float, bpp_range: tuple[float, float] | None
) -> None:
    found = bd_rate_if_shared(curve(1.0), curve(factor, 9), bpp_range)
    assert found == pytest.approx(expected, abs=0.1)


def test_bits_that_move_between_images_leave_the_mean_of_their_own_bd_rates_alone() -> None:
    """Both images cost 5 % more, and the easy one is coded better at the price of the hard one."""

    keys = ("bpp", "psnr-rgb")

    def codec(factor: float, easy: float, hard: float) -> dict[str, Any]:
        images = {}
        for name, scale, shift in (("easy", 0.2, easy), ("hard", 3.0, hard)):
            quality = np.linspace(28, 40, 9)
            bpp = factor * scale * 2 ** ((quality + shift - 34) / 5)
            rows = zip(bpp, quality + shift, strict=True)
            images[name] = [{"bpp": b, "psnr-rgb": q} for b, q in rows]
            images[name].insert(4, {"bpp": bpp[3] + 0.001, "psnr-rgb": quality[3] + shift - 0.1})
        results = {key: np.mean([[p[key] for p in images[n]] for n in images], axis=0) for key in keys}
        return {"images": images, "results": {key: np.delete(row, 4) for key, row in results.items()}}

    anchor, test = codec(1.0, 0.0, 0.0), codec(1.05, 1.5, -1.5)
    assert bd_rate_by_image(anchor, test, "psnr-rgb") == pytest.approx(5, abs=0.01)
    assert bd_rate(mean_curve(anchor, "psnr-rgb"), mean_curve(test, "psnr-rgb")) < -5


def test_curves_without_a_common_quality_have_no_bd_rate() -> None:
    low, high = (Curve(np.array([0.1, 0.2, 0.4]), np.array([a, a + 1, a + 2])) for a in (20.0, 30.0))
    assert np.isnan(bd_rate_if_shared(low, high))
    assert np.isnan(bd_rate_if_shared(low, Curve(low.bpp[:1], low.values[:1])))


@pytest.mark.parametrize("first_bpp", [0.01, 3.0])
def test_curves_that_share_no_quality_in_a_range_of_rates_have_no_bd_rate_there(first_bpp: float) -> None:
    """Small images take more bits per pixel than the range has, flat ones fewer."""
    anchor = Curve(first_bpp * np.array([1.0, 2.0, 4.0]), np.array([30.0, 33.0, 36.0]))
    assert bd_rate_if_shared(anchor, anchor) == pytest.approx(0)
    assert np.isnan(bd_rate_if_shared(anchor, anchor, (0.15, 1.0)))
    # The test codec ends below the qualities that the anchor has in the range.
    anchor = Curve(np.array([0.1, 0.2, 0.5]), np.array([30.0, 33.0, 36.0]))
    worse = Curve(np.array([0.1, 0.2, 0.5]), np.array([28.0, 30.0, 31.0]))
    assert np.isfinite(bd_rate_if_shared(anchor, worse))
    assert np.isnan(bd_rate_if_shared(anchor, worse, (0.15, 1.0)))


def test_a_gain_at_few_bits_alone_is_none_above_them() -> None:
    """The tested codec needs half the anchor's bits below 30 dB, and as many as the anchor from 32 dB on."""
    anchor = curve(1.0, 20)
    early = Curve(anchor.bpp * np.where(anchor.values < 31, 0.5, 1.0), anchor.values)
    over = {least: bd_rate_if_shared(anchor, early, least=least) for least in (-np.inf, 0, 32, 34)}
    assert over[0] == pytest.approx(over[-np.inf])
    assert over[0] < -10
    assert over[32] == pytest.approx(0, abs=0.5)
    assert over[34] == pytest.approx(0, abs=0.1)
    assert np.isnan(bd_rate_if_shared(anchor, early, least=anchor.values[-1]))


def test_a_point_that_improves_nothing_does_not_count() -> None:
    better = Curve(np.array([0.1, 0.2, 0.3, 0.4]), np.array([20.0, 21.0, 20.5, 22.0]))
    assert better.improving().bpp.tolist() == [0.1, 0.2, 0.4]
    assert bd_rate_if_shared(better, better) == pytest.approx(0)


def test_points_without_a_value_and_values_that_stay_do_not_count() -> None:
    """MS-SSIM of a small image is NaN; once there is no error, more bytes show no gain."""
    curve = Curve(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), np.array([np.nan, 20.0, 30.0, 30.0, np.inf]))
    assert curve.improving().bpp.tolist() == [0.2, 0.3]


@pytest.mark.parametrize(
    ("metric", "values", "expected"),
    [
        ("psnr", [30.0, 33.0], [30, 33]),
        ("ms_ssim", [0.9, 0.99], [10, 20]),
        ("ms-ssim-rgb", [0.9, 1.0], [10, 100]),
        ("lpips_alex", [0.5, 0.125], [1, 3]),
        ("butteraugli", [4.0, 1.0], [-2, 0]),
    ],
)
def test_every_measure_is_read_as_a_quality_that_rises(
    metric: str, values: list[float], expected: list[float]
) -> None:
    """MS-SSIM in decibels, 100 without error; LPIPS and Butteraugli in octaves."""
    assert quality_curve([0.1, 0.2], values, metric).values == pytest.approx(expected)


@pytest.mark.filterwarnings("error")
def test_equal_images_are_no_point_of_a_curve_in_octaves() -> None:
    found = quality_curve([0.1, 0.2, 0.4], [4.0, 1.0, 0.0], "butteraugli")
    assert found.improving().values.tolist() == [-2, 0]


def test_a_range_of_rates_counts_the_qualities_that_the_anchor_has_there() -> None:
    """A codec that needs as many bits as the anchor up to half a bit per pixel, and ever fewer beyond."""
    bpp = np.geomspace(0.1, 4, 65)
    quality = 30 + 5 * np.log2(bpp)
    anchor, test = Curve(bpp, quality), Curve(np.minimum(bpp, np.sqrt(0.5 * bpp)), quality)
    assert bd_rate_if_shared(anchor, test, (0.1, 0.5)) == pytest.approx(0, abs=0.1)
    # Half the anchor's bits at 2 bits per pixel, √⅛ of them at 4.
    assert bd_rate_if_shared(anchor, test, (2, 4)) == pytest.approx(100 * (2 ** (-5 / 4) - 1), abs=0.1)
    assert -50 < bd_rate(anchor, test) < -20
