"""Inputs that are damaged, hostile, contradictory or in the way: nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from short_runs import CPU, loop_of, run_of
from small_model import SMALL

from rdpcodec.errors import UsageError
from rdpcodec.files.whole_files import replace_files
from rdpcodec.training.checkpoints.checkpoint import load_checkpoint
from rdpcodec.training.checkpoints.start import load_start
from rdpcodec.training.commands import train as train_commands
from rdpcodec.training.export.export import export
from rdpcodec.training.export.graphs import add_graphs
from rdpcodec.training.export.retire import retire
from rdpcodec.training.images.image_set import load_images
from rdpcodec.training.images.validation import load_training_and_validation
from rdpcodec.training.launch import train, training_device
from rdpcodec.training.loop import CHECKPOINT
from rdpcodec.training.objectives.fidelity import Fidelity
from rdpcodec.training.settings import FidelitySettings, Launch, RealismSettings
from rdpcodec.weights.architecture import SIZES, architecture_record


@pytest.fixture
def weights(small_model: Path, tmp_path: Path) -> Path:
    """A folder of weights that a test may change."""
    return shutil.copytree(small_model.parent, tmp_path / "weights")


def test_a_run_may_go_on_with_another_budget(image_folder: Path, small_model: Path, tmp_path: Path) -> None:
    loop_of(run_of(2), image_folder, tmp_path, small_model).train(checkpoint_minutes=60)
    longer = loop_of(run_of(4), image_folder, tmp_path, small_model)
    longer.resume()
    longer.train(checkpoint_minutes=60)
    assert longer.step == 4


def test_reading_images_is_not_counted_as_training(
    image_folder: Path, small_model: Path, tmp_path: Path
) -> None:
    run = run_of(1)
    loop = loop_of(run, image_folder, tmp_path, small_model)
    loop.budget.restart(3600.0, 1e12)  # as if reading had spent this much
    loop.train(checkpoint_minutes=60)
    assert loop.step == 1


def test_what_cannot_be_resumed_or_written_is_said_before_images_are_read(tmp_path: Path) -> None:
    def never(device: torch.device) -> None:
        pytest.fail("images were read")

    with pytest.raises(UsageError, match="no checkpoint to resume from"):
        train(never, Launch(tmp_path / "run", resume=True))  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()
    (tmp_path / "log.jsonl").mkdir()
    with pytest.raises(OSError, match=r"log\.jsonl"):
        train(never, Launch(tmp_path))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="device 'xyz' cannot be used"):
        train(never, Launch(tmp_path / "run", "xyz"))  # type: ignore[arg-type]


def test_each_process_of_torchrun_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rdpcodec.training.launch.usable_device", torch.device)  # there may be no GPU here
    assert training_device("cuda") == torch.device("cuda")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert training_device("cuda") == torch.device("cuda:3")
    assert training_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("device", ["mps", "xpu:0"])
def test_devices_that_training_was_not_made_for_are_refused(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rdpcodec.training.launch.usable_device", torch.device)
    with pytest.raises(UsageError, match="training runs on cpu and cuda"):
        training_device(device)


@pytest.mark.parametrize(("eyes", "coarse"), [(0.8, 0.3), (1.0, 0.01)])
def test_shares_of_squared_error_are_one_at_most(eyes: float, coarse: float) -> None:
    with pytest.raises(UsageError, match="together at most 1"):
        FidelitySettings(eyes=eyes, coarse=coarse)
    FidelitySettings(eyes=0.7, coarse=0.3)


@pytest.mark.parametrize("qualities", [(50, 50), (60, 40), (-1, 50), (0, 101)])
def test_qualities_are_two_that_there_are(qualities: tuple[float, float]) -> None:
    for kind in (FidelitySettings, RealismSettings):
        with pytest.raises(UsageError, match="give a lower and a higher one"):
            kind(qualities=qualities)


@pytest.mark.parametrize("blob", [b"", b"1234567", b"PK\x03\x04 and no archive", b"\x89PNG"])
def test_a_damaged_checkpoint_is_said_to_be(blob: bytes, image_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    path.write_bytes(blob)
    uses: list[Callable[[], object]] = [
        lambda: load_start(path),
        lambda: export(path, image_folder, "fast", tmp_path / "weights"),
        lambda: export(tmp_path / "nowhere.pt", image_folder, "fast", tmp_path / "weights"),
    ]
    for use in uses:
        with pytest.raises(UsageError, match="cannot be read as a checkpoint") as caught:
            use()
        assert "weights_only" not in str(caught.value)  # torch's advice, which would run what the file holds


class Program:
    """An object whose pickle makes a folder when it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    path, made = tmp_path / CHECKPOINT, tmp_path / "made"
    torch.save({"architecture": Program(made)}, path)
    with pytest.raises(UsageError, match="cannot be read as a checkpoint"):
        load_checkpoint(path, CPU)
    assert not made.exists()


@pytest.mark.parametrize("state", [[torch.zeros(1)], {"some.weight": torch.zeros(1)}])
def test_a_file_of_something_else_is_no_checkpoint_of_a_run(
    state: object, image_folder: Path, tmp_path: Path
) -> None:
    path, folder = tmp_path / "other.pt", tmp_path / "carried"
    torch.save(state, path)
    folder.mkdir()
    (folder / "piece-1-of-1.safetensors").write_bytes(b"of before")
    uses: list[Callable[[], object]] = [
        lambda: load_start(path),
        lambda: export(path, image_folder, "fast", tmp_path / "weights"),
        lambda: CliRunner().invoke(
            train_commands, ["split", *map(str, (path, folder))], catch_exceptions=False
        ),
    ]
    for use in uses:
        with pytest.raises(UsageError, match=r"other\.pt: (is not a checkpoint|cannot start from)"):
            use()
    assert [piece.read_bytes() for piece in folder.iterdir()] == [b"of before"]
    assert not (tmp_path / "weights").exists()


def test_weights_are_of_the_architecture_that_the_manifest_says_of_their_file(weights: Path) -> None:
    (path,) = weights.glob("*.safetensors")
    manifest = json.loads((weights / "manifest.json").read_text())
    other = {"file": "other.safetensors", "architecture": architecture_record(SIZES["fast"])}
    (weights / "manifest.json").write_text(json.dumps({"models": {"other": other, **manifest["models"]}}))
    assert load_start(path).model.architecture == SMALL
    with pytest.raises(UsageError, match="cannot start from these weights"):
        load_start(path.rename(weights / "other.safetensors"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"models": {"fast": 3}}', "\x00"])
def test_a_damaged_manifest_is_said_to_be(text: str, weights: Path, image_folder: Path) -> None:
    (weights / "manifest.json").write_text(text)
    (model,) = weights.glob("*.safetensors")
    for use in (lambda: load_start(model), lambda: retire("fast", weights), lambda: add_graphs(weights)):
        with pytest.raises(UsageError, match="is not a manifest of weights"):
            use()
    assert (weights / "manifest.json").read_text() == text


def test_a_folder_without_weights_has_no_graphs_and_nothing_to_retire(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="has no models"):
            add_graphs(folder)
        with pytest.raises(UsageError, match="has no model 'fast'"):
            retire("fast", folder)


def test_a_model_whose_files_would_be_lost_is_not_replaced(
    image_folder: Path, small_model: Path, tmp_path: Path
) -> None:
    folder, runs = tmp_path / "weights", []
    for seed in (0, 1):
        runs.append(tmp_path / f"run-{seed}")
        loop_of(run_of(2, seed=seed), image_folder, runs[-1], small_model).train(60)
    export(runs[0] / CHECKPOINT, image_folder, "fast", folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UsageError, match="would no longer decode"):
        export(runs[1] / CHECKPOINT, image_folder, "fast", folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    retired = retire("fast", folder)
    with pytest.raises(UsageError, match="decodes files of an earlier release"):
        export(runs[1] / CHECKPOINT, image_folder, retired, folder, replace=True)
    export(runs[1] / CHECKPOINT, image_folder, "fast", folder)
    assert set(json.loads((folder / "manifest.json").read_text())["models"]) == {"fast", retired}


def test_several_files_are_replaced_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path in paths[:2]:
        path.write_bytes(b"before")
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            replace_files(dict.fromkeys(paths, b"after"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"before", "b": b"before"}
    replace_files(dict.fromkeys(paths, b"after"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys("abc", b"after")


def test_large_crops_are_validated_on_the_same_images(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(81):
        side = 64 if number == 40 else 96
        pixels = random.integers(0, 256, (side, side, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number:02}.png")
    _, held_out = load_images(tmp_path, 96, CPU, held_out_side=64)
    assert sorted(held_out.heights.tolist()) == [64, 96, 96]


def test_validation_crops_do_not_depend_on_the_crops_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rdpcodec.training.images.validation.SIDE", 64)
    random = np.random.default_rng(0)
    for number in range(41):
        side = 64 if number == 40 else 128
        pixels = random.integers(0, 256, (side, side, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number:02}.png")
    found = [load_training_and_validation(tmp_path, crop, CPU)[1] for crop in (64, 128)]
    assert torch.equal(*found)


def test_pixels_of_more_than_8_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((300, 300), 40_000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(UsageError, match="more than 8 bits"):
        load_images(tmp_path, 64, CPU)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("fidelity", "--trains", "decoder"), "give --init"),
        (("fidelity", "--lpips-weights", "x"), "give --perception"),
        (("fidelity", "--perception", "0.5", "--previous", "fast"), "give --init"),
        (("fidelity", "--batch", "0"), "--batch"),
        (("fidelity", "--learning-rate", "nan"), "--learning-rate"),
        (("fidelity", "--seed", "-1"), "--seed"),
        (("fidelity", "--checkpoint-minutes", "0"), "--checkpoint-minutes"),
        (("realism", "--init", "fast", "--adversary", "-1"), "--adversary"),
        (("large", "--part", "5", "--compile", "blocks"), "is not compiled"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_options_that_cannot_work_are_refused(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    minutes = () if words[0] == "large" else ("--minutes", "1")
    where = ("--data", str(tmp_path), "--out", str(tmp_path / "run"))
    result = CliRunner().invoke(train_commands, [*words, *where, *minutes])
    assert result.exit_code == 2, result.output
    assert told in result.output


@pytest.mark.parametrize(("perception", "message"), [(0.0, "start.pt"), (0.5, "LPIPS-squeeze")])
def test_what_a_run_starts_from_is_looked_at_before_the_images(
    perception: float, message: str, tmp_path: Path
) -> None:
    (tmp_path / "no images").mkdir()
    (tmp_path / "start.pt").write_bytes(b"damaged")
    run = FidelitySettings(perception=perception)
    with pytest.raises(UsageError, match=message):
        Fidelity(
            run,
            tmp_path / "no images",
            CPU,
            init=None if perception else tmp_path / "start.pt",
            lpips=tmp_path / "absent",
        )
