"""Grouped training against separate training, critics against known distances, runs that go on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from bars import SHAPE, bars, random
from torch import Tensor, nn

from bench.metrics.distribution import random_directions, sliced_wasserstein
from bench.papers.digits.codec import Bottleneck, Codecs
from bench.papers.wgan.classifier import DESIGNS, error_rate, train_classifier
from bench.papers.wgan.critic import Critic, CriticSize, Layer, gradient_norms, projections
from bench.papers.wgan.measure import fresh_critics, measure
from bench.papers.wgan.records import kept_or_made
from bench.papers.wgan.train import CPU, Draw, Restorer, Schedule, Training
from rdpcodec.errors import UsageError

WEIGHTS = (0.0, 0.01, 0.03)


def training(
    weights: tuple[float, ...], steps: int = 3, *, layer: Layer | None = None, turns: int = 2
) -> Training:
    rng = random()
    codecs = Codecs(Bottleneck(3, 4), weights, 32, rng)
    critic = Critic(len(weights), SHAPE, rng)
    return Training(codecs, critic, bars(64), Schedule(steps, batch=8, turns=turns), layer=layer)


# Groups.


@pytest.mark.parametrize("layer", [None, "a", "c"])
def test_a_group_trains_as_each_of_its_models_would_by_itself(layer: Layer | None) -> None:
    together = training(WEIGHTS, layer=layer)
    together.run()
    for index, weight in enumerate(WEIGHTS):
        alone = training((weight,), layer=layer)
        alone.run()
        for part in ("restorer", "critic"):
            joint = getattr(together, part).state_dict()
            for name, value in getattr(alone, part).state_dict().items():
                torch.testing.assert_close(joint[name][index], value[0], rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("layer", [None, "a", "b", "c"])
def test_models_follow_the_gradient_of_the_loss_as_it_is_written(layer: Layer | None) -> None:
    """MSE + λ · W₁, or λ times the distance of mean features, without the pass shared with the critics."""
    trained, rng = training(WEIGHTS, layer=layer, turns=1), random()
    codecs, critic = Codecs(Bottleneck(3, 4), WEIGHTS, 32, rng), Critic(3, SHAPE, rng)
    rng = random()  # seeded like the schedule
    chosen, _ = torch.randint(64, (8,), generator=rng), torch.rand(8, generator=rng)
    images = torch.tensor(bars(64).images)[chosen].float() / 255
    restored = codecs(images, codecs.draw(8, rng))
    real = images[:, None].expand_as(restored)
    if layer:
        apart = critic.layers(real)[layer].mean(0) - critic.layers(restored)[layer].mean(0)
        perception = apart.flatten(1).square().sum(1).sqrt()
    else:
        perception = critic(real).mean(0) - critic(restored).mean(0)
    loss = (restored - real).square().mean((0, 2, 3, 4)) + torch.tensor(WEIGHTS) * perception
    loss.sum().backward()
    trained.step()
    assert isinstance(trained.restorer, Codecs)
    for expected, found in zip(codecs.parameters(), trained.restorer.parameters(), strict=True):
        if not expected.requires_grad:
            continue
        assert expected.grad is not None
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-6)


def test_critics_take_more_turns_than_models() -> None:
    """Each turn draws a batch; models compute gradients only in the last turn."""
    asked: list[bool] = []

    class Told(Codecs):
        def forward(self, images: Tensor, draw: Draw) -> Tensor:
            asked.append(torch.is_grad_enabled())
            return super().forward(images, draw)

    rng = random()
    codecs = Told(Bottleneck(3, 4), WEIGHTS, 16, rng)
    Training(codecs, Critic(3, SHAPE, rng), bars(32), Schedule(2, batch=8, turns=3)).run()
    assert asked == [False, False, True] * 2


def test_the_critics_layers_are_those_of_the_talk() -> None:
    critic = Critic(1, SHAPE, random(), size=CriticSize())
    layers = critic.layers(torch.rand(3, 1, *SHAPE))
    assert [tuple(layer.shape) for layer in layers.values()] == [
        (3, 1, 64, 14, 14),
        (3, 1, 128, 7, 7),
        (3, 1, 4096),
    ]


def test_models_with_other_weights_part_ways() -> None:
    trained = training(WEIGHTS)
    trained.run()
    assert isinstance(trained.restorer, Codecs)
    paint = trained.restorer.paint.weight
    assert (paint[1] - paint[2]).abs().max() > 1e-4


# Critics.


class Linear(nn.Module):
    """A critic with a known slope."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.slope * images.flatten(2).sum(2) / 28


@pytest.mark.parametrize("slope", [0.0, 0.5, 3.0])
def test_slopes_of_a_linear_critic_are_known(slope: float) -> None:
    images = torch.rand(6, *SHAPE, generator=random())
    fake = torch.rand(6, 2, *SHAPE, generator=random(1))
    norms = gradient_norms(Linear(slope), images, fake, torch.rand(6, generator=random(2)))
    assert norms.numpy() == pytest.approx(np.full((6, 2), slope), abs=1e-5)


class Shift(nn.Module):
    """Returns images darkened by a step, so that distances are known."""

    def __init__(self, steps: tuple[float, ...]) -> None:
        super().__init__()
        self.steps = torch.tensor(steps)

    def draw(self, batch: int, rng: torch.Generator) -> Draw:
        return Draw((), torch.zeros(1, len(self.steps)))

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        return images[:, None] - self.steps[:, None, None, None]


def test_fresh_critics_recover_the_distance_of_a_shift() -> None:
    """A shift by δ moves every image by δ√784, and no plan is shorter. With the soft penalty alone, a critic
    could say 8 % more at a distance of 5.6.
    """
    data = bars(256)
    shift = Shift((0.05, 0.2))
    critic = fresh_critics(shift, 2, data, Schedule(100, batch=32, rate=3e-3), CPU)
    measured = measure(shift, {"wasserstein": critic}, data, CPU)
    assert measured["detail"] == pytest.approx([1, 1])
    assert measured["spread"] == pytest.approx([1, 1])
    assert measured["wasserstein"] == pytest.approx(np.array([0.05, 0.2]) * 28, rel=0.04)
    assert measured["mse"] == pytest.approx([0.05**2, 0.2**2], rel=1e-4)
    assert measured["change"] == pytest.approx([0, 0.15**2], rel=1e-4)


def test_sliced_distance_of_a_shift_is_what_directions_see_of_it() -> None:
    directions = random_directions(784, 500)
    images = torch.rand(200, *SHAPE, generator=random())
    moved = projections(images + 0.1, directions)
    expected = 0.1 * directions.sum(0).abs().mean()
    assert sliced_wasserstein(projections(images, directions), moved) == pytest.approx(float(expected))
    assert float(expected) == pytest.approx(0.1 * 28 * np.sqrt(2 / np.pi / 784), rel=0.1)
    assert sliced_wasserstein(moved, moved[torch.randperm(200, generator=random())]) == 0


# Going on.


def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, first, second = training(WEIGHTS, 4), training(WEIGHTS, 4), training(WEIGHTS, 4)
    whole.run()
    first.step()
    first.step()
    first.save(tmp_path / "run.pt")
    second.run(tmp_path / "run.pt")
    assert second.done == 4
    for part in ("restorer", "critic"):
        expected = getattr(whole, part).state_dict()
        for name, value in getattr(second, part).state_dict().items():
            assert torch.equal(value, expected[name]), name


def test_a_killed_run_leaves_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.papers.wgan.train._SECONDS_BETWEEN_CHECKPOINTS", 0.0)

    def kill(step: int) -> None:
        if step == 3:
            raise KeyboardInterrupt

    killed, resumed = training(WEIGHTS, 4), training(WEIGHTS, 4)
    with pytest.raises(KeyboardInterrupt):
        killed.run(tmp_path / "run.pt", kill)
    resumed.load(tmp_path / "run.pt")
    assert resumed.done == 2
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_what_is_known_is_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert kept_or_made(path, {"steps": 1}, lambda: {"mse": [0.5]}) == {
        "mse": [0.5],
        "settings": {"steps": 1},
    }
    assert kept_or_made(path, {"steps": 1}, dict)["mse"] == [0.5]
    with pytest.raises(UsageError, match="another plan"):
        kept_or_made(path, {"steps": 2}, dict)
    path.write_text("{")
    with pytest.raises(UsageError, match="not a record of a training"):
        kept_or_made(path, {"steps": 1}, dict)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    training(WEIGHTS).save(path)
    with pytest.raises(UsageError, match="another schedule"):
        training(WEIGHTS, 5).run(path)
    with pytest.raises(UsageError, match="not a checkpoint of this run"):
        training((0.0,)).run(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UsageError, match="not a checkpoint of this run"):
        training(WEIGHTS).run(path)


# Classifiers.


@pytest.mark.parametrize("design", DESIGNS)
def test_classifiers_learn_and_are_frozen_and_kept(design: str, tmp_path: Path) -> None:
    data, cache = bars(300), tmp_path / "classifier.pt"
    network = train_classifier(design, data, 80, CPU, cache, batch=32)
    assert error_rate(network, bars(100, seed=1), CPU) < 0.4
    assert not any(parameter.requires_grad for parameter in network.parameters())
    again = train_classifier(design, data, 0, CPU, cache)
    assert all(map(torch.equal, network.state_dict().values(), again.state_dict().values()))
    assert network.features(torch.rand(2, *SHAPE)).ndim == 4


def test_a_restorer_is_what_training_asks_for() -> None:
    restorer: Restorer = Codecs(Bottleneck(1, 2), (0.0,), 8, random())
    assert restorer.draw(2, random()).weight.shape == (1, 1)
