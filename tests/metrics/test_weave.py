from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rdpcodec.metrics.weave import weave_distortion


def smooth(height: int = 96, width: int = 128) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(2, 3, 4, 4, generator=generator)
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")


def noise(*shape: int) -> Tensor:
    return 0.05 * torch.randn(shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("period", [8, 16])
def test_a_pattern_that_repeats_weighs_more_than_grain_of_the_same_energy(period: int) -> None:
    x = smooth()
    tiled = noise(2, 3, period, period).repeat(1, 1, 96 // period, 128 // period)
    grain = noise(*x.shape)
    woven, grained = (weave_distortion(x, x + part) / part.square().mean() for part in (tiled, grain))
    assert float(woven.min()) > 4 * float(grained.max())


def test_what_repeats_in_the_original_may_repeat() -> None:
    x = smooth() + noise(2, 3, 8, 8).repeat(1, 1, 12, 16)
    assert torch.equal(weave_distortion(x, x), torch.zeros(2))
    assert float(weave_distortion(x, 0.5 * x).max()) == 0
    assert float(weave_distortion(0.5 * x, x).min()) > 0


def test_the_gradient_is_that_of_small_steps() -> None:
    x = smooth()
    y = (x + noise(2, 3, 8, 8).repeat(1, 1, 12, 16)).requires_grad_()
    (gradient,) = torch.autograd.grad(weave_distortion(x, y).sum(), y)
    step = 1e-2 * gradient / gradient.norm()
    with torch.no_grad():
        difference = (weave_distortion(x, y + step) - weave_distortion(x, y - step)).sum()
    assert float(difference) == pytest.approx(2 * float((gradient * step).sum()), rel=0.02)


def test_the_smallest_crops_of_training_can_be_judged() -> None:
    x = smooth(64, 64)
    assert weave_distortion(x, x + noise(*x.shape)).shape == (2,)
