"""The training commands, from a user's command line to the run."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from rdpcodec.cli import rdpcodec
from rdpcodec.errors import UsageError
from rdpcodec.training.descent import schedule
from rdpcodec.training.images.image_set import load_images
from rdpcodec.training.objectives.fidelity import Fidelity
from rdpcodec.training.objectives.realism import Realism
from rdpcodec.training.options import weights_path
from rdpcodec.training.settings import FidelitySettings, Launch, RealismSettings
from rdpcodec.weights.manifest import find_model

# Packages that rdpcodec can use and a bare machine lacks.
ABSENT = ("constriction", "rich", "fsspec", "matplotlib", "scipy", "efficientnet_lite_pytorch")


def words(data: Path, out: Path, start: Path, *more: str) -> list[str]:
    where = ["--data", str(data), "--out", str(out), "--init", str(start)]
    return ["fidelity", *where, "--batch", "1", "--crop", "64", "--device", "cpu", *more]


def test_a_run_decays_over_the_share_of_its_budget_that_it_is_told(
    image_folder: Path, tmp_path: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors: list[float] = []

    def recorded(self: Fidelity, factor: float, progress: float = 0.0) -> dict[str, float]:
        factors.append(factor)
        return {"loss": 1.0, "gradient_norm": 1.0}

    monkeypatch.setattr(Fidelity, "train_step", recorded)
    monkeypatch.setattr(schedule, "WARMUP_STEPS", 1)
    budget = ["--gigapixels", str(8 * 64**2 / 1e9), "--decay", "0.5"]
    arguments = ["train", *words(image_folder, tmp_path / "run", small_model, *budget)]
    result = CliRunner().invoke(rdpcodec, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert factors == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "give --minutes or --gigapixels"),
        (["--minutes", "1", "--gigapixels", "1"], "give --minutes or --gigapixels"),
        (["--minutes", "1", "--decay", "1.5"], "not in the range 0<=x<=1"),
        (["--minutes", "1", "--crop", "100"], "100 is not a multiple of 64"),
        (["--minutes", "1", "--crop", "0"], "0 is not a multiple of 64"),
        (["--minutes", "inf"], "inf is no finite number"),
        (["--minutes", "1", "--perception", "2"], "not in the range 0<=x<=1"),
    ],
)
def test_options_that_make_no_sense_are_named(more: list[str], message: str, tmp_path: Path) -> None:
    arguments = ["train", "fidelity", "--data", str(tmp_path), "--out", str(tmp_path / "run"), *more]
    result = CliRunner().invoke(rdpcodec, arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_a_discriminator_without_an_adversary_is_refused(tmp_path: Path) -> None:
    """It would be loaded, and never asked."""
    (kept := tmp_path / "checkpoint.pt").touch()
    arguments = ["train", "realism", "--data", str(tmp_path), "--out", str(tmp_path / "run")]
    arguments += ["--init", "fast", "--minutes", "1", "--adversary", "0", "--discriminator", str(kept)]
    result = CliRunner().invoke(rdpcodec, arguments)
    assert (result.exit_code, "leave --adversary 0 out" in result.output) == (2, True)


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
    image_folder: Path, tmp_path: Path, small_model: Path
) -> None:
    code = (
        f"import sys, runpy; sys.modules.update(dict.fromkeys({ABSENT}))\n"
        "from rdpcodec.training.images import validation\n"
        "from rdpcodec.training.objectives import fidelity\n"
        "validation.SIDE = 64; validation.CROPS = 2; fidelity.GRAPHICS_IMAGES = 2\n"
        "runpy.run_module('rdpcodec.training', run_name='__main__')"
    )
    arguments = words(image_folder, tmp_path / "run", small_model, "--gigapixels", str(2 * 64**2 / 1e9))
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=one_thread)
    last = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 2


def test_a_users_mistake_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m rdpcodec.training` runs in this process, which has torch already."""
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
    objective = f"rdpcodec.training.objectives.{kind}.{kind.capitalize()}"
    monkeypatch.setattr(objective, lambda *_, init, **__: started.append(init))
    monkeypatch.setattr("rdpcodec.training.launch.train", lambda trainer, *_, **__: trainer(None))
    arguments = ["train", kind, "--data", str(tmp_path), "--out", str(tmp_path), "--minutes", "1", "--init"]
    assert CliRunner().invoke(rdpcodec, [*arguments, "fast"], catch_exceptions=False).exit_code == 0
    assert started == [find_model("fast").path]
    result = CliRunner().invoke(rdpcodec, [*arguments, "slow"])
    assert result.exit_code == 2
    assert "'slow' is neither a file nor an installed model (fast)" in result.stderr


@pytest.mark.parametrize("kind", [Fidelity, Realism])
def test_options_reach_the_run_and_what_is_not_said_is_its_own(
    kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = f"{kind.__module__}.{kind.__name__}"
    made: list[Any] = []
    monkeypatch.setattr(objective, lambda *a, **k: made.append((a, k)))

    def trained(objective: Any, launch: Launch) -> None:
        objective("device")
        made.append(launch)

    monkeypatch.setattr("rdpcodec.training.launch.train", trained)
    files = {option: tmp_path / option for option in ("init", "previous", "lpips-weights", "discriminator")}
    for path in files.values():
        path.touch()
    where = ["--data", tmp_path, "--out", tmp_path / "out", "--init", files["init"]]
    run = {Fidelity: FidelitySettings, Realism: RealismSettings}[kind]

    def asked(*more: object) -> tuple[Any, ...]:
        made.clear()
        arguments = ["train", kind.__name__.lower(), *where, *more]
        result = CliRunner().invoke(rdpcodec, [str(word) for word in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        (arguments, options), launch = made
        assert arguments[1:] == (tmp_path, "device")
        return arguments[0], options, launch

    chosen, options, launch = asked("--minutes", 5)
    assert chosen == run(minutes=5)
    assert launch == Launch(tmp_path / "out", device=None, resume=False, checkpoint_minutes=4)
    assert options.pop("init") == files["init"]
    assert set(options.values()) == {None}

    own = ["--perception", 0.5, "--compile", "blocks"] if kind is Fidelity else ["--adversary", 0.5]
    own += [] if kind is Fidelity else ["--discriminator", files["discriminator"]]
    own += ["--previous", files["previous"], "--lpips-weights", files["lpips-weights"]]
    shared = ["--gigapixels", 3, "--decay", 0.2, "--batch", 4, "--crop", 192, "--learning-rate", 0.02]
    shared += [
        "--qualities",
        5,
        45,
        "--seed",
        7,
        "--bfloat16",
        "--texture",
        0.3,
        "--resume",
        "--device",
        "cpu",
    ]
    chosen, options, launch = asked(*own, *shared, "--checkpoint-minutes", 9)
    extra = {"perception": 0.5} if kind is Fidelity else {"adversary": 0.5}
    assert chosen == run(
        gigapixels=3,
        decay=0.2,
        batch=4,
        crop=192,
        learning_rate=0.02,
        qualities=(5, 45),
        seed=7,
        bfloat16=True,
        texture=0.3,
        **extra,
    )
    assert launch == Launch(tmp_path / "out", device="cpu", resume=True, checkpoint_minutes=9)
    expected = {"init": files["init"], "previous": files["previous"], "lpips": files["lpips-weights"]}
    expected |= {"compiled": "blocks"} if kind is Fidelity else {"discriminator": files["discriminator"]}
    assert options == expected


def test_a_file_comes_before_an_installed_model_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert weights_path("fast") == find_model("fast").path
    Path("fast").mkdir()  # a folder without pieces
    assert weights_path("fast") == find_model("fast").path
    Path("fast", "piece-1-of-1.safetensors").touch()
    assert weights_path("fast") == Path("fast")


def test_what_is_wrong_with_a_folder_of_images_is_said(tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    with pytest.raises(UsageError, match="nodata: no such folder"):
        load_images(tmp_path / "nodata", 64, cpu)
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="too few images: 0 of 1 have 64 pixels or more a side"):
        load_images(tmp_path, 64, cpu)
    (tmp_path / "b.png").write_bytes(b"rubbish")
    with pytest.raises(UsageError, match=r"^\S+b\.png: cannot be read: [^;]+$"):
        load_images(tmp_path, 64, cpu)
    for number in range(6):
        (tmp_path / f"c{number}.png").write_bytes(b"rubbish")
    with pytest.raises(UsageError, match=r"b\.png.*; \S+c0\.png: .*c3\.png: [^;]+; and 2 more$"):
        load_images(tmp_path, 64, cpu)


def test_training_names_every_image_whose_pixels_cannot_be_read(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        Image.effect_noise((64, 64), 50).convert("RGB").save(tmp_path / f"{name}.png")
    for name in ("a", "c"):  # a is held out, c is not
        path = tmp_path / f"{name}.png"
        path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UsageError, match=r"a\.png: cannot be read: [^;]+; \S+c\.png: cannot be read: [^;]+$"):
        load_images(tmp_path, 64, torch.device("cpu"))
