"""The schedule of `large`, from a user's command line to a codec, with toy networks in its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from small_model import GATED

from rdpcodec import Codec
from rdpcodec.cli import rdpcodec
from rdpcodec.errors import UsageError
from rdpcodec.format import container
from rdpcodec.training.checkpoints.checkpoint import load_checkpoint
from rdpcodec.training.checkpoints.pieces import joined
from rdpcodec.training.large.judging import NotWorthIt
from rdpcodec.training.large.parts import PARTS
from rdpcodec.training.objectives import fidelity
from rdpcodec.training.settings import FidelitySettings, Launch
from rdpcodec.weights.architecture import SIZES
from rdpcodec.weights.manifest import ModelEntry, find_model
from rdpcodec.weights.release import ReleasedModel

STEPS, BATCH, CROP = 3, 2, 64


@pytest.fixture(scope="module", autouse=True)
def _toy() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SIZES, "large", GATED)
        yield


def run(*arguments: object) -> Result:
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(rdpcodec, words, catch_exceptions=False)


def train(number: int, data: Path, out: Path, *more: object) -> Result:
    budget = STEPS * BATCH * CROP**2 / 1e9
    small = "--batch", BATCH, "--crop", CROP, "--gigapixels", budget, "--device", "cpu"
    return run("train", "large", "--part", number, "--data", data, "--out", out, *small, *more)


def last(out: Path, number: int) -> dict[str, Any]:
    return json.loads((out / f"part-{number}" / "log.jsonl").read_text().splitlines()[-1])


@pytest.fixture(scope="module")
def trained(image_folder: Path, lpips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every command of the schedule was run, one after the other."""
    out = tmp_path_factory.mktemp("large")
    with pytest.MonkeyPatch.context() as patch:
        # The first three parts need neither a second synthesis nor its networks.
        patch.setattr(fidelity, "load_lpips", lambda *_: pytest.fail("LPIPS is loaded"))
        pieces = train(1, image_folder, out).stdout.split()
        with pytest.raises(NotWorthIt, match="were allowed"):
            train(2, image_folder, out)
        train(3, image_folder, out)
    train(4, image_folder, out, "--lpips-weights", lpips)
    run("export", out / "part-4" / "pieces", out / "weights", "--data", image_folder)
    train(5, image_folder, out, "--lpips-weights", lpips)
    run("export", out / "part-5" / "pieces", out / "weights", "--data", image_folder)
    assert pieces == [str(path) for path in sorted((out / "part-1" / "pieces").iterdir())]
    return out


def test_every_part_ends_with_weights_that_were_measured(trained: Path) -> None:
    for number in (1, 2, 3, 4):
        record = last(trained, number)
        assert record["step"] == STEPS
        assert len(record["validation_rd"]) == len(record["validation_ssimulacra2"]) == 5
        assert ("validation_lpips" in record) == (number == 4)
    assert len(last(trained, 5)["validation_psnr_lpips"]) == 5


def test_the_second_and_third_part_go_on_with_weights_and_averages(
    trained: Path, image_folder: Path, tmp_path: Path
) -> None:
    before, after = (joined(trained / f"part-{number}" / "pieces") for number in (1, 3))
    assert (before["average_steps"], after["average_steps"]) == (STEPS, 3 * STEPS)
    assert after["totals"]["runs"] == 2  # plus its own
    whole = load_checkpoint(trained / "part-1" / "checkpoint.pt", torch.device("cpu"))
    for key in ("model", "average"):
        for name, tensor in whole[key].items():
            torch.testing.assert_close(before[key][name], tensor, rtol=1e-3, atol=1e-4)


def test_the_encoder_stays_as_the_third_part_left_its_average(trained: Path) -> None:
    before, after = (joined(trained / f"part-{number}" / "pieces") for number in (3, 4))
    frozen = [name for name in after["model"] if name.startswith(("analysis.", "hyper_analysis."))]
    assert frozen
    assert all(torch.equal(after["model"][name], before["average"][name]) for name in frozen)
    moved = [n for n in after["model"] if not torch.equal(after["model"][n], before["average"][n])]
    assert any(name.startswith("synthesis.") for name in moved)
    assert any(name.startswith("mean_network.") for name in moved)


def test_what_the_schedule_ends_with_decodes_alike_on_both_engines(
    trained: Path, photograph: Image.Image
) -> None:
    record = json.loads((trained / "weights" / "manifest.json").read_text())["models"]["large"]
    assert record["size"] == "large"
    assert record["dials"] == ["quality", "realism"]
    assert record["training"]["runs"] == 4
    entry = ModelEntry("large", trained / "weights" / "large.safetensors", record)
    light, whole = (Codec(ReleasedModel.load(entry), engine=name) for name in ("onnx", "torch"))
    data = light.compress(photograph.crop((90, 60, 190, 140)), 60)
    assert container.read(data).header.size == "large"
    one, other = (codec.decode_symbols([container.read(data)])[0][0] for codec in (light, whole))
    for name in ("hyper", "tables", "residual"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for realism in (0.0, 0.5, 1.0):
        pixels = [np.asarray(c.decompress(data, realism=realism), int) for c in (light, whole)]
        assert np.abs(pixels[0] - pixels[1]).max() <= 1


def test_a_part_that_was_cut_off_goes_on(trained: Path, image_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "part-1").mkdir()
    checkpoint = trained / "part-1" / "checkpoint.pt"
    (tmp_path / "part-1" / "checkpoint.pt").write_bytes(checkpoint.read_bytes())
    train(1, image_folder, tmp_path, "--resume")  # only the split is left to do
    found, expected = (joined(out / "part-1" / "pieces") for out in (tmp_path, trained))
    assert found["step"] == expected["step"] == STEPS
    assert all(torch.equal(found["model"][name], tensor) for name, tensor in expected["model"].items())


def test_a_part_says_what_it_starts_from(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pieces: part 3 starts from this: bring the pieces that part 2"):
        train(3, image_folder, tmp_path)
    with pytest.raises(UsageError, match=r"large.safetensors: part 5 starts from this: export part 4"):
        train(5, image_folder, tmp_path)
    assert "give --minutes or --gigapixels" in train(1, image_folder, tmp_path, "--minutes", 1).stderr
    assert "6 is not in the range 1<=x<=5" in train(6, image_folder, tmp_path).stderr


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_part_takes_its_24_minutes_and_its_own_schedule(
    number: int, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Begun(Exception):
        """Stands in for the run."""

    def made(own: FidelitySettings, *_: object, **__: object) -> None:
        assert own == replace(PARTS[number].settings, minutes=24)
        raise Begun

    def begun(objective: Callable[[torch.device], object], launch: Launch) -> None:
        assert launch == Launch(tmp_path / f"part-{number}", "cpu", resume=True, checkpoint_minutes=7)
        objective(torch.device("cpu"))

    (tmp_path / f"part-{number - 1}" / "pieces").mkdir(parents=True)
    monkeypatch.setattr("rdpcodec.training.large.train.Fidelity", made)
    monkeypatch.setattr("rdpcodec.training.large.train.train", begun)
    words = ["--out", tmp_path, "--resume", "--device", "cpu", "--checkpoint-minutes", 7]
    with pytest.raises(Begun):
        run("train", "large", "--part", number, "--data", image_folder, *words)


def test_what_is_said_of_a_part_comes_before_its_own_settings(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        "rdpcodec.training.large.train.train_part",
        lambda number, run, *_, against, **__: found.append((number, run, against)) or [],
    )
    words = ["--data", image_folder, "--out", tmp_path, "--gigapixels", 2, "--against", "fast"]
    run("train", "large", "--part", 2, *words, "--seed", 0, "--batch", 5, "--learning-rate", 0.1)
    run("train", "large", "--part", 3, *words)
    own = replace(PARTS[2].settings, gigapixels=2, seed=0, batch=5, learning_rate=0.1)
    assert found[0] == (2, own, find_model("fast").path)
    assert found[1] == (3, replace(PARTS[3].settings, gigapixels=2), None)


def test_a_realism_run_does_not_start_from_what_was_not_exported(
    trained: Path, image_folder: Path, lpips: Path, tmp_path: Path
) -> None:
    words = ["train", "realism", "--data", image_folder, "--out", tmp_path, "--minutes", 1]
    for start in (trained / "part-4" / "pieces", trained / "part-4" / "checkpoint.pt"):
        with pytest.raises(UsageError, match="export these first"):
            run(*words, "--init", start, "--lpips-weights", lpips)
