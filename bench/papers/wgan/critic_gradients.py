"""What critics learn from a batch: the gradients of their loss, written out, faster than autograd's.

Critics are piecewise linear. Around an image, a critic is a product of matrices and of activations' slopes,
and so is its gradient, which the penalty is on. The penalty's own gradients then need no second derivative:
the penalty pulls along one direction for each image. That direction is followed through the layers and takes
the place of what they saw. One product for each layer then gives the gradients of all terms of the loss.

Convolutions are products too: columns hold what the kernel sees at each place. Samples come last here,
`[m, C, H, W, N]`, so that every tap of a kernel copies whole runs of memory; models come a few at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from bench.papers.wgan.critic import PENALTY, Critic
from bench.papers.wgan.networks import GAIN, SLOPE, for_each

# How many models a processor works on together, so that what they see stays near its cache.
_AT_ONCE = 4
# The gains of the three activations, moved to the critic's parameters: a leaky ReLU scales with its input,
# and scores scale with the last weights. The third layer, the largest, is left as it is.
_GAINS = (GAIN, GAIN, GAIN, GAIN, 1.0, 1.0, GAIN, 1.0)


def add_gradients(
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    place: Tensor,
    condition: Tensor | None = None,
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """Give the critics the gradients of their loss, PENALTY · E(‖∇f‖ − 1)² − E f(real) + E f(fake)
    (Gulrajani et al. 2017, equation 3).

    real `[B, C, H, W]`, fake `[B, M, C, H, W]` in [0, 1]; place `[B]` in [0, 1): where the penalty is on the
    way from real to fake; condition `[B, M, F]`; precision: of the products. Returns the gradient of
    E f(fake) at fake.
    """
    originals = for_each(fake.shape[1], real)
    between = torch.lerp(originals, fake, place.reshape(-1, 1, 1, 1, 1))
    ends, between = _last(torch.cat([fake, originals]), precision), _last(between, precision)
    told = ends.new_empty(len(ends), 0, len(real))
    if critic.conditioned:
        assert condition is not None
        told = condition.to(precision).permute(1, 2, 0)
    one = torch.ones_like(ends[0, 0, 0, 0, : len(real)])
    signs = torch.cat([one, -one]) / len(real)
    score_gradients = []
    for some in _parts(fake):
        weights = _weights(critic, some, precision)
        estimate = _Pass(weights, ends[some], told[some].repeat(1, 1, 2))
        score_gradients.append(estimate.back(signs)[..., : len(real)])
        gradients = estimate.gradients()
        slopes = _Pass(weights, between[some], told[some])
        slopes.follow(_direction(slopes.back(one)))
        slopes.add_weights(gradients)
        _keep(critic, some, gradients)
    return torch.cat(score_gradients).permute(4, 0, 1, 2, 3).to(fake.dtype)


def _last(images: Tensor, precision: torch.dtype) -> Tensor:
    """`[B, M, C, H, W]` in [0, 1] → `[M, C, H, W, B]` in [−1, 1], as critics multiply them."""
    return (2 * images - 1).to(precision).permute(1, 2, 3, 4, 0).contiguous()


def _parts(fake: Tensor) -> list[slice]:
    """A few models at a time on a processor; elsewhere all."""
    models = fake.shape[1]
    step = _AT_ONCE if fake.device.type == "cpu" else models
    return [slice(start, start + step) for start in range(0, models, step)]


def _weights(critic: Critic, some: slice, precision: torch.dtype) -> list[Tensor]:
    """Parameters of some models, with their gains."""
    return [
        _scaled(parameter.detach()[some], gain).to(precision)
        for parameter, gain in zip(critic.parameters(), _GAINS, strict=True)
    ]


def _keep(critic: Critic, some: slice, gradients: list[Tensor]) -> None:
    """Hand gradients with respect to `_weights` of some models to their parameters."""
    for parameter, gain, gradient in zip(critic.parameters(), _GAINS, gradients, strict=True):
        if parameter.grad is None:
            parameter.grad = torch.empty_like(parameter)
        parameter.grad[some] = _scaled(gradient, gain).view_as(parameter[some])


def _scaled(values: Tensor, gain: float) -> Tensor:
    return values if gain == 1 else gain * values


class _Pass:
    """m critics at N samples. seen: what each layer got there, until `follow` puts a direction in its place.
    pull: how a sum over scores rises with each layer's output.
    """

    def __init__(self, weights: list[Tensor], x: Tensor, condition: Tensor) -> None:
        """weights: as `_weights` returns them; x: `[m, C, H, W, N]` in [−1, 1]; condition: `[m, F, N]`."""
        w1, b1, w2, b2, self.w3, b3, self.w4, self.b4 = weights
        self.w1, self.w2 = w1.flatten(2), w2.flatten(2)
        self.shape, self.conditions = x.shape, condition.shape[1]
        self.seen1 = columns(x)
        self.a = _activated(convolved(self.w1, self.seen1), b1[..., None, None, None])
        self.seen2 = columns(self.a)
        self.b = _activated(convolved(self.w2, self.seen2), b2[..., None, None, None])
        self.seen3 = self.b.flatten(1, 3)
        if self.conditions:
            self.seen3 = torch.cat([self.seen3, condition], 1)
        self.c = _activated(torch.bmm(self.w3.transpose(1, 2), self.seen3), b3.transpose(1, 2))
        self.seen4 = self.c

    def back(self, part: Tensor) -> Tensor:
        """Follow Σ part · score, part `[N]`, back to the images: its gradient there, `[m, C, H, W, N]`."""
        self.part = part
        self.pull3 = _through(self.w4 * part, self.c)
        places = self.w3.shape[1] - self.conditions
        self.pull2 = _through(torch.bmm(self.w3[:, :places], self.pull3).view_as(self.b), self.b)
        seen = convolved(self.w2.transpose(1, 2), self.pull2)
        self.pull1 = _through(scattered(seen, self.a.shape), self.a)
        return 2 * scattered(convolved(self.w1.transpose(1, 2), self.pull1), self.shape)

    def follow(self, direction: Tensor) -> None:
        """Replace what layers see with how it moves along a direction of the images, `[m, C, H, W, N]`."""
        self.seen1 = columns(2 * direction)
        moved = _through(convolved(self.w1, self.seen1), self.a)
        self.seen2 = columns(moved)
        moved = _through(convolved(self.w2, self.seen2), self.b).flatten(1, 3)
        self.seen3 = torch.nn.functional.pad(moved, (0, 0, 0, self.conditions))
        self.seen4 = _through(torch.bmm(self.w3.transpose(1, 2), self.seen3), self.c)

    def gradients(self) -> list[Tensor]:
        """The gradients of Σ part · score, in the order of the parameters."""
        return [
            torch.bmm(self.pull1.flatten(2), self.seen1.flatten(2).transpose(1, 2)),
            self.pull1.flatten(2).sum(2),
            torch.bmm(self.pull2.flatten(2), self.seen2.flatten(2).transpose(1, 2)),
            self.pull2.flatten(2).sum(2),
            torch.bmm(self.seen3, self.pull3.transpose(1, 2)),
            self.pull3.sum(2),
            self.seen4 @ self.part,
            self.part.sum().expand_as(self.b4),
        ]

    def add_weights(self, gradients: list[Tensor]) -> None:
        """After `follow`, add the direction's part to gradients, in place; it does not move biases."""
        first, _, second, _, third, _, last, _ = gradients
        first.baddbmm_(self.pull1.flatten(2), self.seen1.flatten(2).transpose(1, 2))
        second.baddbmm_(self.pull2.flatten(2), self.seen2.flatten(2).transpose(1, 2))
        third.baddbmm_(self.seen3, self.pull3.transpose(1, 2))
        last.add_(self.seen4 @ self.part)


def _direction(slope: Tensor) -> Tensor:
    """The gradient of the penalty at slopes `[m, C, H, W, B]`: how it pulls on them."""
    wide = slope.to(torch.promote_types(slope.dtype, torch.float32))
    # Where the slope is 0, the derivative of this square root is 0 too; that of the norm would be NaN.
    norms = (wide.square().sum((1, 2, 3), keepdim=True) + 1e-12).sqrt()
    return (2 * PENALTY / slope.shape[4] * (norms - 1) / norms * wide).to(slope.dtype)


def _activated(values: Tensor, bias: Tensor) -> Tensor:
    """The leaky ReLU, in place."""
    return torch.nn.functional.leaky_relu_(values.add_(bias), SLOPE)


def _through(pull: Tensor, activated: Tensor) -> Tensor:
    """What passes an activation, backwards or forwards; the sign of its output tells its slope."""
    return torch.ops.aten.leaky_relu_backward(pull, activated, SLOPE, True)


def columns(images: Tensor) -> Tensor:
    """What a 3×3 kernel of stride 2 sees at each place, `[M, 9·C, H/2, W/2, N]`; 0 outside; even sides."""
    models, channels, height, width, count = images.shape
    seen = images.new_empty(models, channels, 3, 3, height // 2, width // 2, count)
    seen[:, :, 0, :, 0] = 0
    seen[:, :, :, 0, :, 0] = 0
    for (row, column), (places, pixels) in _taps(height, width):
        seen[:, :, row, column][:, :, *places] = images[:, :, *pixels]
    return seen.flatten(1, 3)


def scattered(seen: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The adjoint of `columns`: for each pixel, the sum over all that saw it; shape: `[M, C, H, W, N]`."""
    images = seen.new_empty(shape)
    seen = seen.unflatten(1, (shape[1], 3, 3))
    for (row, column), (places, pixels) in _taps(shape[2], shape[3]):
        found = seen[:, :, row, column][:, :, *places]
        if row and column:  # the first four, which reach every pixel once
            images[:, :, *pixels] = found
        else:
            images[:, :, *pixels] += found
    return images


def convolved(weight: Tensor, seen: Tensor) -> Tensor:
    """Kernels `[M, O, 9·C]` applied to what `columns` returned → `[M, O, H/2, W/2, N]`."""
    return torch.bmm(weight, seen.flatten(2)).unflatten(2, seen.shape[2:])


def _taps(height: int, width: int) -> Iterator[tuple[tuple[int, int], tuple[tuple[slice, slice], ...]]]:
    """For each tap: its row and column, the places that see something there, and the pixels that they see."""
    for row, column in itertools.product((1, 2, 0), repeat=2):
        down, across = _joined(row, height), _joined(column, width)
        yield (row, column), ((down[0], across[0]), (down[1], across[1]))


def _joined(tap: int, size: int) -> tuple[slice, slice]:
    """Along one axis: places, and pixel 2·place + tap − 1, where that is in the image."""
    if tap == 0:
        return slice(1, None), slice(1, size - 1, 2)
    return slice(None), slice(tap - 1, size, 2)
