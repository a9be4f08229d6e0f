"""What the networks cost: multiplications per pixel, and bytes of a release. Counted, not estimated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rdpcodec.format.tiles import GRID, HYPER_FACTOR, PATCH
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.training.settings import FROZEN, FidelitySettings
from rdpcodec.weights.architecture import Architecture

# Whole images cost as much per pixel as the smallest image that every network can take.
_SIDE = GRID


class Cost(NamedTuple):
    """Thousands of multiply-adds per pixel (kMAC), and millions of bytes of float16 parameters (MB)."""

    analysis: float
    """From an image to latents and hyper-latents."""
    synthesis: float
    prior: float
    """The mean and scale networks, which encoder and decoder both run."""
    megabytes: float
    """A release with both syntheses, without tables. The scale network's integers take a byte each."""

    @property
    def decoding(self) -> float:
        """kMAC per pixel from a file to an image, at realism 0 or 1."""
        return self.prior + self.synthesis


def cost(architecture: Architecture) -> Cost:
    """Count what the networks of an architecture cost. Takes a second."""
    model = RdpModel(architecture)
    quality = torch.tensor([50.0])
    image = torch.zeros(1, 3, _SIDE, _SIDE)
    latents = torch.zeros(1, architecture.latents, _SIDE // PATCH, _SIDE // PATCH)
    side = _SIDE // PATCH // HYPER_FACTOR
    hyper = torch.zeros(1, architecture.hyper_latents, side, side)

    def predict() -> None:
        model.scale_network(hyper, quality)
        means = model.mean_network
        means.two_pass(means.features(hyper, quality), torch.zeros_like)

    def kmac(function: Callable[[], Any]) -> float:
        return multiply_adds(function) / _SIDE**2 / 1e3

    with torch.no_grad():
        analysis = kmac(lambda: model.hyper_latents(model.analysis(image, quality)))
        synthesis = kmac(lambda: model.synthesis(latents, quality))
        prior = kmac(predict)
    exact = _parameters(model.scale_network)
    halves = _parameters(model) - exact + _parameters(model.synthesis)
    return Cost(analysis, synthesis, prior, megabytes=(2 * halves + exact) / 1e6)


def training_multiply_adds(architecture: Architecture, settings: FidelitySettings) -> float:
    """Multiply-adds per pixel for one forward and backward pass through a model as a run trains it."""
    model = RdpModel(architecture)
    for part in FROZEN[settings.trains]:
        model.get_submodule(part).requires_grad_(False)
    image = torch.zeros(1, 3, _SIDE, _SIDE)

    def step() -> None:
        output = model(image, torch.tensor([50.0]), by_rate=settings.by_rate)
        (output.reconstruction.sum() + output.latent_bits.sum()).backward()

    return multiply_adds(step) / _SIDE**2


def multiply_adds(function: Callable[[], Any]) -> int:
    """The multiply-adds of all matrix products and convolutions in a call, including any backward pass.

    Compiled code is not counted.
    """
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops() // 2


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
