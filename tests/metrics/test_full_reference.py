"""The metrics that pages and `rdpcodec suggest` show, together."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from rdpcodec.errors import UsageError
from rdpcodec.metrics.distortion import psnr
from rdpcodec.metrics.full_reference import LABELS, LEAST_SIDES, Metrics, full_reference
from rdpcodec.metrics.lpips import WEIGHTS_VARIABLE


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch, lpips: object) -> Iterator[Metrics]:
    full_reference.cache_clear()
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(lpips))
    yield Metrics()
    full_reference.cache_clear()


def pair(photograph: Image.Image, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A piece of a photograph, and the same with noise."""
    image = np.asarray(photograph)[:side, :side]
    noisy = image + np.random.default_rng(0).normal(0, 9, image.shape)
    return image, noisy.round().clip(0, 255).astype(np.uint8)


def test_a_metric_that_some_image_is_too_small_for_is_noted(
    metrics: Metrics, photograph: Image.Image
) -> None:
    large, small = (metrics(*pair(photograph, side)) for side in (170, 100))
    assert None not in large.values()
    assert [name for name, value in small.items() if value is None] == ["ms_ssim"]
    assert metrics.undefined([large]) == []
    for measured in ([large, small], [small, large], [small]):
        (note,) = metrics.undefined(measured)
        assert note == f"{LABELS['ms_ssim']}: not defined for images under 161 pixels a side"


def test_equal_images_have_no_psnr(metrics: Metrics, photograph: Image.Image) -> None:
    image, _ = pair(photograph, 170)
    found = metrics(image, image)
    assert (found["psnr"], found["ssimulacra2"]) == (None, 100)
    assert metrics.undefined([found]) == ["PSNR: not defined for images without any error"]


@pytest.mark.parametrize(("name", "side"), LEAST_SIDES.items())
def test_a_metric_is_defined_from_its_least_side_on(metrics: Metrics, name: str, side: int) -> None:
    for length in {side, side - 1} - {0}:
        levels = np.arange(length * length * 3, dtype=np.uint8).reshape(length, length, 3)
        assert math.isnan(full_reference(name)(levels, levels)) == (length < side)


@pytest.mark.parametrize("name", LABELS)
def test_only_8_bit_images_of_one_shape_are_compared(name: str, metrics: Metrics) -> None:
    """Pixels in 0..1 gave an infinite PSNR and an MS-SSIM of nearly 1."""
    metric, image = full_reference(name), np.zeros((170, 180, 3), np.uint8)
    of_another_type = [image / 255, image.astype(np.int64), image.tolist()]
    of_another_shape = [image[:, :-1], image[..., :1], image[..., 0]]
    pairs = [(other, other) for other in of_another_type]
    for other in of_another_type + of_another_shape:
        pairs += [(image, other), (other, image)]
    for reference, decoded in pairs:
        with pytest.raises(UsageError, match=r"metrics take|shapes differ"):
            metric(reference, decoded)


@pytest.mark.parametrize(("name", "most"), [("psnr", 3), ("ms_ssim", 55), ("ssimulacra2", 45)])
def test_metrics_without_networks_need_few_bytes_a_pixel(name: str, most: float) -> None:
    """Of 2048×256 pixels, so that strips of rows are a small part."""
    image = np.random.default_rng(0).integers(0, 256, (2048, 256, 3), dtype=np.uint8)
    negative = 255 - image
    tracemalloc.start()
    try:
        full_reference(name)(image, negative)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak / image[..., 0].size < most


def test_values_are_exact_to_what_is_seen_and_short_enough_to_read(
    metrics: Metrics, photograph: Image.Image
) -> None:
    images = pair(photograph, 170)
    found = metrics(*images)
    assert found["psnr"] == pytest.approx(psnr(*images), abs=1e-4)
    assert all(len(str(value)) <= 8 for value in found.values())
