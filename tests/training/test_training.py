from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from short_runs import CPU, loop_of, run_of

from rdpcodec.errors import RdpError, UsageError
from rdpcodec.model.rate import LAMBDA_MIDDLE
from rdpcodec.model.rdp_model import TrainingOutput
from rdpcodec.quality import lambda_at
from rdpcodec.training import loop as looping
from rdpcodec.training.checkpoints.checkpoint import load_checkpoint
from rdpcodec.training.descent.schedule import Budget, rate_factor, scale_learning_rates
from rdpcodec.training.images.image_set import ImageSet, load_images, random_qualities
from rdpcodec.training.launch import train
from rdpcodec.training.loop import Loop
from rdpcodec.training.objectives.fidelity import Fidelity
from rdpcodec.training.objectives.losses import LOSS_EXPONENT, rate_distortion_loss
from rdpcodec.training.randomness import Randomness
from rdpcodec.training.settings import TRAINS, FidelitySettings, Launch, RunSettings


def fidelity_of(loop: Loop) -> Fidelity:
    assert isinstance(loop.objective, Fidelity)
    return loop.objective


def last_record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "log.jsonl").read_text().splitlines()[-1])


def test_crops_are_cut_from_the_images_and_half_are_mirrored() -> None:
    array = np.arange(40 * 50 * 3, dtype=np.uint8).reshape(40, 50, 3)
    images = ImageSet.of([array], CPU)
    crops = images.crops(64, 16, torch.Generator().manual_seed(0)) * 255
    mirrored = 0
    for crop in crops.round().byte().permute(0, 2, 3, 1).numpy():
        found = [
            flipped
            for flipped in (False, True)
            for top in range(25)
            for left in range(35)
            if np.array_equal(array[top : top + 16, left : left + 16][:, :: -1 if flipped else 1], crop)
        ]
        assert found
        mirrored += found[0]
    assert 16 < mirrored < 48


def test_training_and_validation_images_are_disjoint_and_stable(image_folder: Path) -> None:
    training, validation = load_images(image_folder, 64, CPU)
    assert (len(training), len(validation)) == (40, 2)
    again, _ = load_images(image_folder, 64, CPU)
    assert torch.equal(training.pixels, again.pixels)


@given(st.floats(0, 100), st.floats(0, 100), st.integers(0, 99))
def test_qualities_are_drawn_between_their_limits(one: float, other: float, seed: int) -> None:
    low, high = min(one, other), max(one, other)
    drawn = random_qualities(50, (low, high), torch.Generator().manual_seed(seed))
    assert (drawn >= low - 1e-4).all()
    assert (drawn <= high + 1e-4).all()
    assert abs(float(drawn.mean()) - (low + high) / 2) < 0.25 * (high - low) + 1e-4


def test_large_images_are_met_more_often_and_all_of_their_places() -> None:
    images = [np.full(shape, value, np.uint8) for shape, value in (((16, 16, 3), 0), ((48, 48, 3), 255))]
    generator = torch.Generator().manual_seed(0)
    crops = ImageSet.of(images, CPU).crops(1000, 16, generator)
    assert 0.87 < float(crops.mean()) < 0.93  # nine tenths of all pixels
    corners = np.zeros((18, 18, 3), np.uint8)
    corners[::17, ::17] = 255
    found = ImageSet.of([corners], CPU).crops(200, 16, generator).amax((1, 2, 3)).sum()
    assert 60 < float(found) < 120  # four of nine places touch a corner


def test_what_is_held_out_depends_on_names_alone(tmp_path: Path) -> None:
    """Files of every folder and spelling are read; the first of every forty by name is held out."""
    names = ["a/0.Jpeg", "a/b/0.JPG", "a/b/1.webp", *(f"b{number:02}.png" for number in range(38)), "c.PNG"]
    sides = {name: 32 + number % 5 for number, name in enumerate(names)}
    for folder, order in (("up", names), ("down", names[::-1])):
        for name in order:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (sides[name] + len(folder), 32)).save(path)
        (tmp_path / folder / "notes.txt").write_text("no image")
        training, held_out = load_images(tmp_path / folder, 32, CPU)
        widths = [sides[name] + len(folder) for name in names]
        assert held_out.widths.tolist() == [widths[0], widths[40]]
        assert training.widths.tolist() == widths[1:40] + widths[41:]


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too few"):
        load_images(tmp_path, 64, CPU)


def test_the_learning_rate_warms_up_holds_and_decays_to_zero() -> None:
    share = 0.4
    assert rate_factor(0, 0.0, share) < 0.01
    assert rate_factor(10_000, 1 - share, share) == 1
    assert rate_factor(10_000, 1 - share / 2, share) == pytest.approx(0.5)
    assert rate_factor(10_000, 1.0, share) == 0
    assert rate_factor(10_000, 1.0, 0.0) == 1  # stays, for another run to go on from


def test_rates_are_always_a_share_of_those_at_the_start() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": weights[:1]}, {"params": weights[1:], "lr": 5.0}]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    for factor in (0.5, 0.5, 1.0, 0.25):
        scale_learning_rates(optimizer, factor)
        assert [group["lr"] for group in optimizer.param_groups] == [factor, 5 * factor]
    resumed = torch.optim.SGD(groups, lr=1.0)
    resumed.load_state_dict(optimizer.state_dict())
    scale_learning_rates(resumed, 1.0)
    assert [group["lr"] for group in resumed.param_groups] == [1, 5]


def test_where_the_encoder_is_frozen_latents_are_rounded_as_it_rounds_them() -> None:
    rounded = {trains: run_of(1, trains=trains).by_rate for trains in TRAINS}
    assert rounded == {"everything": False, "decoder": True, "synthesis": True}


@pytest.mark.parametrize("trains", ["everything", "decoder"])
def test_a_step_rounds_latents_as_its_run_says(
    trains: str, image_folder: Path, tmp_path: Path, small_model: Path
) -> None:
    objective = fidelity_of(loop_of(run_of(1, trains=trains), image_folder, tmp_path, small_model))
    rounded: list[bool] = []
    objective.model.register_forward_pre_hook(
        lambda _, args, options: rounded.append(options["by_rate"]), with_kwargs=True
    )
    objective.train_step(1.0)
    assert rounded == [trains == "decoder"]


class Killed(Exception):
    """Stands for the process's end."""


def trained(
    run: FidelitySettings, folder: Path, data: Path, start: Path, killed_at: int | None = None
) -> dict[str, torch.Tensor]:
    """The weights and averages at the end, with or without a death and a resume in between."""
    folder.mkdir()
    loop = loop_of(run, data, folder, start)
    if killed_at is not None:
        step = loop.objective.train_step

        def step_or_die(factor: float, progress: float) -> dict[str, float]:
            if loop.step == killed_at:
                loop.save()
                raise Killed
            return step(factor, progress)

        loop.objective.train_step = step_or_die  # type: ignore[method-assign]
        with pytest.raises(Killed):
            loop.train(checkpoint_minutes=60)
        loop = loop_of(run, data, folder, start)
        loop.resume()
        assert loop.step == killed_at
    loop.train(checkpoint_minutes=60)
    objective = fidelity_of(loop)
    return objective.model.state_dict() | {f"average {k}": v for k, v in objective.average.values.items()}


def test_twelve_steps_are_nine_then_a_death_then_three(
    image_folder: Path, tmp_path: Path, small_model: Path
) -> None:
    """The bases of SOAP are updated after the death."""
    run = run_of(12)
    whole = trained(run, tmp_path / "whole", image_folder, small_model)
    resumed = trained(run, tmp_path / "resumed", image_folder, small_model, killed_at=9)
    assert last_record(tmp_path / "whole")["step"] == last_record(tmp_path / "resumed")["step"] == 12
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_run_with_other_settings_is_not_resumed(
    image_folder: Path, tmp_path: Path, small_model: Path
) -> None:
    loop_of(run_of(6), image_folder, tmp_path, small_model).save()
    with pytest.raises(UsageError, match="other settings"):
        loop_of(run_of(6, learning_rate=0.5), image_folder, tmp_path, small_model).resume()


def test_a_run_that_never_was_is_not_resumed(image_folder: Path, tmp_path: Path, small_model: Path) -> None:
    with pytest.raises(UsageError, match="no checkpoint"):
        loop_of(run_of(6), image_folder, tmp_path, small_model).resume()


def test_training_reduces_the_loss_and_logs_it(image_folder: Path, tmp_path: Path, small_model: Path) -> None:
    loop = loop_of(run_of(10, learning_rate=5e-3), image_folder, tmp_path, small_model)
    before = loop.objective.validate()["validation_loss"]
    loop.train(checkpoint_minutes=60)
    record = last_record(tmp_path)
    assert record["step"] == 10
    assert record["validation_loss"] < before
    assert {"loss", "bpp", "psnr", "gradient_norm", "megapixels_per_second"} <= record.keys()


def test_a_loss_that_is_not_finite_stops_the_run(
    image_folder: Path, tmp_path: Path, small_model: Path
) -> None:
    loop = loop_of(run_of(6), image_folder, tmp_path, small_model)
    with torch.no_grad():
        fidelity_of(loop).model.synthesis.bypass.bias.fill_(float("nan"))
    with pytest.raises(RdpError, match="the loss became nan at step 1"):
        loop.train(checkpoint_minutes=60)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_weights_that_are_not_finite_stop_the_run_before_a_checkpoint(
    image_folder: Path, tmp_path: Path, small_model: Path
) -> None:
    loop = loop_of(run_of(6), image_folder, tmp_path, small_model)
    optimizer = fidelity_of(loop).optimizers[0]
    weight = fidelity_of(loop).model.scale_network.enter.weight

    def spoil(*_: object) -> None:
        weight.data.fill_(float("nan"))

    optimizer.register_step_post_hook(spoil)
    with pytest.raises(RdpError, match="the weight norm became nan at step 2"):
        loop.train(checkpoint_minutes=0)
    assert not (tmp_path / "checkpoint.pt").exists()
    assert not np.isfinite(fidelity_of(loop).train_step(1.0)["loss"])


def test_a_run_that_diverges_keeps_its_last_good_checkpoint(
    image_folder: Path, tmp_path: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = loop_of(run_of(4), image_folder, tmp_path, small_model)
    loop.train(checkpoint_minutes=60)
    good = load_checkpoint(tmp_path / "checkpoint.pt", CPU)
    loop.budget = Budget(RunSettings(gigapixels=1))
    with torch.no_grad():
        fidelity_of(loop).model.synthesis.bypass.bias.add_(1000.0)
    monkeypatch.setattr(looping, "REPORT_SECONDS", -1.0)
    with pytest.raises(RdpError, match="the loss grew from"):
        loop.train(checkpoint_minutes=0)
    kept = load_checkpoint(tmp_path / "checkpoint.pt", CPU)
    assert kept["step"] == good["step"]
    assert all(torch.equal(kept["model"][name], good["model"][name]) for name in good["model"])


def test_weights_survive_a_gradient_that_is_not_finite(
    image_folder: Path, tmp_path: Path, small_model: Path
) -> None:
    objective = fidelity_of(loop_of(run_of(4), image_folder, tmp_path, small_model))
    objective.model.synthesis.bypass.bias.register_hook(lambda grad: grad * float("inf"))
    before = {name: p.clone() for name, p in objective.model.state_dict().items()}
    assert not np.isfinite(objective.train_step(1.0)["gradient_norm"])
    assert all(torch.equal(before[name], p) for name, p in objective.model.state_dict().items())


@pytest.mark.parametrize(
    ("trains", "parts"),
    [
        ("synthesis", {"synthesis"}),
        (
            "decoder",
            {"synthesis", "mean_network", "scale_network", "residual_density", "hyper_prior"},
        ),
    ],
)
def test_training_a_part_changes_nothing_else(
    image_folder: Path, tmp_path: Path, small_model: Path, trains: str, parts: set[str]
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "part").mkdir()
    loop_of(run_of(4), image_folder, tmp_path / "whole", small_model).train(checkpoint_minutes=60)
    start = tmp_path / "whole" / "checkpoint.pt"
    loop = loop_of(run_of(8, trains=trains), image_folder, tmp_path / "part", init=start)
    objective = fidelity_of(loop)
    before = {name: p.clone() for name, p in objective.model.state_dict().items()}
    loop.train(checkpoint_minutes=60)
    changed = {name for name, p in objective.model.state_dict().items() if not torch.equal(before[name], p)}
    assert {name.split(".")[0] for name in changed} == parts


def test_a_loss_is_bits_a_pixel_and_weighted_squared_error() -> None:
    x, quality = torch.rand(2, 3, 64, 128), torch.tensor([20.0, 90.0])
    errors = torch.tensor([0.1, 0.01])
    decoded = x + errors[:, None, None, None]
    bits = torch.tensor([4096.0, 8192.0])
    output = TrainingOutput(decoded, decoded, latent_bits=bits, hyper_bits=bits / 4)
    loss = rate_distortion_loss(output, x, quality)
    assert loss.bpp.tolist() == pytest.approx([0.625, 1.25])
    assert float(loss.psnr) == pytest.approx(30, rel=1e-4)  # the mean of 20 and 40 dB
    lambdas = lambda_at(quality)
    of_each = loss.bpp + lambdas * (255 * errors) ** 2
    expected = ((lambdas / LAMBDA_MIDDLE) ** LOSS_EXPONENT * of_each).mean()
    assert float(loss.total) == pytest.approx(float(expected), rel=1e-4)


def test_every_quality_is_trained(image_folder: Path, tmp_path: Path, small_model: Path) -> None:
    quality = fidelity_of(loop_of(run_of(1, batch=400), image_folder, tmp_path, small_model)).batch()[1]
    counts = torch.histc(quality, 4, 0, 100)
    assert counts.sum() == 400
    assert counts.min() > 70


def test_another_size_than_that_of_the_start_is_refused(small_model: Path, tmp_path: Path) -> None:
    """Before images are read: here there are none."""
    with pytest.raises(UsageError, match="these weights are not of size 'fast'"):
        Fidelity(run_of(1, size="fast"), tmp_path, CPU, init=small_model)


def test_low_rates_count_as_much_as_high_ones(image_folder: Path, tmp_path: Path, small_model: Path) -> None:
    """The weighted losses at the two ends of quality are of one order, as BD-rate weighs them."""
    objective = fidelity_of(loop_of(run_of(6), image_folder, tmp_path, small_model))
    x = objective.validation_crops
    losses = []
    for quality in (5.0, 95.0):
        q = torch.full((len(x),), quality)
        with torch.no_grad():
            losses.append(float(rate_distortion_loss(objective.model(x, q), x, q).total))
    assert 1 / 8 < losses[0] / losses[1] < 8


def test_a_run_that_is_there_is_not_overwritten_by_mistake(
    image_folder: Path, tmp_path: Path, small_model: Path
) -> None:
    run = run_of(2)
    loop_of(run, image_folder, tmp_path / "run", small_model).train(checkpoint_minutes=60)
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    made: list[torch.device] = []

    def objective(device: torch.device) -> Fidelity:
        made.append(device)
        return fidelity_of(loop_of(run, image_folder, tmp_path / "run", small_model))

    with pytest.raises(UsageError, match=r"a run already exists there: give --resume, or another --out"):
        train(objective, Launch(tmp_path / "run", "cpu"))
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before
    assert not made  # known before any image is read


def test_a_run_goes_on_with_another_seed_and_other_numbers(
    image_folder: Path, tmp_path: Path, small_model: Path
) -> None:
    first = loop_of(run_of(2), image_folder, tmp_path, small_model)
    first.train(checkpoint_minutes=60)
    batches = []
    for seed in (0, 0, 1):
        resumed = loop_of(replace(run_of(2), seed=seed), image_folder, tmp_path, small_model)
        resumed.resume()
        assert resumed.step == first.step
        batches.append(fidelity_of(resumed).batch()[0])
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])


def test_what_is_drawn_anew_depends_on_the_steps_before() -> None:
    """Otherwise a process other than the first, or a run with another seed, would meet its crops again."""
    state, drawn = Randomness(seed=5).state(), set()
    for steps in (0, 3, 4):
        randomness = Randomness(seed=6)
        randomness.load(state, steps)
        drawn.add(float(torch.rand((), generator=randomness.generator)))
    assert len(drawn) == 3
