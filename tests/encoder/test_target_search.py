from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdpcodec import Target
from rdpcodec.encoder.target_search import FAR, MAX_ENCODES, TOLERANCE, search
from rdpcodec.errors import TargetWarning, UsageError

SLACK = 1e-9  # for floating point


class Counted:
    """A function of quality that records where it was evaluated."""

    def __init__(self, value: Callable[[float], float]) -> None:
        self.value = value
        self.qualities: list[float] = []

    def __call__(self, quality: float) -> float:
        assert 0 <= quality <= 100
        assert quality == round(quality, 2)
        assert quality not in self.qualities
        self.qualities.append(quality)
        return self.value(quality)


@st.composite
def rate_curves(draw: st.DrawFn) -> Callable[[float], float]:
    """Bytes over quality, like those of photographs and beyond: the logarithm's slope changes with quality,
    within 0.01 to 0.1. Photographs measure 0.016 to 0.056.
    """
    ends = [draw(st.floats(0.01, 0.1)) for _ in range(3)]
    return rate_curve(ends, start=draw(st.floats(5, 15)))


def rate_curve(ends: Sequence[float], start: float) -> Callable[[float], float]:
    """Bytes over quality, whose logarithm has the slopes `ends` at the qualities 0, 50 and 100."""
    knots = np.linspace(0, 100, 101)
    slopes = np.interp(knots, [0, 50, 100], ends)
    logs = start + np.concatenate([[0], np.cumsum((slopes[1:] + slopes[:-1]) / 2)])
    return lambda quality: math.exp(np.interp(quality, knots, logs))


@settings(deadline=None)
@given(rate_curves(), st.floats(0, 100), st.booleans())
def test_a_smooth_cost_is_met_within_one_percent_and_never_exceeded(
    curve: Callable[[float], float], where: float, falls: bool
) -> None:
    def cost(quality: float) -> float:
        return curve(100 - quality if falls else quality)

    target = Target.lpips(cost(where)) if falls else Target.bpp(cost(where))
    measure = Counted(cost)
    found = search(measure, target)
    assert len(measure.qualities) <= MAX_ENCODES
    assert found in measure.qualities
    assert -TOLERANCE - SLACK <= target.excess(cost(found)) <= 0


@settings(deadline=None)
@given(rate_curves(), st.floats(0, 100), st.integers(0, 9999).map(lambda step: step / 100))
def test_a_target_of_rate_may_have_a_highest_quality(
    curve: Callable[[float], float], where: float, highest: float
) -> None:
    """It is tried first, and taken without a warning where it meets the target."""
    target, measure = Target.bpp(curve(where), max_quality=highest), Counted(curve)
    if curve(0) > target.value:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = search(measure, target)
    assert len(measure.qualities) <= (1 if curve(highest) <= target.value else MAX_ENCODES)
    assert max(measure.qualities) == measure.qualities[0] == highest
    assert found == highest or -TOLERANCE - SLACK <= target.excess(curve(found)) <= 0


def test_what_qualities_up_to_the_highest_reach_is_said() -> None:
    with pytest.raises(UsageError, match=r"qualities 0 to 40 give this image 10\.0000 to 50\.0000 bits"):
        search(lambda quality: 10 + quality, Target.bpp(5, max_quality=40))


@pytest.mark.parametrize("ends", list(product((0.001, 0.005, 0.02), repeat=3)))
def test_a_cost_that_hardly_depends_on_quality_is_met_as_well(ends: tuple[float, float, float]) -> None:
    """Even one nearly flat on one side of the middle, whose slope there suggests a quality far too near."""
    curve = rate_curve(ends, start=10)
    for quality in range(1, 100, 3):
        target, measure = Target.bpp(curve(quality)), Counted(curve)
        assert -TOLERANCE - SLACK <= target.excess(curve(search(measure, target))) <= 0
        assert len(measure.qualities) <= MAX_ENCODES


@settings(deadline=None)
@given(
    rate_curves(),
    st.floats(0, 100),
    st.integers(1, 3000),
    st.floats(0, 0.02),
    st.integers(0, 2**32 - 1),
)
def test_plateaus_and_noise_neither_break_the_bound_nor_the_budget(
    curve: Callable[[float], float], where: float, plateau: int, noise: float, seed: int
) -> None:
    shifts = np.random.default_rng(seed).normal(0, noise, 10_001)

    def cost(quality: float) -> float:
        step = round(quality * 100)
        return curve(step // plateau * plateau / 100) * math.exp(shifts[step])

    target = Target.bpp(curve(where))
    measure = Counted(cost)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TargetWarning)
            found = search(measure, target)
    except UsageError:
        assert {0.0, 100.0} <= set(measure.qualities)
    else:
        met = [q for q in measure.qualities if cost(q) <= target.value]
        assert found in met
        # Where every quality meets the target, the best one is wanted, whatever noise does to its cost.
        assert (len(met) == len(measure.qualities) and found == 100) or cost(found) == max(map(cost, met))
    assert len(measure.qualities) <= MAX_ENCODES


@given(rate_curves(), st.floats(1.02, 1e6), st.booleans())
def test_a_target_that_every_quality_meets_gives_the_end_of_the_range_and_a_warning(
    curve: Callable[[float], float], factor: float, falls: bool
) -> None:
    """The best file for a target of bytes, the smallest for one of errors."""
    target = (Target.lpips if falls else Target.bpp)(curve(100) * factor)
    measure = Counted((lambda quality: curve(100 - quality)) if falls else curve)
    with pytest.warns(TargetWarning, match="every quality meets"):
        assert search(measure, target) == (0 if falls else 100)
    assert len(measure.qualities) <= 6


@given(rate_curves(), st.floats(1.02, 1e6), st.booleans())
def test_a_target_out_of_reach_is_refused_with_the_range(
    curve: Callable[[float], float], factor: float, falls: bool
) -> None:
    def cost(quality: float) -> float:
        return curve(100 - quality if falls else quality)

    make = Target.lpips if falls else Target.bpp
    measure = Counted(cost)
    with pytest.raises(UsageError, match="qualities 0 to 100 give this image") as error:
        search(measure, make(curve(0) / factor))
    assert len(measure.qualities) <= 7
    found = re.search(r"this image ([\d.]+) to ([\d.]+) (bits per pixel|LPIPS)$", str(error.value))
    assert found is not None
    ends = float(found[1]), float(found[2])
    assert ends == pytest.approx((cost(0), cost(100)), abs=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TargetWarning)
        for end in ends:  # whoever takes the range at its word is not refused again
            search(cost, make(end))


@pytest.mark.parametrize(
    ("target", "low", "high", "message"),
    [
        (Target.size("50kB"), 6531, 107_779, "50000 bytes: .* 6531 bytes, .* with 107779 bytes"),
        (Target.bpp(0.5), 0.2, 0.9, r"0.5 bits per pixel: .* 0.2000 bits .* with 0.9000 bits per pixel"),
        (Target.psnr(35), 30, math.inf, "35 dB PSNR: .* inf dB PSNR, .* with 30.00 dB PSNR"),
        (Target.lpips(0.1), 0.2, 0.05, "0.1 LPIPS: .* 0.0500 LPIPS, .* with 0.2000 LPIPS"),
    ],
    ids=lambda value: value.kind if isinstance(value, Target) else "",
)
@pytest.mark.parametrize("jump", [0.01, 41.23, 50, 99.99])
def test_a_result_far_from_its_target_because_of_a_jump_says_so(
    target: Target, low: float, high: float, message: str, jump: float
) -> None:
    with pytest.warns(TargetWarning, match=message):
        found = search(lambda quality: high if quality >= jump else low, target)
    assert (found >= jump) != target.is_of_rate


@settings(deadline=None)
@given(rate_curves(), st.floats(0, 100, exclude_max=True), st.floats(1, 1.04), st.booleans())
def test_a_jump_that_leaves_the_result_near_its_target_is_no_matter(
    curve: Callable[[float], float], where: float, jump: float, falls: bool
) -> None:
    """Warnings are errors in these tests."""

    def cost(quality: float) -> float:
        dearness = 100 - quality if falls else quality
        return curve(dearness) * (jump if dearness > where else 1)

    target = (Target.lpips if falls else Target.bpp)(curve(where) * (1 + jump) / 2)
    assert -FAR <= target.excess(cost(search(cost, target))) <= 0


@given(st.floats(1, 9), st.floats(1, 9))
def test_decibels_are_compared_as_mean_squared_errors(allowed: float, error: float) -> None:
    def decibels(rms: float) -> float:
        return 20 * math.log10(255 / rms)

    excess = Target.psnr(decibels(allowed)).excess(decibels(error))
    assert excess == pytest.approx(math.log(error**2 / allowed**2), abs=1e-6)


def test_a_cost_that_hardly_moves_for_a_while_is_nearly_met() -> None:
    # LPIPS of a dark image: flat between 60 and 70, then steep.
    qualities = [0, 25, 50, 60, 70, 80, 100]
    logs = [-2.2, -2.53, -2.97, -3.1, -3.18, -3.4, -4.7]

    def lpips(quality: float) -> float:
        return math.exp(np.interp(quality, qualities, logs))

    for quality in range(5, 100, 5):
        target = Target.lpips(lpips(quality))
        assert -5 * TOLERANCE < target.excess(lpips(search(lpips, target))) <= 0


def test_an_error_of_zero_counts_as_met() -> None:
    def decibels(quality: float) -> float:
        return 30 + quality / 5 if quality < 40 else math.inf

    target = Target.psnr(37)
    found = search(decibels, target)
    assert target.excess(decibels(found)) == pytest.approx(0, abs=TOLERANCE)
    with pytest.warns(TargetWarning, match="the smallest, of quality 0"):
        assert search(decibels, Target.psnr(20)) == 0


@given(
    st.integers(1, 10**9), st.sampled_from(["", "B", "kB", "KB", "MB", "GB", "KiB", "MiB", "GiB", "k", "M"])
)
def test_sizes_are_read_as_people_write_them(number: int, unit: str) -> None:
    prefix = unit.upper().replace("B", "").replace("I", "")
    factor = (1024 if "i" in unit else 1000) ** " KMG".index(prefix or " ")
    assert Target.size(f"{number}{unit}") == Target.size(f" {number} {unit}") == Target.size(number * factor)


@given(st.decimals("0.001", 10**6, places=5), st.sampled_from(["kB", "KiB"]))
def test_fractions_of_a_size_round_down_to_whole_bytes(number: Decimal, unit: str) -> None:
    factor = 1024 if "i" in unit else 1000
    assert Target.size(f"{number}{unit}").value == math.floor(Fraction(number) * factor)


@given(st.text())
def test_any_text_is_a_size_or_a_usage_error(text: str) -> None:
    try:
        target = Target.size(text)
    except UsageError:
        return
    assert target.value >= 1
    assert text.strip()[0] in "0123456789."


@pytest.mark.parametrize(
    ("make", "value", "message"),
    [
        (Target.bpp, 0, "over 0, and finite"),
        (Target.bpp, math.nan, "over 0, and finite"),
        (Target.bpp, math.inf, "over 0, and finite"),
        (Target.size, -1, "over 0, and finite"),
        (Target.size, "0kB", "over 0, and finite"),
        (Target.size, "50 kilograms", "give bytes"),
        (Target.size, "-5kB", "give bytes"),
        (Target.psnr, 100, "over 0 and below 100"),
        (Target.ms_ssim, 1, "over 0 and below 1"),
        (Target.ssimulacra2, 100, "over 0 and below 100"),
        (Target.lpips, -0.1, "over 0"),
    ],
)
def test_targets_that_no_file_can_have_are_refused(
    make: Callable[[object], Target], value: object, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        make(value)
