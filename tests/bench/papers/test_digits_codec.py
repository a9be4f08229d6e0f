"""Codecs of digits: the bottleneck, frozen and conditioned networks, latents that start anew."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bars import SHAPE, bars, random
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.papers.digits.codec import Bottleneck, Codecs, ConditionedCodec, quantised
from bench.papers.digits.latents import entropies, revive
from bench.papers.wgan.critic import (
    Critic,
)
from bench.papers.wgan.train import CPU, Draw, Schedule, Training

WEIGHTS = (0.0, 0.01, 0.03)


@given(st.integers(1, 6), st.integers(2, 9), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_symbols_are_as_few_as_the_rate_says(dimension: int, levels: int, seed: int) -> None:
    bottleneck = Bottleneck(dimension, levels)
    codecs = Codecs(bottleneck, (0.0,), 16, random(seed))
    for parameter in codecs.parameters():
        parameter.data.mul_(9)  # reaches both ends of the latents' range
    dither, _ = codecs.draw(64, random(seed)).noise
    symbols = codecs.encode(torch.rand(64, *SHAPE, generator=random(seed)), dither)
    assert symbols.shape == (64, 1, dimension)
    assert symbols.eq(symbols.round()).all()
    assert symbols.min() >= 0
    assert symbols.max() <= levels - 1
    assert bottleneck.bits == pytest.approx(dimension * np.log2(levels))


def test_the_gradient_passes_straight_through_what_was_not_clipped() -> None:
    x = torch.tensor([-0.3, 0.2, 1.6, 2.9, 3.2], requires_grad=True)
    y = quantised(x, 4)
    (y * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])).sum().backward()
    assert y.tolist() == [0, 0, 2, 3, 3]
    assert x.grad is not None
    assert x.grad.tolist() == [0, 2, 3, 4, 0]


def test_dithered_latents_err_by_uniform_noise_whatever_the_image() -> None:
    """Subtractive dither: away from the ends the error is uniform in ±½ step."""
    latent = torch.linspace(1.0, 2.0, 9)
    dither = torch.rand(4000, 1, generator=random()) - 0.5
    error = quantised(latent + dither, 4) - dither - latent
    assert error.abs().max() <= 0.5 + 1e-5
    assert error.mean(0).abs().max() < 0.02
    assert error.var(0).numpy() == pytest.approx(1 / 12, abs=0.006)


def test_only_decoders_learn_behind_a_frozen_encoder() -> None:
    rng = random()
    codecs = Codecs(Bottleneck(2, 4), WEIGHTS, 32, rng)
    codecs.freeze_encoder()
    before = {name: value.clone() for name, value in codecs.state_dict().items()}
    Training(codecs, Critic(3, SHAPE, rng), bars(32), Schedule(2, batch=8)).run()
    for name, value in codecs.state_dict().items():
        assert name.startswith(("encoder", "standardise")) == torch.equal(before[name], value), name


def test_a_spread_network_decodes_as_the_conditioned_one_told_each_weight() -> None:
    codec = ConditionedCodec(Bottleneck(2, 4), WEIGHTS, 16, random())
    images = torch.rand(5, *SHAPE, generator=random(4))
    draw = codec.draw(5, random(5))
    told = []
    for weight in WEIGHTS:
        condition = codec.condition(torch.full((5, 1), weight))
        told.append(codec(images, Draw(draw.noise, draw.weight, condition)))
    codec.spread()
    spread = codec.draw(5, random(5))
    assert spread.condition is not None
    assert spread.condition.shape == (5, 3, 2)
    torch.testing.assert_close(codec(images, Draw(draw.noise, *_told(spread))), torch.cat(told, 1))


def _told(draw: Draw) -> tuple[Tensor, Tensor | None]:
    return draw.weight, draw.condition


def test_dead_latents_start_anew_and_only_they() -> None:
    data = bars(200)
    codecs = Codecs(Bottleneck(3, 4), (0.0, 0.1), 32, random())
    trained = Training(codecs, Critic(2, SHAPE, random()), data, Schedule(2, batch=8, turns=1))
    trained.run()
    codecs.standardise.mean[0, 1] -= 1e3  # further out than any image gets
    before = entropies(codecs, data.images, CPU)
    assert before[0, 1] == 0
    assert (before > 0.5).sum() == 5
    weight = codecs.encoder.layers[-1].weight
    kept = weight.detach().clone()
    adam = trained.optimisers[0].state[weight]["exp_avg"]
    assert adam[0, :, 1].abs().max() > 0
    assert revive(codecs, trained.optimisers[0], data.images, CPU, seed=1) == 1
    changed = (weight != kept).any(1)
    assert changed.tolist() == [[False, True, False], [False, False, False]]
    assert adam[0, :, 1].abs().max() == 0
    assert adam[1].abs().max() > 0
    assert codecs.standardise.training
