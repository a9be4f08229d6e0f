from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import distributed_probe
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file
from small_model import CONSTANTS, SMALL

from rdpcodec import Codec
from rdpcodec.cli import rdpcodec as rdpcodec_command
from rdpcodec.errors import RdpError, UsageError
from rdpcodec.metrics.distortion import psnr
from rdpcodec.training import export as exporting
from rdpcodec.training import fidelity, schedule
from rdpcodec.training import loop as looping
from rdpcodec.training.checkpoint import (
    WeightAverage,
    load_checkpoint,
    save_checkpoint,
)
from rdpcodec.training.data import ImageSet, load_images
from rdpcodec.training.fidelity import Fidelity, FidelityRun
from rdpcodec.training.loop import Loop
from rdpcodec.training.losses import rate_distortion_loss
from rdpcodec.training.schedule import DECAY_SHARE, Budget, rate_factor
from rdpcodec.training.totals import totals_of
from rdpcodec.weights.manifest import hours_by_device
from rdpcodec.weights.release import ReleasedModel, architecture_from

CPU = torch.device("cpu")
PIXELS_A_STEP = 4 * 64**2


def run_of(steps: int, **changes: object) -> FidelityRun:
    settings = {
        "gigapixels": steps * PIXELS_A_STEP / 1e9,
        "batch": 4,
        "crop": 64,
        **changes,
    }
    return FidelityRun(**settings)  # type: ignore[arg-type]


def loop_of(run: FidelityRun, data: Path, out: Path, init: Path | None = None) -> Loop:
    """The loop of a small model: what is tested does not depend on the size."""
    objective = Fidelity(run, data, CPU, init=init, architecture=SMALL)
    return Loop(objective, out, Budget(run.minutes, run.gigapixels))


def fidelity_of(loop: Loop) -> Fidelity:
    assert isinstance(loop.objective, Fidelity)
    return loop.objective


def last_record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "log.jsonl").read_text().splitlines()[-1])


@pytest.fixture(autouse=True)
def small_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CONSTANTS.items():
        monkeypatch.setattr(fidelity, name, value)


def test_crops_are_cut_from_the_pictures_and_half_are_mirrored() -> None:
    array = np.arange(40 * 50 * 3, dtype=np.uint8).reshape(40, 50, 3)
    pictures = ImageSet([array], CPU)
    crops = pictures.crops(64, 16, torch.Generator().manual_seed(0)) * 255
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


def test_training_and_validation_pictures_are_disjoint_and_stable(picture_folder: Path) -> None:
    training, validation = load_images(picture_folder, 64, CPU)
    assert (len(training), len(validation)) == (40, 2)
    again, _ = load_images(picture_folder, 64, CPU)
    assert torch.equal(training.pixels, again.pixels)


def test_too_few_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too few"):
        load_images(tmp_path, 64, CPU)


def test_the_learning_rate_warms_up_holds_and_decays_to_zero() -> None:
    assert rate_factor(0, 0.0) < 0.01
    assert rate_factor(10_000, 1 - DECAY_SHARE) == 1
    assert rate_factor(10_000, 1 - DECAY_SHARE / 2) == pytest.approx(0.5)
    assert rate_factor(10_000, 1.0) == 0


def test_a_run_decays_over_the_share_of_its_budget_that_it_is_told(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors: list[float] = []

    def recorded(self: Fidelity, factor: float, progress: float = 0.0) -> dict[str, float]:
        factors.append(factor)
        return {"loss": 1.0, "gradient_norm": 1.0}

    monkeypatch.setattr(Fidelity, "train_step", recorded)
    monkeypatch.setattr(schedule, "WARMUP_STEPS", 1)
    words = ["--data", str(picture_folder), "--out", str(tmp_path), "--batch", "1", "--crop", "64"]
    budget = ["--gigapixels", str(8 * 64**2 / 1e9), "--decay", "0.5"]
    result = CliRunner().invoke(rdpcodec_command, ["train", "fidelity", *words, *budget])
    assert result.exit_code == 0, result.output
    assert factors == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25])
    refused = CliRunner().invoke(
        rdpcodec_command, ["train", "fidelity", *words, "--minutes", "1", "--decay", "0"]
    )
    assert refused.exit_code == 2


class Killed(Exception):
    """Stands for the process's end."""


def trained(
    run: FidelityRun, folder: Path, data: Path, killed_at: int | None = None
) -> dict[str, torch.Tensor]:
    """The weights and averages at the end, with or without a death and a resume in between."""
    folder.mkdir()
    loop = loop_of(run, data, folder)
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
        loop = loop_of(run, data, folder)
        loop.resume()
        assert loop.step == killed_at
    loop.train(checkpoint_minutes=60)
    objective = fidelity_of(loop)
    return objective.model.state_dict() | {f"average {k}": v for k, v in objective.average.values.items()}


def test_forty_steps_are_twenty_then_a_death_then_twenty(picture_folder: Path, tmp_path: Path) -> None:
    run = run_of(40)
    whole = trained(run, tmp_path / "whole", picture_folder)
    resumed = trained(run, tmp_path / "resumed", picture_folder, killed_at=20)
    assert last_record(tmp_path / "whole")["step"] == last_record(tmp_path / "resumed")["step"] == 40
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_run_with_other_settings_is_not_resumed(picture_folder: Path, tmp_path: Path) -> None:
    loop_of(run_of(6), picture_folder, tmp_path).save()
    with pytest.raises(UsageError, match="other settings"):
        loop_of(run_of(6, learning_rate=0.5), picture_folder, tmp_path).resume()


def test_a_run_that_never_was_is_not_resumed(picture_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no checkpoint"):
        loop_of(run_of(6), picture_folder, tmp_path).resume()


def test_training_reduces_the_loss_and_logs_it(picture_folder: Path, tmp_path: Path) -> None:
    loop = loop_of(run_of(60, learning_rate=5e-3), picture_folder, tmp_path)
    before = loop.objective.validate()["validation_loss"]
    loop.train(checkpoint_minutes=60)
    record = last_record(tmp_path)
    assert record["step"] == 60
    assert record["validation_loss"] < before
    assert {"loss", "bpp", "psnr", "gradient_norm", "megapixels_per_second"} <= record.keys()


def test_a_loss_that_is_not_finite_stops_the_run(picture_folder: Path, tmp_path: Path) -> None:
    loop = loop_of(run_of(6), picture_folder, tmp_path)
    with torch.no_grad():
        fidelity_of(loop).model.synthesis.bypass.bias.fill_(float("nan"))
    with pytest.raises(RdpError, match="the loss became nan at step 1"):
        loop.train(checkpoint_minutes=60)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_weights_that_are_not_finite_stop_the_run_before_a_checkpoint(
    picture_folder: Path, tmp_path: Path
) -> None:
    loop = loop_of(run_of(6), picture_folder, tmp_path)
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
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = loop_of(run_of(4), picture_folder, tmp_path)
    loop.train(checkpoint_minutes=60)
    good = load_checkpoint(tmp_path / "checkpoint.pt", CPU)
    loop.budget = Budget(None, 1.0)
    with torch.no_grad():
        fidelity_of(loop).model.synthesis.bypass.bias.add_(1000.0)
    monkeypatch.setattr(looping, "REPORT_SECONDS", -1.0)
    with pytest.raises(RdpError, match="the loss grew from"):
        loop.train(checkpoint_minutes=0)
    kept = load_checkpoint(tmp_path / "checkpoint.pt", CPU)
    assert kept["step"] == good["step"]
    assert all(torch.equal(kept["model"][name], good["model"][name]) for name in good["model"])


def test_weights_survive_a_gradient_that_is_not_finite(picture_folder: Path, tmp_path: Path) -> None:
    objective = fidelity_of(loop_of(run_of(4), picture_folder, tmp_path))
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
    picture_folder: Path, tmp_path: Path, trains: str, parts: set[str]
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "part").mkdir()
    loop_of(run_of(4), picture_folder, tmp_path / "whole").train(checkpoint_minutes=60)
    start = tmp_path / "whole" / "checkpoint.pt"
    loop = loop_of(run_of(8, trains=trains), picture_folder, tmp_path / "part", init=start)
    objective = fidelity_of(loop)
    before = {name: p.clone() for name, p in objective.model.state_dict().items()}
    loop.train(checkpoint_minutes=60)
    changed = {name for name, p in objective.model.state_dict().items() if not torch.equal(before[name], p)}
    assert {name.split(".")[0] for name in changed} == parts


def test_two_processes_are_one_with_twice_the_batch(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two gloo processes and one process that is given both their crops and noise reach the same loss."""
    script = Path(__file__).with_name("distributed_probe.py")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [str(script), str(picture_folder), str(tmp_path)]
    probe = subprocess.run(launcher + words, timeout=240, env=environment, capture_output=True, text=True)
    assert probe.returncode == 0, probe.stderr
    together = load_checkpoint(tmp_path / "two" / "checkpoint.pt", CPU)
    for module, name in ((torch, "rand_like"), (fidelity, "make_optimizers")):
        monkeypatch.setattr(module, name, getattr(module, name))  # to have it back after the probe
    distributed_probe.main(picture_folder, tmp_path)
    alone = load_checkpoint(tmp_path / "one" / "checkpoint.pt", CPU)
    assert together["step"] == alone["step"] == 3
    assert together["pixels"] == alone["pixels"]
    for name, weights in alone["model"].items():
        assert torch.allclose(together["model"][name], weights, rtol=1e-4, atol=1e-5), name
    one, two = ([float(p.read_text()) for p in (tmp_path / n).glob("loss-*")] for n in ("one", "two"))
    assert len(two) == 2
    assert [sum(two) / 2] == pytest.approx(one, rel=1e-4)


def test_the_record_of_a_run_says_what_trained_it(picture_folder: Path, tmp_path: Path) -> None:
    loop = loop_of(run_of(1), picture_folder, tmp_path)
    loop.train(checkpoint_minutes=60)
    state = load_checkpoint(tmp_path / "checkpoint.pt", CPU)
    once = totals_of(state | {"seconds": 5400.0})
    twice = totals_of(state | {"seconds": 720.0, "device": "NVIDIA H200", "totals": once.record()})
    thrice = totals_of(state | {"seconds": 5400.0, "totals": twice.record()})
    assert hours_by_device(thrice.record()) == "3 hours on CPU and 0.2 hours on NVIDIA H200"
    assert thrice.runs == 3
    assert thrice.gigapixels == pytest.approx(3 * once.gigapixels, abs=2e-3)


def test_checkpoints_replace_each_other_whole(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    for value in (1, 2):
        save_checkpoint(path, {"value": torch.tensor(value)})
    assert int(load_checkpoint(path, CPU)["value"]) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_the_average_follows_the_weights() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    average = WeightAverage(module, decay=0.9)
    torch.nn.init.constant_(module.weight, 5.0)
    for _ in range(200):
        average.update_parameters(module)
    assert float(average.values["weight"]) == pytest.approx(5.0, rel=1e-3)
    module.weight.data.fill_(6.0)
    average.update_parameters(module)
    assert float(average.values["weight"]) == pytest.approx(5.1, rel=1e-3)


def test_low_rates_count_as_much_as_high_ones(picture_folder: Path, tmp_path: Path) -> None:
    """The weighted losses at the two ends of the dial are of one order, as BD-rate weighs them."""
    objective = fidelity_of(loop_of(run_of(6), picture_folder, tmp_path))
    x = objective.validation_crops[:4]
    losses = []
    for quality in (5.0, 95.0):
        q = torch.full((4,), quality)
        with torch.no_grad():
            losses.append(float(rate_distortion_loss(objective.model(x, q), x, q).total))
    assert 1 / 8 < losses[0] / losses[1] < 8


def test_an_exported_run_is_a_working_codec(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photograph: Image.Image
) -> None:
    monkeypatch.setattr(exporting.counting, "CALIBRATION_CROPS", 6)
    monkeypatch.setattr(exporting.counting, "CALIBRATION_SIDE", 64)
    loop_of(run_of(2), picture_folder, tmp_path).train(checkpoint_minutes=60)
    record = exporting.export(tmp_path / "checkpoint.pt", picture_folder, "fast", tmp_path / "weights")
    assert record["largest_exact_sum"] < 2**24
    assert record["training"]["runs"] == 1
    assert record["size"] == "own"
    path = tmp_path / "weights" / "fast.safetensors"
    tensors = load_file(path)
    architecture = architecture_from(record["architecture"])
    codec = Codec(ReleasedModel.from_tensors("fast", architecture, tensors, CPU))
    image = photograph.crop((100, 100, 200, 180))
    decoded = codec.decompress(codec.compress(image, 80))
    # Even all but untrained the Haar transform makes a codec.
    assert psnr(np.asarray(image), np.asarray(decoded)) > 20

    # More training of the synthesis alone keeps files readable, more training of everything does not.
    (tmp_path / "more").mkdir()
    for trains in ("synthesis", "decoder", "everything"):
        run = run_of(2, trains=trains)
        loop_of(run, picture_folder, tmp_path / "more", init=path).train(checkpoint_minutes=60)
        again = exporting.export(
            tmp_path / "more" / "checkpoint.pt", picture_folder, "fast", tmp_path / "weights"
        )
        assert (again["bitstream_fingerprint"] == record["bitstream_fingerprint"]) == (trains == "synthesis")
        assert again["synthesis_fingerprint"] != record["synthesis_fingerprint"]
        assert again["training"]["runs"] == record["training"]["runs"] + 1
        record = again
    card = (tmp_path / "weights" / "MODEL_CARD.md").read_text()
    assert card.count("<!-- training fast -->") == card.count("<!-- data -->") == 1
    assert f"| {record['training']['runs']} |" in card


def test_the_command_line_wants_one_budget(tmp_path: Path) -> None:
    words = ["train", "fidelity", "--data", str(tmp_path), "--out", str(tmp_path / "run")]
    for more in ([], ["--minutes", "1", "--gigapixels", "1"]):
        result = CliRunner().invoke(rdpcodec_command, [*words, *more])
        assert result.exit_code == 2
        assert "give --minutes or --gigapixels" in result.stderr


@pytest.mark.parametrize("words", [["train", "fidelity"], ["export"]])
def test_the_command_explains_its_options(words: list[str]) -> None:
    shown = CliRunner().invoke(rdpcodec_command, [*words, "--help"], prog_name="rdpcodec").stdout
    assert f"Usage: rdpcodec {' '.join(words)}" in shown
    assert "--data" in shown
