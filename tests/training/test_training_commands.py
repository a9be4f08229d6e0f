"""The commands of training, from the words of a user to the run."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from rdpcodec.cli import rdpcodec
from rdpcodec.errors import UsageError
from rdpcodec.training import schedule
from rdpcodec.training.data import load_images
from rdpcodec.training.fidelity import Fidelity
from rdpcodec.weights.manifest import find_model

# Of what the package can use, what a bare machine lacks.
ABSENT = ("constriction", "rich", "fsspec", "matplotlib", "scipy", "efficientnet_lite_pytorch")


def words(data: Path, out: Path, start: Path, *more: str) -> list[str]:
    where = ["--data", str(data), "--out", str(out), "--init", str(start)]
    return ["fidelity", *where, "--batch", "1", "--crop", "64", "--device", "cpu", *more]


def test_a_run_decays_over_the_share_of_its_budget_that_it_is_told(
    picture_folder: Path, tmp_path: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors: list[float] = []

    def recorded(self: Fidelity, factor: float, progress: float = 0.0) -> dict[str, float]:
        factors.append(factor)
        return {"loss": 1.0, "gradient_norm": 1.0}

    monkeypatch.setattr(Fidelity, "train_step", recorded)
    monkeypatch.setattr(schedule, "WARMUP_STEPS", 1)
    budget = ["--gigapixels", str(8 * 64**2 / 1e9), "--decay", "0.5"]
    arguments = ["train", *words(picture_folder, tmp_path / "run", small_model, *budget)]
    result = CliRunner().invoke(rdpcodec, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert factors == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "give --minutes or --gigapixels"),
        (["--minutes", "1", "--gigapixels", "1"], "give --minutes or --gigapixels"),
        (["--minutes", "1", "--decay", "1.5"], "not in the range 0<=x<=1"),
        (["--minutes", "1", "--crop", "100"], "100 is no multiple of 64"),
        (["--minutes", "1", "--perception", "2"], "not in the range 0<=x<=1"),
    ],
)
def test_options_that_make_no_sense_are_named(more: list[str], message: str, tmp_path: Path) -> None:
    arguments = ["train", "fidelity", "--data", str(tmp_path), "--out", str(tmp_path / "run"), *more]
    result = CliRunner().invoke(rdpcodec, arguments)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    "name",
    [["train", "fidelity"], ["train", "realism"], ["train", "large"], ["train", "profile"], ["export"]],
)
def test_the_commands_explain_their_options(name: list[str]) -> None:
    shown = CliRunner().invoke(rdpcodec, [*name, "--help"], prog_name="rdpcodec").output
    assert shown.startswith(f"Usage: rdpcodec {' '.join(name)} [OPTIONS]")
    assert "--data" in shown
    assert ("[default: 0.35" in " ".join(shown.split())) == (name[-1] in ("fidelity", "realism"))


def test_training_needs_only_torch_numpy_pillow_safetensors_and_click(
    picture_folder: Path, tmp_path: Path, small_model: Path
) -> None:
    code = (
        f"import sys, runpy; sys.modules.update(dict.fromkeys({ABSENT}))\n"
        "from rdpcodec.training import fidelity, validation\n"
        "validation.SIDE = 64; validation.CROPS = 2; fidelity.GRAPHICS_IMAGES = 2\n"
        "runpy.run_module('rdpcodec.training', run_name='__main__')"
    )
    arguments = words(picture_folder, tmp_path / "run", small_model, "--gigapixels", str(2 * 64**2 / 1e9))
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=one_thread)
    last = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 2


def test_a_users_mistake_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of `python -m rdpcodec.training`, run in this process, which has torch already."""
    (tmp_path / "images").mkdir()
    arguments = ["fidelity", "--data", str(tmp_path / "images"), "--out", str(tmp_path), "--minutes", "1"]
    monkeypatch.setattr(sys, "argv", ["training", *arguments])
    monkeypatch.delitem(sys.modules, "rdpcodec.training.__main__", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("rdpcodec.training", run_name="__main__")
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert len(said.splitlines()) == 1
    assert "too few" in said


@pytest.mark.parametrize("kind", ["fidelity", "realism"])
def test_a_run_starts_from_an_installed_model_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    started: list[object] = []
    name = {"fidelity": "Fidelity", "realism": "Realism"}[kind]
    monkeypatch.setattr(f"rdpcodec.training.{kind}.{name}", lambda *_, init, **__: started.append(init))
    monkeypatch.setattr("rdpcodec.training.run.train", lambda trainer, *_, **__: trainer(None))
    arguments = ["train", kind, "--data", str(tmp_path), "--out", str(tmp_path), "--minutes", "1", "--init"]
    assert CliRunner().invoke(rdpcodec, [*arguments, "fast"], catch_exceptions=False).exit_code == 0
    assert started == [find_model("fast").path]
    result = CliRunner().invoke(rdpcodec, [*arguments, "slow"])
    assert result.exit_code == 2
    assert "'slow' is neither a file nor an installed model (fast)" in result.stderr


def test_what_is_wrong_with_a_folder_of_images_is_said(tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    with pytest.raises(UsageError, match="nodata: no such folder"):
        load_images(tmp_path / "nodata", 64, cpu)
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="too few images: 0 of 1 have 64 pixels or more a side"):
        load_images(tmp_path, 64, cpu)
    (tmp_path / "b.png").write_bytes(b"rubbish")
    with pytest.raises(UsageError, match=r"b\.png: cannot be read"):
        load_images(tmp_path, 64, cpu)
