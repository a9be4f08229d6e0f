from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from installed import brighter, install, load_tensors
from lpips_tensors import save_networks
from PIL import Image

from rdpcodec import Bounds, Codec, OperatingPoint, Target, TargetWarning, UsageError
from rdpcodec.encoder.bounds_search import MAX_REALISMS, Measured, search_both
from rdpcodec.encoder.target_search import TOLERANCE
from rdpcodec.format import container
from rdpcodec.metrics.distortion import psnr
from rdpcodec.metrics.full_reference import full_reference
from rdpcodec.metrics.lpips import WEIGHTS_VARIABLE, load_lpips
from rdpcodec.weights.manifest import find_model
from rdpcodec.weights.release import ReleasedModel


class Surface:
    """PSNR and LPIPS over quality and realism, as for photographs: realism costs up to `decibels` and divides
    LPIPS by `factor` at realism `best`; beyond, LPIPS rises again.
    """

    def __init__(self, decibels: float, factor: float, best: float = 1.0) -> None:
        self.decibels, self.factor, self.best = decibels, factor, best

    def __call__(self, quality: float, realism: float) -> Measured:
        gained = 1 - (1 - realism / self.best) ** 2
        lpips = 0.4 * math.exp(-0.035 * quality) * self.factor**-gained
        return Measured(24 + 0.18 * quality - self.decibels * realism**2, lpips)


def worst(bounds: Bounds, measured: Measured) -> float:
    return max(bounds.distortion.excess(measured.distortion), bounds.perception.excess(measured.perception))


class Mixture(Surface):
    """The same, where a share of the realism's own error is what raises squared error, as for a mixture of
    two images, and LPIPS falls as an exponential.
    """

    def __call__(self, quality: float, realism: float) -> Measured:
        error = 10 ** (-(24 + 0.18 * quality) / 10) * (1 + (10 ** (self.decibels / 10) - 1) * realism**2)
        left = 1 / self.factor + (1 - 1 / self.factor) * math.exp(-4 * realism)
        return Measured(-10 * math.log10(error), 0.4 * math.exp(-0.035 * quality) * left)


@settings(deadline=None, max_examples=60)
@given(st.floats(27, 40), st.floats(0.02, 0.25), st.floats(0.2, 2.5), st.floats(1.1, 4), st.floats(0.6, 1))
def test_the_file_is_within_both_bounds_and_no_smaller_one_is(
    decibels: float, lpips: float, cost: float, factor: float, best: float
) -> None:
    surface, bounds = Surface(cost, factor, best), Target.psnr(decibels) & Target.lpips(lpips)
    grid = [(q, r) for q in np.linspace(0, 100, 201) for r in np.linspace(0, 1, 26)]
    within = [q for q, r in grid if worst(bounds, surface(q, r)) <= 0]
    if not within:
        return
    quality, realism = search_both(surface, bounds, has_realism=True)
    assert worst(bounds, surface(quality, realism)) <= 0
    # The grid's step is half a quality; the search is exact to 1 % of a cost and 2 % of the realism.
    assert quality <= min(within) + 1.5


@pytest.mark.parametrize("decibels", [29, 31, 33, 35])
@pytest.mark.parametrize("surface", [Surface(1, 3), Surface(2.5, 3), Mixture(1, 3), Mixture(2.5, 3)])
def test_the_realism_is_the_one_that_serves_both_bounds_best(decibels: float, surface: Surface) -> None:
    """Exact to 2 % of the range, at the quality that is found."""
    bounds = Target.psnr(decibels) & Target.lpips(surface(5 * (decibels - 24) + 1, 0.5).perception)
    quality, realism = search_both(surface, bounds, has_realism=True)
    best = min(np.linspace(0, 1, 1001), key=lambda r: worst(bounds, surface(quality, r)))
    assert 0.1 < best < 0.9
    assert realism == pytest.approx(best, abs=0.025)


@settings(deadline=None, max_examples=60)
@given(st.floats(27, 40), st.floats(0.02, 0.25), st.floats(0.2, 2.5), st.floats(1.1, 4))
def test_few_realisms_are_tried_at_one_quality(
    decibels: float, lpips: float, cost: float, factor: float
) -> None:
    """Each takes the measures of a whole image."""
    surface, tried = Mixture(cost, factor), Counter[float]()

    def measured(quality: float, realism: float) -> Measured:
        tried[quality] += 1
        return surface(quality, realism)

    with contextlib.suppress(UsageError):
        search_both(measured, Target.psnr(decibels) & Target.lpips(lpips), has_realism=True)
    assert max(tried.values()) <= MAX_REALISMS


def test_where_there_is_no_realism_setting_realism_is_zero_and_never_asked_for() -> None:
    surface, bounds = Surface(2, 3), Target.psnr(30) & Target.lpips(0.06)

    def plain(quality: float, realism: float) -> Measured:
        assert realism == 0
        return surface(quality, realism)

    quality, realism = search_both(plain, bounds, has_realism=False)
    assert realism == 0
    assert -TOLERANCE <= worst(bounds, surface(quality, 0)) <= 0


def test_where_distortion_alone_decides_there_is_no_realism() -> None:
    quality, realism = search_both(Surface(2, 3), Target.psnr(35) & Target.lpips(0.3), has_realism=True)
    assert realism == 0
    assert 35 <= Surface(2, 3)(quality, 0).distortion < 35.05


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (
            Target.psnr(60) & Target.lpips(0.1),
            r"60 dB PSNR cannot be had; quality 100 gives this image 42\.00",
        ),
        (Target.psnr(30) & Target.lpips(1e-4), r"0\.0001 LPIPS cannot be had; .* 0\.0040 LPIPS at realism 1"),
        (Target.psnr(60) & Target.lpips(1e-4), "neither of 60 dB PSNR and 0.0001 LPIPS can be had"),
        (Target.psnr(41.9) & Target.lpips(0.005), "can be had, but not at one realism"),
    ],
)
def test_bounds_out_of_reach_are_refused_with_what_can_be_had(bounds: Bounds, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        search_both(Surface(2, 3), bounds, has_realism=True)


def test_bounds_that_every_quality_meets_give_the_smallest_file_and_a_warning() -> None:
    bounds = Target.psnr(20) & Target.lpips(0.9)
    with pytest.warns(TargetWarning, match="every quality meets the target 20 dB PSNR and 0.9 LPIPS"):
        assert search_both(Surface(1, 2), bounds, has_realism=True)[0] == 0


def test_bounds_far_from_which_the_image_is_because_of_a_jump_give_a_warning() -> None:
    def surface(quality: float, realism: float) -> Measured:
        return Measured(45, 0.02) if quality >= 41.23 else Measured(29, 0.2)

    found = "the file has 45.00 dB PSNR and 0.0200 LPIPS, .* with 29.00 dB PSNR and 0.2000 LPIPS"
    with pytest.warns(TargetWarning, match=found):
        quality, _ = search_both(surface, Target.psnr(32) & Target.lpips(0.1), has_realism=True)
    assert quality >= 41.23


def test_bounds_are_one_of_distortion_and_one_of_perception() -> None:
    assert Target.lpips(0.1) & Target.ssimulacra2(60) == Bounds(Target.ssimulacra2(60), Target.lpips(0.1))
    for other in (Target.ms_ssim(0.9), Target.size(1000), Target.psnr(31)):
        with pytest.raises(UsageError, match="a pair takes one of distortion"):
            Target.psnr(30) & other
    for realism in (0.5, "auto"):
        with pytest.raises(UsageError, match="find the realism themselves"):
            OperatingPoint(Target.psnr(30) & Target.lpips(0.1), realism)  # type: ignore[arg-type]


@pytest.fixture
def lpips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    full_reference.cache_clear()
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(save_networks(tmp_path)))
    yield
    full_reference.cache_clear()


@pytest.mark.usefixtures("lpips")
def test_a_decoded_image_is_within_both_bounds(photograph: Image.Image, tmp_path: Path) -> None:
    tensors = brighter(load_tensors(find_model("fast")), 0.02)  # by five of 255 levels
    folder = tmp_path / "weights"
    folder.mkdir()
    codec = Codec(ReleasedModel.load(install(folder, tensors)))
    image = photograph.resize((150, 100))

    def measured(data: bytes) -> Measured:
        pair = np.asarray(image), np.asarray(codec.decompress(data))
        return Measured(psnr(*pair), load_lpips("alex").distance(*pair))

    at_40 = measured(codec.compress(image, 40, realism=0))
    bounds = Target.psnr(at_40.distortion) & Target.lpips(at_40.perception)
    data = codec.compress(image, bounds)
    assert -5 * TOLERANCE <= worst(bounds, measured(data)) <= 0
    assert container.read(data).header.quality <= 41
