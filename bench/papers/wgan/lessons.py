"""What critics learn from a batch: the gradients of their loss, written out, faster than autograd's.

Critics are piecewise linear. Where an image is, they are a product of matrices and of activations' slopes,
and so is their gradient, which the penalty is on. The penalty's own gradients then need no second derivative:
it pulls along one direction of each image, and that direction, followed through the layers, takes the place
of what the layers saw. One product for each layer then has the gradients of all terms of the loss.

Convolutions are products too, with what each place sees in columns. Samples come last here,
`[m, C, H, W, N]`, so that every tap of a kernel copies whole runs of memory; models come a few at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from bench.papers.wgan.critic import PENALTY, Critic
from bench.papers.wgan.networks import GAIN, SLOPE, for_each

# Models that a processor works on together, so that what they see fits its cache.
_AT_ONCE = 2
# Where the gains of the three activations are kept, among the critic's parameters: a leaky ReLU scales with
# what it gets, and so do scores with the last weights. The third layer, the largest, is left as it is.
_GAINS = (GAIN, GAIN, GAIN, GAIN, 1.0, 1.0, GAIN, 1.0)


def teach(
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    place: Tensor,
    condition: Tensor | None = None,
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """Give the critics the gradients of their loss, PENALTY · E(‖∇f‖ − 1)² − E f(real) + E f(fake)
    (Gulrajani et al. 2017, equation 3).

    real `[B, C, H, W]`, fake `[B, M, C, H, W]` in [0, 1]; place `[B]` in [0, 1): where on the way from real
    to fake the penalty is; condition `[B, M, F]`; precision: of what is multiplied. Returns the gradient of
    E f(fake) at fake.
    """
    originals = for_each(fake.shape[1], real)
    between = torch.lerp(originals, fake, place.reshape(-1, 1, 1, 1, 1))
    x = (2 * torch.stack([fake, originals, between]) - 1).to(precision)
    x = x.permute(2, 3, 4, 5, 0, 1).flatten(4)
    told = x.new_empty(len(x), 0, x.shape[4])
    if critic.conditioned:
        assert condition is not None
        told = condition.to(precision).permute(1, 2, 0).repeat(1, 1, 3)
    parameters = list(critic.parameters())
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.empty_like(parameter)
    rises = []
    for some in _parts(fake):
        weights = [
            _scaled(parameter.detach()[some], gain).to(precision)
            for parameter, gain in zip(parameters, _GAINS, strict=True)
        ]
        lesson = _Lesson(weights, x[some], told[some])
        rises.append(lesson.rise)
        for parameter, gain, gradient in zip(parameters, _GAINS, lesson.gradients(), strict=True):
            assert parameter.grad is not None
            parameter.grad[some] = _scaled(gradient, gain).view_as(parameter[some])
    return torch.cat(rises).permute(4, 0, 1, 2, 3)


def _parts(fake: Tensor) -> list[slice]:
    """A few models at a time on a processor; elsewhere all."""
    models = fake.shape[1]
    step = _AT_ONCE if fake.device.type == "cpu" else models
    return [slice(start, start + step) for start in range(0, models, step)]


def _scaled(values: Tensor, gain: float) -> Tensor:
    return values if gain == 1 else gain * values


class _Lesson:
    """One batch for m critics: fake, real and what is between, N = 3·B samples in this order.

    seen: what each layer got. pull: how much the loss rises with what each layer gives, of `between` how much
    the score does. rise: the gradient of E f(fake), `[m, C, H, W, B]`, in float32 at least.
    """

    def __init__(self, weights: list[Tensor], x: Tensor, condition: Tensor) -> None:
        """weights: parameters with their gains, in their order; x: `[m, C, H, W, N]` in [−1, 1]."""
        w1, b1, w2, b2, self.w3, b3, self.w4, self.b4 = weights
        self.w1, self.w2 = w1.flatten(2), w2.flatten(2)
        self.batch = x.shape[4] // 3
        self.between = slice(2 * self.batch, None)
        self.shape = x.shape
        self.seen1 = columns(x)
        self.a = _activated(convolved(self.w1, self.seen1), b1[..., None, None, None])
        self.seen2 = columns(self.a)
        self.b = _activated(convolved(self.w2, self.seen2), b2[..., None, None, None])
        self.seen3 = torch.cat([self.b.flatten(1, 3), condition], 1)
        self.c = _activated(torch.bmm(self.w3.transpose(1, 2), self.seen3), b3.transpose(1, 2))
        slope = self._backward()
        self._follow(_direction(slope).to(x.dtype))

    def _backward(self) -> Tensor:
        """From scores back to images: `pull` and `rise`; returns ∇f between, `[m, C, H, W, B]`."""
        count = self.batch
        self.part = self.c.new_ones(3 * count)
        self.part[:count], self.part[count : 2 * count] = 1 / count, -1 / count
        self.pull3 = _through(self.w4 * self.part, self.c)
        places = self.b[0].numel() // self.b.shape[4]
        self.pull2 = _through(torch.bmm(self.w3[:, :places], self.pull3).view_as(self.b), self.b)
        back = convolved(self.w2.transpose(1, 2), self.pull2)
        self.pull1 = _through(scattered(back, self.a.shape), self.a)
        back = convolved(self.w1.transpose(1, 2), self.pull1)
        pull = 2 * scattered(back, self.shape).to(torch.promote_types(back.dtype, torch.float32))
        self.rise = pull[..., :count]
        return pull[..., self.between]

    def _follow(self, direction: Tensor) -> None:
        """Put the direction that the penalty pulls `between` along in the place of what layers saw there."""
        seen = columns(2 * direction)
        self.seen1[..., self.between] = seen
        moved = _through(convolved(self.w1, seen), self.a[..., self.between])
        seen = columns(moved)
        self.seen2[..., self.between] = seen
        moved = _through(convolved(self.w2, seen), self.b[..., self.between]).flatten(1, 3)
        places = moved.shape[1]
        self.seen3[:, :places, self.between] = moved
        self.seen3[:, places:, self.between] = 0
        moved = _through(torch.bmm(self.w3[:, :places].transpose(1, 2), moved), self.c[..., self.between])
        self.c[..., self.between] = moved

    def gradients(self) -> list[Tensor]:
        """Of the loss, in the order of the parameters and with their gains; biases have no part in slopes."""
        ends = slice(2 * self.batch)
        return [
            torch.bmm(self.pull1.flatten(2), self.seen1.flatten(2).transpose(1, 2)),
            self.pull1[..., ends].flatten(2).sum(2),
            torch.bmm(self.pull2.flatten(2), self.seen2.flatten(2).transpose(1, 2)),
            self.pull2[..., ends].flatten(2).sum(2),
            torch.bmm(self.seen3, self.pull3.transpose(1, 2)),
            self.pull3[..., ends].sum(2),
            self.c @ self.part,
            torch.zeros_like(self.b4),  # it cancels between real and fake
        ]


def _direction(slope: Tensor) -> Tensor:
    """The gradient of the penalty at slopes `[m, C, H, W, B]`: how it pulls on them."""
    # Where the slope is 0, so is the derivative of this square root; of the norm it would be NaN.
    norms = (slope.square().sum((1, 2, 3), keepdim=True) + 1e-12).sqrt()
    return 2 * PENALTY / slope.shape[4] * (norms - 1) / norms * slope


def _activated(values: Tensor, bias: Tensor) -> Tensor:
    """The leaky ReLU, in place."""
    return torch.nn.functional.leaky_relu_(values.add_(bias), SLOPE)


def _through(pull: Tensor, activated: Tensor) -> Tensor:
    """What passes an activation, backwards or along; its slope is told by the sign of what came out."""
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
    """The adjoint of `columns`: of each pixel the sum over all that saw it; shape: `[M, C, H, W, N]`."""
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
    """Kernels `[M, O, 9·C]` at what `columns` returned → `[M, O, H/2, W/2, N]`."""
    return torch.bmm(weight, seen.flatten(2)).unflatten(2, seen.shape[2:])


def _taps(height: int, width: int) -> Iterator[tuple[tuple[int, int], tuple[tuple[slice, slice], ...]]]:
    """Of each tap its row and column, the places that see something there, and the pixels that they see."""
    for row, column in itertools.product((1, 2, 0), repeat=2):
        down, across = _joined(row, height), _joined(column, width)
        yield (row, column), ((down[0], across[0]), (down[1], across[1]))


def _joined(tap: int, size: int) -> tuple[slice, slice]:
    """Along one axis: places, and pixel 2·place + tap − 1, where it is in the image."""
    if tap == 0:
        return slice(1, None), slice(1, size - 1, 2)
    return slice(None), slice(tap - 1, size, 2)
