"""Grouped training against separate training, critics against known distances, readers against bad files."""

from __future__ import annotations

import gzip
import struct
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from bars import SHAPE, bars, idx, random, write_mnist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.measure.distribution import random_directions, sliced_wasserstein
from bench.papers.digits.codec import Bottleneck, Codecs, ConditionedCodec, quantised
from bench.papers.digits.latents import entropies, revive
from bench.papers.wgan.classifier import DESIGNS, error_rate, train_classifier
from bench.papers.wgan.critic import (
    PENALTY,
    Critic,
    CriticSize,
    Layer,
    gradient_norms,
    penalty,
    projections,
)
from bench.papers.wgan.data import load_cifar10, load_mnist, read_idx, read_npz
from bench.papers.wgan.frontier import hull, hull_ends, least
from bench.papers.wgan.measure import fresh_critics, measure
from bench.papers.wgan.networks import (
    GroupedConvolution,
    GroupedLinear,
    Perceptrons,
    Standardised,
    select_models,
)
from bench.papers.wgan.once import once
from bench.papers.wgan.seeds import OverSeeds
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
    """MSE + λ · W₁, or λ times the distance of mean features, without the pass that both share."""
    trained, rng = training(WEIGHTS, layer=layer, turns=1), random()
    codecs, critic = Codecs(Bottleneck(3, 4), WEIGHTS, 32, rng), Critic(3, SHAPE, rng)
    rng = random()  # as the schedule's seed
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
    """Each turn draws a batch; models are asked for gradients in the last one alone."""
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


# Latents.


def test_dead_latents_start_anew_and_only_they() -> None:
    data = bars(200)
    codecs = Codecs(Bottleneck(3, 4), (0.0, 0.1), 32, random())
    trained = Training(codecs, Critic(2, SHAPE, random()), data, Schedule(2, batch=8, turns=1))
    trained.run()
    codecs.standardise.mean[0, 1] -= 1e3  # as far out as no image gets
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


# Seeds.


def test_means_over_seeds_have_their_standard_error() -> None:
    several = OverSeeds(np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]))
    assert several.text(0) == "2.00 ± 0.58"
    assert several.clearly == pytest.approx([2 - 2 / np.sqrt(3), 5])
    alone = OverSeeds(np.array([[1.25]]))
    assert alone.text(0) == "1.25"
    assert alone.clearly == 1.25


# The bottleneck.


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


# Critics.


class Linear(nn.Module):
    """A critic with a known slope."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.slope * images.flatten(2).sum(2) / 28


@pytest.mark.parametrize("slope", [0.0, 0.5, 3.0])
def test_the_gradient_penalty_of_a_linear_critic_is_in_closed_form(slope: float) -> None:
    images = torch.rand(6, *SHAPE, generator=random())
    fake = torch.rand(6, 2, *SHAPE, generator=random(1))
    norms = gradient_norms(Linear(slope), images, fake, torch.rand(6, generator=random(2)))
    assert norms.detach().numpy() == pytest.approx(np.full((6, 2), slope), abs=1e-5)
    assert penalty(norms).tolist() == pytest.approx([PENALTY * (slope - 1) ** 2] * 2, abs=1e-4)


class Shift(nn.Module):
    """Gives images back darker by a step: known distances."""

    def __init__(self, steps: tuple[float, ...]) -> None:
        super().__init__()
        self.steps = torch.tensor(steps)

    def draw(self, batch: int, rng: torch.Generator) -> Draw:
        return Draw((), torch.zeros(1, len(self.steps)))

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        return images[:, None] - self.steps[:, None, None, None]


def test_fresh_critics_recover_the_distance_of_a_shift() -> None:
    """A shift by δ moves every image by δ√784, and no plan is shorter; the soft penalty alone would let a
    critic say 8 % more at a distance of 5.6.
    """
    data = bars(256)
    shift = Shift((0.05, 0.2))
    critic = fresh_critics(shift, 2, data, Schedule(150, batch=32, rate=2e-3), CPU)
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
    assert once(path, {"steps": 1}, lambda: {"mse": [0.5]}) == {"mse": [0.5], "settings": {"steps": 1}}
    assert once(path, {"steps": 1}, dict)["mse"] == [0.5]
    with pytest.raises(UsageError, match="another plan"):
        once(path, {"steps": 2}, dict)
    path.write_text("{")
    with pytest.raises(UsageError, match="not a record of a training"):
        once(path, {"steps": 1}, dict)


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


# Frontiers.


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), min_size=1, max_size=12))
def test_hulls_lie_under_all_points_and_are_convex_and_falling(points: list[tuple[int, int]]) -> None:
    x, y = (np.array(values) / 100 for values in zip(*points, strict=True))
    a, b = hull(x, y)
    assert (np.diff(a) > 0).all()
    assert (np.diff(b) < 0).all()
    slopes = np.diff(b) / np.diff(a)
    assert (np.diff(slopes) >= -1e-6 * np.abs(slopes[1:])).all()
    assert (least(x, y, x) <= y + 1e-9).all()
    assert least(x, y, np.array([np.inf]))[0] == y.min()
    assert np.isnan(least(x, y, np.array([x.min() - 1]))).all()


def test_the_price_of_perception_is_read_off_the_hulls_ends() -> None:
    group = {"wasserstein": [4.0, 2.0, 1.0, 3.0], "mse": [1.0, 1.2, 1.5, 2.5]}  # the last one is beaten twice
    assert hull_ends(group) == pytest.approx(1.5)


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


# Readers.


def test_idx_files_are_read_with_and_without_gzip(tmp_path: Path) -> None:
    data = bars(20)
    write_mnist(tmp_path, data)
    split = load_mnist(tmp_path)
    assert np.array_equal(split.train.images, data.images)
    assert np.array_equal(split.test.labels, data.labels)


@given(st.binary(max_size=40))
@settings(max_examples=60, deadline=None)
def test_arbitrary_bytes_are_refused_or_are_whole_arrays(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(data)
    with suppress(UsageError):
        assert idx(read_idx(path)) == data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (idx(np.zeros((2, 3), np.uint8))[:-1], "has 5 bytes of values"),
        (idx(np.zeros((2, 3), np.uint8)) + b"x", "has more bytes of values"),
        (idx(np.zeros((2, 3), np.uint8))[:9], "ends inside its header"),
        (idx(np.zeros((2, 3), np.uint8), kind=13), "not an IDX file of unsigned bytes"),
        (bytes((0, 0, 8, 3)) + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1), "announces"),
        (b"", "not an IDX file"),
    ],
)
def test_broken_idx_files_are_refused_in_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    for name, content in (("plain", data), ("packed.gz", gzip.compress(data))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match=message) as caught:
            read_idx(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(idx(np.zeros((9, 9), np.uint8)))[:-12])
    with pytest.raises(UsageError, match=r"cut\.gz"):
        read_idx(tmp_path / "cut.gz")


def test_npz_files_are_read_and_others_refused(tmp_path: Path) -> None:
    images = np.arange(2 * 32 * 32 * 3, dtype=np.uint8).reshape(2, 32, 32, 3)
    good = {"images": images, "labels": np.array([3, 9], np.uint8)}
    path = tmp_path / "train.npz"
    np.savez(path, **good)
    read = read_npz(path)
    assert read.images.shape == (2, 3, 32, 32)
    assert np.array_equal(read.images[1, :, 4, 5], images[1, 4, 5])
    for change, message in (
        ({"labels": np.array([3, 10], np.uint8)}, "classes 0 to 9"),
        ({"labels": np.array([3], np.uint8)}, "2 images, but labels"),
        ({"labels": np.array([3, {}], object)}, "cannot be read as npz"),
        ({"images": images[..., :1]}, "not uint8"),
        ({"images": images / 255}, "not uint8"),
    ):
        np.savez(path, **{**good, **change})
        with pytest.raises(UsageError, match=message):
            read_npz(path)
    np.savez(path, labels=good["labels"])
    with pytest.raises(UsageError, match="no array"):
        read_npz(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UsageError, match="cannot be read as npz"):
        read_npz(path)


def test_a_folder_without_the_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no train-images-idx3-ubyte"):
        load_mnist(tmp_path)


def test_without_a_folder_and_without_torchvision_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    for load in (load_mnist, load_cifar10):
        with pytest.raises(UsageError, match="give its folder with --data, or install torchvision"):
            load(None)


def test_torchvision_fetches_what_no_folder_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with torchvision's interface: it keeps MNIST as IDX files and CIFAR-10 as arrays."""
    data = bars(30)
    write_mnist(tmp_path, data)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    datasets = ModuleType("torchvision.datasets")
    vars(datasets)["MNIST"] = lambda root, download: SimpleNamespace(raw_folder=str(tmp_path))
    vars(datasets)["CIFAR10"] = lambda root, train, download: SimpleNamespace(
        data=images, targets=[1, 2, 3, 4, 5] if train else [9, 8, 7, 6, 5]
    )
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)
    assert np.array_equal(load_mnist(None).train.images, data.images)
    split = load_cifar10(None)
    assert np.array_equal(split.train.images, images.transpose(0, 3, 1, 2))
    assert split.test.labels.tolist() == [9, 8, 7, 6, 5]


def test_a_restorer_is_what_training_asks_for() -> None:
    restorer: Restorer = Codecs(Bottleneck(1, 2), (0.0,), 8, random())
    assert restorer.draw(2, random()).weight.shape == (1, 1)
