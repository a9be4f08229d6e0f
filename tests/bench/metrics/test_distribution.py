from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.linalg import sqrtm

from bench.metrics.distribution import (
    band_energies,
    frechet_distance,
    image_patches,
    kernel_distance,
    laplacian_pyramid,
    pyramid_distances,
    pyramid_neighbourhoods,
)
from rdpcodec.errors import UsageError
from rdpcodec.metrics.efficientnet import FEATURES, EfficientNetLite0


def normal(seed: int, n: int, d: int, mean: float = 0.0, deviation: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, deviation, (n, d))


def test_the_frechet_distance_is_its_definition() -> None:
    a, b = normal(0, 200, 8) @ normal(1, 8, 8), normal(2, 150, 8, 0.5) @ normal(3, 8, 8)
    covariances = [np.cov(x, rowvar=False) for x in (a, b)]
    root = sqrtm(covariances[0] @ covariances[1]).real
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(sum(covariances) - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_the_frechet_distance_of_gaussians_reaches_the_closed_form() -> None:
    """|μ₁ - μ₂|² + d·(σ₁ - σ₂)²."""
    a, b = normal(0, 200_000, 3), normal(1, 200_000, 3, 2.0, 3.0)
    assert frechet_distance(a, b) == pytest.approx(3 * 4 + 3 * 4, rel=0.02)


@given(st.integers(0, 1000), st.integers(2, 12), st.integers(2, 12))
def test_distances_of_few_features_are_finite_symmetric_and_zero_for_equal_sets(
    seed: int, n: int, m: int
) -> None:
    a, b = normal(seed, n, 40), normal(seed + 1, m, 40)
    for distance in (frechet_distance, kernel_distance):
        assert np.isfinite(distance(a, b))
        assert distance(a, b) == pytest.approx(distance(b, a), abs=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a, b) > -1e-6


def test_the_kernel_distance_is_unbiased() -> None:
    """Between samples of one distribution it is zero on average, even for few of them."""
    same = [kernel_distance(normal(2 * i, 10, 5), normal(2 * i + 1, 14, 5)) for i in range(400)]
    assert abs(np.mean(same)) < 3 * np.std(same) / len(same) ** 0.5
    other = [kernel_distance(normal(2 * i, 10, 5), normal(2 * i + 1, 14, 5, 1.0)) for i in range(400)]
    assert np.mean(other) > 10 * np.std(other) / len(other) ** 0.5


def test_an_image_and_its_copy_are_no_pair_of_the_kernel_distance() -> None:
    """Originals are at 0 from themselves; copies with a small error are closer than with a large one."""
    numbers = np.repeat(np.arange(6), 4)
    a = normal(0, 6, 40).repeat(4, axis=0) + normal(1, 24, 40, deviation=0.3)
    assert kernel_distance(a, a, (numbers, numbers)) == pytest.approx(0, abs=1e-12)
    small, large = (
        kernel_distance(a, a + normal(2, 24, 40, amount, amount), 2 * (numbers,)) for amount in (0.05, 0.5)
    )
    assert 0 < small < large
    order = np.random.default_rng(0).permutation(24)
    shuffled = kernel_distance(a, (2 * a)[order], (numbers, numbers[order]))
    assert shuffled == pytest.approx(kernel_distance(a, 2 * a, (numbers, numbers)))


def test_one_feature_is_no_distribution() -> None:
    for distance in (frechet_distance, kernel_distance):
        with pytest.raises(UsageError, match="at least two"):
            distance(normal(0, 1, 4), normal(1, 5, 4))
    one_image = np.zeros(5, int)
    with pytest.raises(UsageError, match="two images"):
        kernel_distance(normal(0, 5, 4), normal(1, 5, 4), (one_image, one_image))


def test_patches_tile_the_image_twice() -> None:
    image = torch.arange(3 * 40 * 56, dtype=torch.float32).reshape(3, 40, 56)
    patches = image_patches(image, 16)
    assert patches.shape == (2 * 3 + 2 * 3, 3, 16, 16)
    assert torch.equal(patches[4], image[:, 16:32, 16:32])
    assert torch.equal(patches[6], image[:, 8:24, 8:24])
    assert len(image_patches(image, 64)) == 0


def sliced(first: list[torch.Tensor], second: list[torch.Tensor]) -> list[float]:
    drawn = ([pyramid_neighbourhoods(x, seed=i) for i, x in enumerate(images)] for images in (first, second))
    return pyramid_distances(*drawn)


def test_the_sliced_wasserstein_distance_sees_lost_detail_where_it_was_lost(photograph: Image.Image) -> None:
    image = torch.from_numpy(np.array(photograph)).permute(2, 0, 1).float() / 255
    halves = [image[:, :, :296], image[:, :, 304:]]
    small = [torch.nn.functional.avg_pool2d(half[None], 2) for half in halves]
    blurred = [torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear")[0] for x in small]
    equal, lost = sliced(halves, halves), sliced(halves, blurred)
    assert equal == [0.0] * len(equal)
    assert len(lost) == 5
    assert lost[0] > 3 * max(lost[2:])


def test_the_sliced_wasserstein_distance_grows_with_noise(photograph: Image.Image) -> None:
    image = torch.from_numpy(np.array(photograph)).permute(2, 0, 1).float() / 255
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    distances = [np.mean(sliced([image], [image + level * noise])) for level in (0.01, 0.03, 0.1)]
    assert 0 < distances[0] < distances[1] < distances[2]


def test_the_sliced_wasserstein_distance_sees_detail_that_faded(photograph: Image.Image) -> None:
    """Halving the contrast of the whole image, or of its finest band alone, shows where it faded."""
    image = torch.from_numpy(np.array(photograph)).permute(2, 0, 1).float() / 255
    assert min(sliced([image], [image / 2 + 0.25])) > 30
    finest = laplacian_pyramid(image)[0]
    faded = sliced([image], [image - finest / 2])
    assert faded[0] > 30
    assert faded[0] > 3 * max(faded[2:])


def test_the_sliced_wasserstein_distance_is_in_deviations_of_the_originals(photograph: Image.Image) -> None:
    """An image that lost three quarters of its contrast is half as far again as one that lost half."""
    image = torch.from_numpy(np.array(photograph)).permute(2, 0, 1).float() / 255
    half, quarter = (sliced([image], [image / parts]) for parts in (2, 4))
    assert quarter == pytest.approx([1.5 * distance for distance in half], rel=1e-3)


def test_the_energy_of_bands_is_what_contrast_makes_of_it(photograph: Image.Image) -> None:
    image = torch.from_numpy(np.array(photograph)).permute(2, 0, 1).float() / 255
    whole, half = band_energies(image), band_energies(image / 2 + 0.3)
    assert len(whole) == len(laplacian_pyramid(image)) - 1
    assert half == pytest.approx([energy / 4 for energy in whole], rel=1e-4)
    blurred = torch.nn.functional.avg_pool2d(image[None], 3, 1, 1)[0]
    kept = [after / before for before, after in zip(whole, band_energies(blurred), strict=True)]
    assert kept[0] < kept[1] < kept[2] < 1.05


def test_neighbourhoods_are_cut_from_the_same_places_of_images_of_one_size() -> None:
    x = torch.rand(3, 50, 70)
    first, second = pyramid_neighbourhoods(x, 5, seed=3), pyramid_neighbourhoods(2 * x, 5, seed=3)
    assert [level.shape for level in first] == [(5, 3, 7, 7)] * 2
    for a, b in zip(first, second, strict=True):
        assert torch.allclose(2 * a, b, atol=1e-5)
    assert not torch.equal(first[0], pyramid_neighbourhoods(x, 5, seed=4)[0])


def test_sets_of_different_size_have_no_sliced_distance() -> None:
    drawn = pyramid_neighbourhoods(torch.rand(3, 32, 32), 4)
    for first, second in (([], []), ([drawn], [drawn, drawn])):
        with pytest.raises(UsageError, match="equally many"):
            pyramid_distances(first, second)


def test_efficientnet_recognises_a_cup_of_coffee(photograph: Image.Image) -> None:
    """The weights match the normalisation: class 967 is espresso, 504 coffee mug."""
    network = EfficientNetLite0()
    square = photograph.crop((100, 0, 500, 400)).resize((224, 224), Image.Resampling.BICUBIC)
    x = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        best = network(x)[0].topk(3).indices.tolist()
        assert network.features(x).shape == (1, FEATURES)
        last = network.stages(x, [2, 15])
    assert {967, 504} & set(best)
    assert [stage.shape[1:] for stage in last] == [(24, 56, 56), (320, 7, 7)]
