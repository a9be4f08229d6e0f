"""Layers of many models against the usual ones side by side."""

from __future__ import annotations

import torch
from bars import random
from torch import nn

from bench.papers.wgan.networks import (
    GroupedConvolution,
    GroupedLinear,
    Perceptrons,
    Standardised,
    select_models,
)


def test_grouped_layers_are_the_usual_layers_side_by_side() -> None:
    linear, convolution = GroupedLinear(2, 5, 3, random()), GroupedConvolution(2, 3, 4, random())
    for parameter in (*linear.parameters(), *convolution.parameters()):
        nn.init.normal_(parameter, generator=random(1))
    x, z = torch.randn(7, 2, 5, generator=random(2)), torch.randn(7, 2, 3, 6, 6, generator=random(3))
    for m in range(2):
        torch.testing.assert_close(linear(x)[:, m], x[:, m] @ linear.weight[m] + linear.bias[m])
        usual = nn.functional.conv2d(z[:, m], convolution.weight[m], convolution.bias[m], padding=1)
        torch.testing.assert_close(convolution(z)[:, m], usual)


def test_selected_models_are_those_models() -> None:
    network = Perceptrons(3, (4, 6, 2), random())
    for parameter in network.parameters():
        nn.init.normal_(parameter, generator=random(1))
    x = torch.randn(5, 3, 4, generator=random(2))
    before = network(x)
    select_models(network, [2, 0, 2, 1])
    torch.testing.assert_close(network(x[:, [2, 0, 2, 1]]), before[:, [2, 0, 2, 1]])


def test_strided_convolutions_are_the_usual_ones_side_by_side() -> None:
    convolution = GroupedConvolution(2, 3, 4, random(), stride=2)
    z = torch.randn(5, 2, 3, 8, 8, generator=random(3))
    for m in range(2):
        usual = nn.functional.conv2d(z[:, m], convolution.weight[m], convolution.bias[m], 2, 1)
        torch.testing.assert_close(convolution(z)[:, m], usual)


def test_standardised_values_have_no_mean_and_deviation_one_and_are_remembered() -> None:
    standardised = Standardised(2, 3)
    x = 5 + 0.01 * torch.randn(500, 2, 3, generator=random())  # would saturate a tanh
    for _ in range(500):
        y = standardised(x)
    torch.testing.assert_close(y.mean(0), torch.zeros(2, 3), atol=1e-4, rtol=0)
    torch.testing.assert_close(y.std(0), torch.ones(2, 3), atol=0.06, rtol=0)
    standardised.eval()
    torch.testing.assert_close(standardised(x[:1]), y[:1], atol=0.02, rtol=0)
    select_models(standardised, [1, 1])
    torch.testing.assert_close(standardised.mean[0], standardised.mean[1])
