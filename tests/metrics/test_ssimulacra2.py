from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
import torch
from formula_images import SSIMULACRA2, changed, formula
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rdpcodec.metrics.eyes import ssimulacra2_distortion, ssimulacra2_score
from rdpcodec.metrics.ssimulacra2 import ssimulacra2
from rdpcodec.metrics.xyb import scales


def of_torch(reference: np.ndarray, decoded: np.ndarray) -> float:
    pair = (torch.from_numpy(a.copy()).permute(2, 0, 1)[None].float() / 255 for a in (reference, decoded))
    return float(ssimulacra2_score(ssimulacra2_distortion(*pair)))


@pytest.mark.parametrize("quality", [5, 30, 95])
@pytest.mark.parametrize("size", [(600, 400), (101, 67), (9, 131)], ids=str)
def test_it_is_what_is_trained_with(photograph: Image.Image, quality: int, size: tuple[int, int]) -> None:
    image, buffer = photograph.crop((0, 0, *size)), io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    pair = np.asarray(image), np.asarray(Image.open(buffer))
    assert ssimulacra2(*pair) == pytest.approx(of_torch(*pair), abs=0.003)


@settings(max_examples=12, deadline=None)
@given(st.integers(8, 70), st.integers(8, 70), st.integers(0, 2**32 - 1), st.floats(4, 40))
def test_it_is_what_is_trained_with_whatever_the_image(
    width: int, height: int, seed: int, deviation: float
) -> None:
    generator = np.random.default_rng(seed)
    # For nearly equal images, rounding moves NumPy's score by some hundredths.
    reference = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    noisy = reference + generator.normal(0, deviation, reference.shape)
    decoded = noisy.round().clip(0, 255).astype(np.uint8)
    assert ssimulacra2(reference, decoded) == pytest.approx(of_torch(reference, decoded), abs=0.01)


@pytest.mark.parametrize("name", SSIMULACRA2)
def test_it_is_that_of_another_implementation(name: str) -> None:
    image = formula()
    assert ssimulacra2(image, changed(image)[name]) == pytest.approx(SSIMULACRA2[name], abs=0.02)


@pytest.mark.parametrize("rows", [3, 64, 399])
def test_it_does_not_depend_on_how_many_rows_are_compared_at_once(
    photograph: Image.Image, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.asarray(photograph)[:400, :120]
    decoded = image // 16 * 16 + 8
    monkeypatch.setattr("rdpcodec.metrics.ssimulacra2._STRIP", 400)
    whole = ssimulacra2(image, decoded)
    monkeypatch.setattr("rdpcodec.metrics.ssimulacra2._STRIP", rows)
    assert ssimulacra2(image, decoded) == pytest.approx(whole, abs=1e-4)


def test_equal_images_have_100_and_small_ones_no_score() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    assert ssimulacra2(image, image) == 100
    assert of_torch(image, image) == 100
    assert np.isnan(ssimulacra2(image[:7], image[:7]))


@pytest.mark.parametrize("side", [7, 8, 9, 15, 56, 57, 64, 128, 500])
def test_the_last_scale_is_the_half_of_eight_pixels_or_more(side: int) -> None:
    """As in the C++ program, which looks at the side before it halves it."""
    sides = [light.shape[2] for light in scales(torch.zeros(1, 3, side, side))]
    assert (sides == []) == (side < 8)
    assert all(half == -(-whole // 2) for whole, half in itertools.pairwise(sides))
    assert all(whole >= 8 for whole in sides[:-1])
    assert not sides or sides[-1] < 8
