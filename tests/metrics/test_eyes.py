from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from formula_images import SSIMULACRA2, changed, formula
from torch import Tensor

from rdpcodec.metrics import texture
from rdpcodec.metrics.eyes import (
    LEAST_DISTORTION,
    ForEyes,
    coarse_distortion,
    ssimulacra2_distortion,
    ssimulacra2_score,
)
from rdpcodec.metrics.ssimulacra2 import BIAS, CONES
from rdpcodec.metrics.texture import texture_distortion
from rdpcodec.metrics.xyb import blur, scales, xyb

Distortion = Callable[[Tensor, Tensor], Tensor]
DISTORTIONS: list[Distortion] = [ssimulacra2_distortion, coarse_distortion, texture_distortion]


def images(seed: int, count: int = 2, height: int = 64, width: int = 80) -> Tensor:
    """Smooth colours with edges and grain, like photographs in what matters here."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 5, generator=generator)
    x = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    x[..., width // 3 :] *= 0.6
    return (x + 0.02 * torch.randn(x.shape, generator=generator)).clamp(0, 1)


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_equal_images_have_none_and_more_noise_has_more(distortion: Distortion) -> None:
    x = images(1)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    amounts = torch.stack([distortion(x, x + amount * noise) for amount in (0, 0.01, 0.03, 0.1)])
    assert amounts[0].abs().max() == 0
    assert torch.all(amounts.diff(dim=0) > 0)


@pytest.mark.parametrize("distortion", DISTORTIONS)
@pytest.mark.parametrize("size", [(300, 213), (57, 9), (8, 8), (7, 7)], ids=str)
def test_equal_images_have_neither_distortion_nor_gradient(
    distortion: Distortion, size: tuple[int, int]
) -> None:
    for x in (images(1, 1, *size), torch.zeros(1, 3, *size), torch.full((1, 3, *size), 0.7)):
        y = x.clone().requires_grad_()
        found = distortion(x, y)
        assert float(found.detach()) == 0
        (gradient,) = torch.autograd.grad(found.sum() + 0 * y.sum(), y)
        assert gradient.abs().max() == 0


def test_rounding_is_no_distortion() -> None:
    x = images(1)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    assert ssimulacra2_distortion(x, x + 1e-7 * noise).max() < LEAST_DISTORTION


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_each_image_of_a_batch_is_judged_alone(distortion: Distortion) -> None:
    x, y = images(1), images(1) * 0.9 + 0.1 * images(3)
    alone = torch.cat([distortion(x[i : i + 1], y[i : i + 1]) for i in range(len(x))])
    assert torch.allclose(distortion(x, y), alone, rtol=1e-3)


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_the_gradient_is_that_of_small_steps(distortion: Distortion) -> None:
    x = images(4, count=1)
    y = (0.9 * x + 0.1 * images(5, count=1)).requires_grad_()
    (gradient,) = torch.autograd.grad(distortion(x, y).sum(), y)
    step = 1e-3 * gradient / gradient.norm()
    with torch.no_grad():
        difference = distortion(x, y + step) - distortion(x, y - step)
    assert float(difference.sum()) == pytest.approx(2 * float((gradient * step).sum()), rel=0.03)


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_gradients_are_finite_for_equal_flat_and_clipped_images(distortion: Distortion) -> None:
    textured = images(6, count=1)
    for x in (textured, torch.zeros_like(textured), torch.ones_like(textured)):
        for y in (x, x - 0.2, x + 0.2):
            y = y.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(distortion(x, y).sum(), y)
            assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_a_mirrored_pair_is_as_far_apart(distortion: Distortion) -> None:
    """With diagonal stripes, which go the other way in the mirror."""
    y, x = np.mgrid[:64, :64]
    stripes = torch.from_numpy(np.sin((x + y) / 1.7) / 10 + 0.5).float().expand(1, 3, -1, -1)
    flat = torch.full_like(stripes, 0.5)
    found = float(distortion(stripes, flat))
    for axis in (2, 3):
        mirrored = float(distortion(stripes.flip(axis), flat.flip(axis)))
        assert mirrored == pytest.approx(found, rel=0.01)


def flat_colour(move: tuple[float, float, float]) -> Tensor:
    """A gray image of 64×64 whose X, Y and B (before SSIMULACRA2 scales them) are moved by `move`."""
    root = np.cbrt(BIAS)
    cones = np.cbrt(0.2 + BIAS) - root + np.array([[1, 1, 0], [-1, 1, 0], [0, 1, 1]]) @ move
    light = np.linalg.solve(np.array(CONES), (cones + root) ** 3 - BIAS)
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clip(0) ** (1 / 2.4) - 0.055)
    return torch.from_numpy(values).float()[None, :, None, None].expand(1, 3, 64, 64)


def test_a_coarse_error_of_lightness_weighs_more_than_one_of_colour() -> None:
    """The errors have the same size in XYB, over an area of one colour."""
    gray, size = flat_colour((0, 0, 0)), 0.02
    # SSIMULACRA2 makes X fourteen times as large.
    moved = [flat_colour(move) for move in ((size / 14, 0, 0), (0, size, 0), (0, 0, size))]
    for channel, image in enumerate(moved):
        (light, *_), (other, *_) = scales(image), scales(gray)
        difference = (xyb(light) - xyb(other)).abs().amax((0, 2, 3))
        assert difference.argmax() == channel
        assert float(difference.max()) == pytest.approx(size, rel=0.01)
        assert float(difference.sum()) == pytest.approx(size, rel=0.01)
    red_green, lightness, blue_yellow = (float(coarse_distortion(gray, image)) for image in moved)
    assert lightness > 2 * red_green
    assert lightness > 2 * blue_yellow


def test_coarse_errors_weigh_more_where_they_gather() -> None:
    """By the 3-norm, an error of equal mean square on a quarter of the image weighs ∛4 times as much."""
    gray, light, lighter = (flat_colour((0, move, 0)) for move in (0, 0.01, 0.02))
    gathered = gray.clone()
    gathered[..., :32, :32] = lighter[..., :32, :32]
    ratio = float(coarse_distortion(gray, gathered)) / float(coarse_distortion(gray, light))
    assert ratio == pytest.approx(4 ** (1 / 3), rel=0.05)


@pytest.mark.parametrize(("distortion", "of_each"), [(coarse_distortion, 1.0), (texture_distortion, 1 / 15)])
def test_a_shift_of_lightness_counts_at_each_of_four_scales(distortion: Distortion, of_each: float) -> None:
    """In a distortion of texture as one feature of fifteen, and less at the borders of the image."""
    gray, light = (flat_colour((0, move, 0)).repeat(1, 1, 4, 4) for move in (0, 0.02))
    assert float(distortion(gray, light)) == pytest.approx(4 * of_each * 0.02**2, rel=0.15)


def test_weak_texture_costs_more_where_windows_are_wide_too(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(7)
    original, other = (0.5 + 0.03 * torch.randn(1, 3, 128, 128, generator=generator) for _ in range(2))
    weak = 0.5 + 0.9 * (other - 0.5)

    def cost_of_weakness() -> float:
        return float(texture_distortion(original, weak) / texture_distortion(original, other))

    both = cost_of_weakness()
    monkeypatch.setattr(texture, "_WIDE_WEIGHT", 0.0)  # the Wasserstein distortion alone
    assert both > 2 * cost_of_weakness() > 2


def test_sides_that_are_odd_or_small_have_fewer_scales() -> None:
    x = images(7, height=57, width=9)
    assert torch.isfinite(ssimulacra2_distortion(x, 0.9 * x)).all()


@pytest.mark.parametrize("name", SSIMULACRA2)
def test_ssimulacra2_is_that_of_another_implementation(name: str) -> None:
    image = formula()
    x, y = (torch.from_numpy(a).permute(2, 0, 1)[None] / 255 for a in (image, changed(image)[name]))
    score = float(ssimulacra2_score(ssimulacra2_distortion(x, y)))
    assert score == pytest.approx(SSIMULACRA2[name], abs=0.02)


def test_the_blur_is_its_own_adjoint() -> None:
    x, y = images(8), images(9)
    left, right = (blur(x) * y).sum(), (x * blur(y)).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-5)


@pytest.mark.parametrize("size", [(64, 80), (57, 9), (7, 7)])
def test_two_distortions_at_once_are_those_of_each(size: tuple[int, int]) -> None:
    x, y = images(8, 2, *size), images(9, 2, *size)
    found = ForEyes(x).distortions(y)
    assert torch.equal(found[0], ssimulacra2_distortion(x, y))
    assert torch.equal(found[1], coarse_distortion(x, y))
    assert [bool((distortion > 0).all()) for distortion in found] == [min(size) >= 8] * 2
