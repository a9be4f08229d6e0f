from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rdpcodec import Codec
from rdpcodec.errors import RdpError, UsageError
from rdpcodec.metrics.distortion import psnr
from rdpcodec.model.transforms import Architecture
from rdpcodec.release import ReleasedModel, architecture_from
from rdpcodec.training import export as exporting
from rdpcodec.training import fidelity
from rdpcodec.training.checkpoint import ExponentialAverage, load_checkpoint, save_checkpoint
from rdpcodec.training.data import Pictures, load_pictures
from rdpcodec.training.fidelity import FidelityRun, Trainer, rate_distortion_loss
from rdpcodec.training.schedule import DECAY_SHARE, rate_factor

CPU = torch.device("cpu")
PIXELS_A_STEP = 4 * 64**2
SMALL = Architecture(eighth=16, sixteenth=24, latents=96, hyper_latents=8, prior=16, scale=8)


def run_of(steps: int, **changes: object) -> FidelityRun:
    settings = {
        "gigapixels": steps * PIXELS_A_STEP / 1e9,
        "batch": 4,
        "crop": 64,
        "compile": False,
        **changes,
    }
    return FidelityRun(**settings)  # type: ignore[arg-type]


def trainer_of(run: FidelityRun, data: Path, out: Path) -> Trainer:
    """A trainer of a small model: what is tested does not depend on the size."""
    return Trainer(run, data, out, architecture=SMALL)


@pytest.fixture(autouse=True)
def small_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fidelity, "KLT_PATCHES", 3000)


def test_crops_are_cut_from_the_pictures_and_half_are_mirrored() -> None:
    array = np.arange(40 * 50 * 3, dtype=np.uint8).reshape(40, 50, 3)
    pictures = Pictures([array], CPU)
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
    training, validation = load_pictures(picture_folder, 64, CPU)
    assert (len(training), len(validation)) == (40, 2)
    again, _ = load_pictures(picture_folder, 64, CPU)
    assert torch.equal(training.pixels, again.pixels)


def test_too_few_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too few"):
        load_pictures(tmp_path, 64, CPU)


def test_the_learning_rate_warms_up_holds_and_decays_to_zero() -> None:
    assert rate_factor(0, 0.0) < 0.01
    assert rate_factor(10_000, 1 - DECAY_SHARE) == 1
    assert rate_factor(10_000, 1 - DECAY_SHARE / 2) == pytest.approx(0.5)
    assert rate_factor(10_000, 1.0) == 0


def test_a_resumed_run_is_the_run_that_was_not_stopped(picture_folder: Path, tmp_path: Path) -> None:
    def trained(folder: Path, stops: list[int]) -> dict[str, torch.Tensor]:
        folder.mkdir()
        for number, stop in enumerate(stops):
            trainer = trainer_of(run_of(6), picture_folder, folder)
            if number:
                trainer.resume()
            while trainer.step < stop:
                trainer.train_step(trainer.progress())
            save_checkpoint(folder / "checkpoint.pt", trainer.state())
        return trainer.model.state_dict() | {f"average {k}": v for k, v in trainer.average.values.items()}

    whole, stopped = trained(tmp_path / "whole", [6]), trained(tmp_path / "stopped", [2, 6])
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


def test_a_run_with_other_settings_is_not_resumed(picture_folder: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "checkpoint.pt", trainer_of(run_of(6), picture_folder, tmp_path).state())
    with pytest.raises(UsageError, match="other settings"):
        trainer_of(run_of(6, learning_rate=0.5), picture_folder, tmp_path).resume()


def test_training_reduces_the_loss_and_logs_it(picture_folder: Path, tmp_path: Path) -> None:
    trainer = trainer_of(run_of(14), picture_folder, tmp_path)
    before = trainer.validate()["validation_loss"]
    trainer.train(checkpoint_minutes=60)
    record = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert record["step"] == 14
    assert record["validation_loss"] < 0.9 * before


def test_a_loss_that_is_not_finite_stops_the_run(picture_folder: Path, tmp_path: Path) -> None:
    trainer = trainer_of(run_of(6), picture_folder, tmp_path)
    with torch.no_grad():
        trainer.model.synthesis.bypass.bias.fill_(float("nan"))
    with pytest.raises(RdpError, match="the loss became nan at step 1"):
        trainer.train(checkpoint_minutes=60)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_two_processes_train_together(picture_folder: Path, tmp_path: Path) -> None:
    words = ["-m", "rdpcodec.training.fidelity", "--data", str(picture_folder), "--out", str(tmp_path)]
    words += ["--gigapixels", str(2 * 2 * 2 * 64**2 / 1e9), "--batch", "2", "--crop", "64", "--no-compile"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29577"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(launcher + words, check=True, timeout=240, env=environment, capture_output=True)
    state = load_checkpoint(tmp_path / "checkpoint.pt", CPU)
    assert state["step"] == 2
    assert state["pixels"] == 2 * 2 * 2 * 64**2


def test_checkpoints_replace_each_other_whole(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    for value in (1, 2):
        save_checkpoint(path, {"value": torch.tensor(value)})
    assert int(load_checkpoint(path, CPU)["value"]) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_the_average_follows_the_weights() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    average = ExponentialAverage(module, decay=0.9)
    torch.nn.init.constant_(module.weight, 5.0)
    for _ in range(200):
        average.update(module)
    average.copy_to(module)
    assert float(module.weight.detach()) == pytest.approx(5.0, rel=1e-3)


def test_low_rates_count_as_much_as_high_ones(picture_folder: Path, tmp_path: Path) -> None:
    """The weighted losses at the two ends of the dial are of one order, as BD-rate weighs them."""
    trainer = trainer_of(run_of(6), picture_folder, tmp_path)
    x = trainer.validation_crops[:4]
    losses = []
    for quality in (5.0, 95.0):
        q = torch.full((4,), quality)
        with torch.no_grad():
            losses.append(float(rate_distortion_loss(trainer.model(x, q), x, q).total))
    assert 1 / 8 < losses[0] / losses[1] < 8


def test_an_exported_run_is_a_working_codec(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photograph: Image.Image
) -> None:
    monkeypatch.setattr(exporting, "CALIBRATION_CROPS", 6)
    monkeypatch.setattr(exporting, "CALIBRATION_SIDE", 64)
    trainer = trainer_of(run_of(2), picture_folder, tmp_path)
    trainer.train(checkpoint_minutes=60)
    record = exporting.export(
        tmp_path / "checkpoint.pt", picture_folder, "fast", tmp_path / "weights", {"note": "x"}
    )
    assert record["largest_exact_sum"] < 2**24
    assert record["training"]["note"] == "x"
    from safetensors.torch import load_file

    tensors = load_file(tmp_path / "weights" / "fast.safetensors")
    architecture = architecture_from(record["architecture"])
    codec = Codec(ReleasedModel.from_tensors("fast", ("quality",), architecture, tensors, CPU))
    image = photograph.crop((100, 100, 200, 180))
    decoded = codec.decompress(codec.compress(image, 80))
    # Even all but untrained the KLT makes a codec.
    assert psnr(np.asarray(image), np.asarray(decoded)) > 20


def test_the_command_line_wants_one_budget(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        fidelity.main(["--data", str(tmp_path), "--out", str(tmp_path / "run")])
