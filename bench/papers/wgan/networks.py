"""Many small networks as one: every parameter has a leading dimension of models, and every batch has one too.

Activations are `[B, M, …]`: batch, model, then features or channels, height and width. Model m sees only what
lies at index m, so the gradient of all models' summed losses is, for each model, that of its own loss.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of leaky ReLUs, usual in adversarial networks
GAIN = 2**0.5  # keeps the scale of what passes them
_NEWEST = 0.05  # share of the newest batch in means and variances


class GroupedLinear(nn.Module):
    """M linear layers, `[B, M, inputs]` → `[B, M, outputs]`. All models begin with the same weights, so that
    all differences between them were learned.
    """

    def __init__(self, models: int, inputs: int, outputs: int, rng: torch.Generator) -> None:
        super().__init__()
        weight = torch.randn(inputs, outputs, generator=rng) / inputs**0.5
        self.weight = nn.Parameter(weight.repeat(models, 1, 1))
        self.bias = nn.Parameter(torch.zeros(models, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x.transpose(0, 1), self.weight).transpose(0, 1)


class GroupedConvolution(nn.Module):
    """M convolutions of 3×3, `[B, M, inputs, H, W]` → `[B, M, outputs, H/stride, W/stride]`."""

    def __init__(self, models: int, inputs: int, outputs: int, rng: torch.Generator, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        weight = torch.randn(outputs, inputs, 3, 3, generator=rng) / (9 * inputs) ** 0.5
        self.weight = nn.Parameter(weight.repeat(models, 1, 1, 1, 1))
        self.bias = nn.Parameter(torch.zeros(models, outputs))

    def forward(self, x: Tensor) -> Tensor:
        models, outputs = self.bias.shape
        weight, bias = self.weight.flatten(0, 1), self.bias.flatten()
        y = F.conv2d(x.flatten(1, 2), weight, bias, self.stride, padding=1, groups=models)
        return y.unflatten(1, (models, outputs))


class Perceptrons(nn.Module):
    """M multi-layer perceptrons, `[B, M, widths[0]]` → `[B, M, widths[-1]]`.

    Hidden layers are normalised per sample, which is the same in training and testing.
    """

    def __init__(self, models: int, widths: Sequence[int], rng: torch.Generator) -> None:
        super().__init__()
        self.models = models
        sizes = itertools.pairwise(widths)
        self.layers = nn.ModuleList(GroupedLinear(models, a, b, rng) for a, b in sizes)

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            y = layer(x)
            x = activation(F.layer_norm(y, y.shape[-1:]))
        return last(x)


class Standardised(nn.Module):
    """Values `[B, M, W]` minus their mean over the batch, over their deviation (batch normalisation).

    It has no gain or offset, so that training cannot push values to where a following tanh is flat. In
    evaluation it uses means and variances of the training batches; new ones count most.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, models: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(models, width))
        self.register_buffer("variance", torch.ones(models, width))

    def forward(self, x: Tensor) -> Tensor:
        mean, variance = self.mean, self.variance
        if self.training:
            mean, variance = x.mean(0), x.var(0, correction=0)
            self.mean.lerp_(mean.detach(), _NEWEST)
            self.variance.lerp_(variance.detach(), _NEWEST)
        return (x - mean) / (variance + 1e-5).sqrt()


def activation(x: Tensor) -> Tensor:
    """The leaky ReLU between layers, times `GAIN`."""
    return GAIN * F.leaky_relu(x, SLOPE)


def for_each(models: int, x: Tensor) -> Tensor:
    """The same input for all models: `[B, …]` → a view `[B, models, …]`."""
    return x[:, None].expand(-1, models, *x.shape[1:])


def select_models(module: nn.Module, indices: Sequence[int]) -> None:
    """Keep the given models of a grouped network, in that order; a repeated index repeats its model."""
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            chosen = parameter.detach()[list(indices)].clone()
            setattr(part, name, nn.Parameter(chosen, parameter.requires_grad))
        for name, buffer in part.named_buffers(recurse=False):
            setattr(part, name, buffer[list(indices)].clone())
