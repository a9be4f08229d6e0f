"""The convolution blocks that every network of the codec is made of.

Three layers (1×1, depthwise 3×3, resampling by pixel shuffling) and two kinds of residual block. There is no
normalisation and no attention: a block must cost the same on a gray sky and on gravel, and must not see
further than its nine neighbours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Pointwise(nn.Module):
    """A 1×1 convolution whose weight is stored as a matrix `[out, in]` and multiplied by the constant `gain`.

    The matrix form lets optimisers for matrices (Muon, SOAP) see it as one. `gain` folds a constant factor of
    the data path into the weight, where it costs nothing per pixel, and keeps the stored weight of order one,
    where Adam's fixed step size is right. `full_precision` layers compute in float32 even under autocast:
    latents reach hundreds, where bfloat16 is coarser than a quantisation step.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        gain: float = 1.0,
        init: float = 1.0,
        full_precision: bool = False,
        bias: bool = True,
    ) -> None:
        """`init` scales the initial weights: small for the last layer of a branch that should start quiet."""
        super().__init__()
        self.full_precision = full_precision
        bound = init * (3.0 / channels_in) ** 0.5
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(channels_out)) if bias else None
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        """x: `[B, in, H, W]` → `[B, out, H, W]`."""
        if self.full_precision and torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):
                return self.forward(x.float())
        return self._convolved(x, self.weight, self.bias)

    def part(self, x: Tensor, number: int, parts: int) -> Tensor:
        """One of `parts` equal parts of the output channels: `[B, in, H, W]` → `[B, out / parts, H, W]`."""
        bias = None if self.bias is None else self.bias.chunk(parts)[number]
        return self._convolved(x, self.weight.chunk(parts)[number], bias)

    def _convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if x.is_cuda:  # where pixel shuffling leaves a layout that the matrix units do not read
            x = x.contiguous(memory_format=torch.channels_last)
        weight = (self.gain * weight)[:, :, None, None]
        return F.conv2d(x, weight, None if bias is None else self.gain * bias)


class Depthwise(nn.Module):
    """A depthwise 3×3 convolution, zero-padded, that starts near the identity."""

    def __init__(self, channels: int, *, bias: bool = True) -> None:
        super().__init__()
        weight = torch.empty(channels, 1, 3, 3).uniform_(-0.3, 0.3)
        weight[:, :, 1, 1] += 0.7
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """x: `[B, C, H, W]` → the same shape."""
        return F.conv2d(x, self.weight, self.bias, padding=1, groups=self.weight.shape[0])


class ConvBlock(nn.Module):
    """One residual block: a spatial half and a channel-mixing half (DCVC-UF-Intra, CVPR 2026).

    x + 1×1(depthwise 3×3(WSiLU(1×1(x)))), then x + 1×1(Σ₄ WSiLU(1×1(x))), where the second half widens to 4C
    channels and adds its four quarters. WSiLU(x) = x·σ(4x) = SiLU(4x)/4: the two factors are part of the
    layers' gains.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial_in = Pointwise(channels, channels, gain=4.0)
        self.depthwise = Depthwise(channels)
        # At the start of training, both halves leave the residual stream almost as it was: the bypass carries
        # the image then.
        self.spatial_out = Pointwise(channels, channels, gain=0.25, init=0.3)
        self.widen = Pointwise(channels, 4 * channels, gain=4.0)
        self.narrow = Pointwise(channels, channels, gain=0.25, init=0.3)

    def forward(self, x: Tensor) -> Tensor:
        """x: `[B, C, H, W]` → the same shape."""
        x = _add(self.spatial_out(self.depthwise(_silu(self.spatial_in(x)))), x)
        # One quarter at a time: four times less memory than all at once, and twice as fast on a CPU.
        total = _silu(self.widen.part(x, 0, 4))
        for quarter in (1, 2, 3):
            total = _add(total, _silu(self.widen.part(x, quarter, 4)))
        return _add(self.narrow(total), x)


class GatedBlock(nn.Module):
    """`ConvBlock` with a plain gate in its second half, and without biases.

    x + 1×1(depthwise 3×3(WSiLU(1×1(x)))), then x + 1×1(1×1(x) · σ(4·1×1(x))), as wide as costs no more than
    `ConvBlock`. The gate is bounded: with WSiLU in its place, a block is quadratic in x, and nine in a row
    overflow on latents of a high quality. The gradients of biases, sums over pixels, would take a tenth of a
    training step.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        # 3·C·H multiplications against 5·C², with H a multiple of what matrix units take.
        hidden = max(16, channels * 5 // 3 // 32 * 32)
        self.spatial_in = Pointwise(channels, channels, gain=4.0, bias=False)
        self.depthwise = Depthwise(channels, bias=False)
        self.spatial_out = Pointwise(channels, channels, gain=0.25, init=0.3, bias=False)
        self.value = Pointwise(channels, hidden, bias=False)
        self.gate = Pointwise(channels, hidden, gain=4.0, bias=False)
        self.narrow = Pointwise(hidden, channels, init=0.3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: `[B, C, H, W]` → the same shape."""
        x = _add(self.spatial_out(self.depthwise(_silu(self.spatial_in(x)))), x)
        return _add(self.narrow(_opened(self.gate(x), self.value(x))), x)


def _silu(x: Tensor) -> Tensor:
    """SiLU, in place where no gradient is wanted: the cost of elementwise steps is memory traffic."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


def _add(x: Tensor, other: Tensor) -> Tensor:
    """x + other, in x's memory where no gradient is wanted."""
    return x + other if torch.is_grad_enabled() else x.add_(other)


def _opened(gate: Tensor, x: Tensor) -> Tensor:
    """σ(gate) · x, in the gate's memory where no gradient is wanted."""
    return torch.sigmoid(gate) * x if torch.is_grad_enabled() else gate.sigmoid_().mul_(x)


class Downsample(nn.Module):
    """Pixel unshuffling by `factor`, then a 1×1 convolution: `[B, in, H, W]` → `[B, out, H/factor,
    W/factor]`.
    """

    def __init__(self, channels_in: int, channels_out: int, factor: int = 2, *, bias: bool = True) -> None:
        super().__init__()
        self.factor = factor
        self.mix = Pointwise(channels_in * factor**2, channels_out, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(F.pixel_unshuffle(x, self.factor))


class Upsample(nn.Module):
    """A 1×1 convolution, pixel shuffling by `factor`: `[B, in, H, W]` → `[B, out, factor·H, factor·W]`."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        factor: int = 2,
        *,
        init: float = 1.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.factor = factor
        self.mix = Pointwise(channels_in, channels_out * factor**2, init=init, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.mix(x), self.factor)


def haar_down(channels_in: int, channels_out: int) -> Downsample:
    """A linear `Downsample` by two, to be trained, that starts as a Haar transform.

    Its outputs are the means of all channels, then the three details of each channel in turn, as far as
    `channels_out` goes.
    """
    layer = Downsample(channels_in, channels_out, bias=False)
    with torch.no_grad():
        layer.mix.weight.copy_(_haar_rows(channels_in, channels_out))
    return layer


def haar_up(channels_in: int, channels_out: int) -> Upsample:
    """The transpose of `haar_down(channels_out, channels_in)`, and its inverse where that drops nothing."""
    layer = Upsample(channels_in, channels_out, bias=False)
    with torch.no_grad():
        layer.mix.weight.copy_(_haar_rows(channels_out, channels_in).T)
    return layer


def _haar_rows(channels: int, kept: int) -> Tensor:
    """The first `kept` rows of a Haar transform of 2×2 cells, `[kept, 4·channels]`, orthonormal; those beyond
    `4·channels` are zero.
    """
    cell = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
    each = torch.eye(channels)
    rows = torch.cat([torch.kron(each, cell[:1]), torch.kron(each, cell[1:])])
    return F.pad(rows, (0, 0, 0, max(0, kept - len(rows))))[:kept]


def block(channels: int, *, gated: bool) -> nn.Module:
    """One residual block, of the kind that `Architecture.gated` names."""
    return GatedBlock(channels) if gated else ConvBlock(channels)


def blocks(channels: int, count: int, *, gated: bool) -> nn.Sequential:
    """`count` residual blocks of `channels` channels in a row."""
    return nn.Sequential(*(block(channels, gated=gated) for _ in range(count)))
