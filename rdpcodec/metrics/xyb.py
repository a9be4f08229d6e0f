"""The colour space, scales and windows of distortions for eyes: XYB, a model of cones; Gaussian blur.

All of it is differentiable, and fast on CPUs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from rdpcodec.metrics.ssimulacra2 import BIAS, CONES, MINIMUM_SIDE, RADIUS, SIGMA


class _Constants(NamedTuple):
    cones: Tensor
    kernel: Tensor


@cache
def _constants(device: torch.device) -> _Constants:
    """Constants on a device, made once: recorded kernels (CUDA graphs) can take nothing from the host."""
    with torch.inference_mode(False):
        offsets = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float32)
        kernel = torch.softmax(-0.5 * (offsets / SIGMA).square(), 0)
        cones = torch.tensor(CONES, dtype=torch.float32)
        return _Constants(*(x.to(device) for x in (cones, kernel)))


def scales(x: Tensor) -> Iterator[Tensor]:
    """An image in linear light, at full and halved resolutions, halved for as long as its sides have eight
    pixels or more; nothing for a smaller image.
    """
    light = _linear_light(x.float())
    if min(light.shape[2:]) >= MINIMUM_SIDE:
        yield light
    while min(light.shape[2:]) >= MINIMUM_SIDE:
        light = F.avg_pool2d(light, 2, ceil_mode=True, count_include_pad=False)
        yield light


class _LinearLight(torch.autograd.Function):
    """sRGB to linear light; below 0 on the straight part of the curve."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        straight, base = x <= 0.04045, (x.clamp(min=0.04045) + 0.055) / 1.055
        curved = base**2.4
        ctx.save_for_backward(straight, base, curved)
        return torch.where(straight, x / 12.92, curved)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        straight, base, curved = ctx.saved_tensors
        return gradients[0] * torch.where(straight, 1 / 12.92, (2.4 / 1.055) * curved / base)


def _linear_light(x: Tensor) -> Tensor:
    return cast(Tensor, _LinearLight.apply(x))


def xyb(light: Tensor, channels: slice = slice(0, 3)) -> Tensor:
    """Linear RGB to channels of XYB, scaled by SSIMULACRA2 to be positive and of about one range."""
    # X and Y do not need the third cone.
    cones = _constants(light.device).cones[: max(2, channels.stop)]
    # A matrix product is three times as fast here as a convolution, and leaves planes, on which the next
    # steps are fastest.
    seen = torch.matmul(cones, light.flatten(2)).unflatten(2, light.shape[2:])
    # Nothing in gamut is below the bias, where the cube root is still smooth.
    roots = _power((seen + BIAS).clamp(min=BIAS), 1 / 3) - BIAS ** (1 / 3)
    x, y = (roots[:, 0] - roots[:, 1]) / 2, (roots[:, 0] + roots[:, 1]) / 2
    found = [14 * x + 0.42, y + 0.01]
    if channels.stop == 3:
        found.append(roots[:, 2] - y + 0.55)
    return torch.stack(found[channels], 1)


class _Power(torch.autograd.Function):
    """Positive numbers to a power, as torch's own, but with a gradient that needs no second power, which
    would take a third of the time of a comparison.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, exponent: float) -> Tensor:
        y = x**exponent
        ctx.save_for_backward(x, y)
        ctx.exponent = exponent
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        x, y = ctx.saved_tensors
        return gradients[0] * ctx.exponent * y / x, None


def _power(x: Tensor, exponent: float) -> Tensor:
    return cast(Tensor, _Power.apply(x, exponent))


class _Blur(torch.autograd.Function):
    """A Gaussian blur of each channel, with zeros beyond the borders.

    It is its own adjoint, and on CPUs a depthwise convolution is ten times as fast forwards as torch's is
    backwards.
    """

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        channels = x.shape[1]
        kernel = _constants(x.device).kernel.expand(channels, 1, 1, -1)
        x = x.contiguous(memory_format=torch.channels_last)
        x = F.conv2d(x, kernel, padding=(0, RADIUS), groups=channels)
        return F.conv2d(x, kernel.transpose(2, 3), padding=(RADIUS, 0), groups=channels)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        return blur(gradients[0])


def blur(x: Tensor) -> Tensor:
    return cast(Tensor, _Blur.apply(x))
