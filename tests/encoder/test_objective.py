"""The price of errors in a search: what it is made of."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rdpcodec.encoder.objective import ErrorPrice
from rdpcodec.metrics.eyes import coarse_distortion, ssimulacra2_distortion
from rdpcodec.weights.release import DistortionShares


def noise(size: tuple[int, int], seed: int) -> Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("size", "equal"), [((64, 80), True), ((7, 80), True), ((7, 80), False)])
def test_the_share_of_an_absent_distortion_goes_to_squared_error(size: tuple[int, int], equal: bool) -> None:
    """In an image that is already equal, or too small, there is none."""
    x = noise(size, 0)
    start = x if equal else 0.9 * x
    other = x + 0.1 * (noise(size, 1) - x)
    price = ErrorPrice(x, start, 1e6, DistortionShares())
    assert float(price(other)) == pytest.approx(1e6 * float((other - x).square().mean()), rel=1e-5)
    assert float(price(x)) == 0


@pytest.mark.parametrize("shares", [DistortionShares(), DistortionShares(0.9, 0.1), DistortionShares(0, 0)])
def test_where_a_search_begins_the_price_is_that_of_squared_error(shares: DistortionShares) -> None:
    """Distortions for eyes take its place with their relative gradients."""
    x, start = noise((64, 80), 0), 0.9 * noise((64, 80), 0) + 0.1 * noise((64, 80), 1)
    price, mse = ErrorPrice(x, start, 1e6, shares), float((start - x).square().mean())
    assert float(price(start)) == pytest.approx(1e6 * mse, rel=1e-4)
    closer = x + 0.9 * (start - x)
    expected = (1 - sum(shares)) * 0.81
    for share, distortion in zip(shares, (ssimulacra2_distortion, coarse_distortion), strict=True):
        expected += share * float(distortion(x, closer) / distortion(x, start))
    assert float(price(closer)) == pytest.approx(1e6 * mse * expected, rel=1e-4)
