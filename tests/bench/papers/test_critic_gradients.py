"""What critics learn from a batch, against autograd's second derivatives of the loss as written."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from bars import random
from torch import Tensor

from bench.papers.wgan.critic import PENALTY, Critic, CriticSize
from bench.papers.wgan.critic_gradients import add_gradients, columns, convolved, scattered

MODELS, BATCH = 3, 5


def critic_of(shape: tuple[int, int, int], condition: int) -> Critic:
    """Critics with different weights, in float64."""
    critic = Critic(MODELS, shape, random(), condition, CriticSize((4, 6), 7)).double()
    rng = random(1)
    for parameter in critic.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=rng)
    return critic


def batch_of(shape: tuple[int, int, int], condition: int) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Originals, restored images, places between them and a condition."""
    rng = random(2)
    real = torch.rand(BATCH, *shape, generator=rng).double()
    fake = torch.rand(BATCH, MODELS, *shape, generator=rng).double()
    place = torch.rand(BATCH, generator=rng).double()
    told = torch.randn(BATCH, MODELS, condition, generator=rng).double() if condition else None
    return real, fake, place, told


def written(
    critic: Critic, real: Tensor, fake: Tensor, place: Tensor, told: Tensor | None
) -> tuple[Tensor, ...]:
    """Autograd's gradients of the loss with respect to the parameters and to `fake`."""
    real, fake = real[:, None].expand_as(fake), fake.clone().requires_grad_()
    way = place[:, None, None, None, None]
    between = (real + way * (fake.detach() - real)).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between, told).sum(), between, create_graph=True)
    penalty = PENALTY * (slope.flatten(2).norm(dim=2) - 1).square()
    loss = (penalty - critic(real, told) + critic(fake, told)).mean(0).sum()
    return torch.autograd.grad(loss, [*critic.parameters(), fake])


@pytest.mark.parametrize("condition", [0, 2])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 8)])
def test_critics_learn_the_gradient_of_their_loss(shape: tuple[int, int, int], condition: int) -> None:
    critic, batch = critic_of(shape, condition), batch_of(shape, condition)
    rise = add_gradients(critic, *batch, precision=torch.float64)
    *expected, expected_rise = written(critic, *batch)
    torch.testing.assert_close(rise, expected_rise)
    for (name, parameter), gradient in zip(critic.named_parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, msg=name)


def test_critics_that_serve_one_weight_do_not_look_at_a_condition() -> None:
    shape = (1, 8, 8)
    critic, (real, fake, place, _) = critic_of(shape, 0), batch_of(shape, 0)
    rise = add_gradients(critic, real, fake, place, torch.ones(BATCH, MODELS, 2), torch.float64)
    assert torch.equal(rise, add_gradients(critic, real, fake, place, precision=torch.float64))


def test_a_second_batch_takes_the_place_of_the_first() -> None:
    shape = (1, 8, 8)
    critic, batch = critic_of(shape, 0), batch_of(shape, 0)
    add_gradients(critic, 1 - batch[0], *batch[1:], precision=torch.float64)
    add_gradients(critic, *batch, precision=torch.float64)
    for parameter, gradient in zip(critic.parameters(), written(critic, *batch), strict=False):
        torch.testing.assert_close(parameter.grad, gradient)


def test_fewer_digits_teach_the_same_direction() -> None:
    shape = (1, 8, 8)
    critic, batch = critic_of(shape, 0), batch_of(shape, 0)
    add_gradients(critic, *batch, precision=torch.bfloat16)
    *gradients, _ = written(critic, *batch)
    for parameter, gradient in zip(critic.parameters(), gradients, strict=True):
        assert parameter.grad is not None
        if parameter is not critic.last.bias:  # cancels in differences of scores
            assert F.cosine_similarity(parameter.grad.flatten(), gradient.flatten(), dim=0) > 0.99


def test_critics_without_a_slope_learn_numbers() -> None:
    """Where the slope is 0, its norm has no derivative."""
    shape = (1, 8, 8)
    critic = critic_of(shape, 0)
    for parameter in critic.parameters():
        parameter.data.zero_()
    add_gradients(critic, *batch_of(shape, 0), precision=torch.float64)
    for parameter in critic.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


def test_columns_are_what_strided_convolutions_see() -> None:
    images = torch.randn(2, 3, 8, 6, 5, generator=random())
    seen = columns(images)
    weight = torch.randn(2, 4, 3, 3, 3, generator=random(1))
    for m in range(2):
        usual = F.conv2d(images[m].movedim(3, 0), weight[m], stride=2, padding=1)
        torch.testing.assert_close(convolved(weight.flatten(2), seen)[m].movedim(3, 0), usual)


def test_columns_and_their_scattering_are_adjoint() -> None:
    images = torch.randn(2, 3, 8, 6, 5, generator=random()).double()
    seen = columns(images)
    others = torch.randn(seen.shape, generator=random(1)).double()
    torch.testing.assert_close((seen * others).sum(), (images * scattered(others, images.shape)).sum())
