"""The MNIST experiments from end to end on stand-ins, and their claims on grids whose answers are known."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from bars import bars, write_mnist
from click.testing import CliRunner
from PIL import Image

from bench.__main__ import bench
from bench.papers.digits import experiments
from bench.papers.digits.claims import reproduction
from bench.papers.digits.codec import Bottleneck
from bench.papers.digits.plan import CORES, FULL, GRIDS, QUICK
from bench.papers.reproduction import claims_table
from bench.papers.wgan.critic import CriticSize
from bench.papers.wgan.data import load_mnist
from bench.papers.wgan.run import Run
from rdpcodec.errors import FormatError, ImageError, OutputError, RdpError, UsageError, WeightsError

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "bench" / "results" / "mnist"
MNIST = os.environ.get("RDPCODEC_MNIST")

TINY = replace(
    QUICK,
    bottlenecks=(Bottleneck(1, 4), Bottleneck(3, 4)),
    weights=(0, 0.02),
    some_bottlenecks=(Bottleneck(3, 4),),
    some_weights=(0, 0.02),
    hidden=32,
    critic=CriticSize((2, 4), 16),
    steps=3,
    judges=2,
    classifier_steps=2,
    seeds=(0, 1),
    turns=2,
    batch=8,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    write_mnist(folder, bars(120))
    return folder


def run(data: Path, tmp_path: Path, *options: str) -> str:
    where = ["--data", str(data), "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(bench, ["papers", "digits", *where, *options])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_writes_records_figures_and_the_pages_table(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GRIDS, "quick", TINY)
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- claims mnist quick -->\n<!-- end -->\n")
    run(data, tmp_path, "--grid", "quick", "--page", str(page))
    record = json.loads((tmp_path / "out" / "quick.json").read_text())
    assert set(record["results"]) == set(experiments.EXPERIMENTS)
    assert [(group["seed"], group["bits"]) for group in record["results"]["pairs"]] == [
        (0, 2),
        (0, 6),
        (1, 2),
        (1, 6),
    ]
    first, second = record["results"]["pairs"][:2]
    assert record["results"]["pairs"][2]["mse"] != first["mse"]  # another seed, another training
    assert all(entropy <= group["bits"] + 1e-6 for group in (first, second) for entropy in group["entropy"])
    assert first["change"][0] == 0 < first["change"][1]
    assert claims_table(record) in page.read_text()
    for figure in ("surface", "variants", "layers", "digits"):
        assert min(Image.open(tmp_path / "out" / f"quick-{figure}.png").size) > 100

    # Every file of results is still there: nothing is trained again.
    monkeypatch.setattr("bench.papers.wgan.train.Training.step", lambda self: pytest.fail("trained again"))
    run(data, tmp_path, "--grid", "quick")
    again = json.loads((tmp_path / "out" / "quick.json").read_text())
    assert again == record


def test_what_results_hold_is_kept_and_another_seed_joins_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GRIDS, "quick", TINY)
    chosen = ("--grid", "quick", "--only", "universal")
    run(data, tmp_path, *chosen, "--only", "features", "--seeds", "1")
    path = tmp_path / "out" / "quick.json"
    first = json.loads(path.read_text())["results"]
    shutil.rmtree(tmp_path / "runs")  # the machine is gone
    figures: list[str] = []
    command = "bench.papers.digits.command.write_page_figure"
    monkeypatch.setattr(command, lambda path, _: figures.append(path.stem.removeprefix("quick-")))
    run(data, tmp_path, *chosen, "--keep")
    both = json.loads(path.read_text())["results"]
    assert list(both) == ["pairs", "universal", "features"]
    assert both["features"] == first["features"]
    for kind in ("pairs", "universal"):
        assert [group["seed"] for group in both[kind]] == [*[0] * len(first[kind]), *[1] * len(first[kind])]
        assert both[kind][: len(first[kind])] == first[kind]
    # Images of the kept features are gone: the figure of all experiments stays as it was.
    assert figures == ["surface", "variants", "digits"]

    shutil.rmtree(tmp_path / "runs")
    figures.clear()
    monkeypatch.setattr("bench.papers.wgan.train.Training.step", lambda self: pytest.fail("trained again"))
    run(data, tmp_path, *chosen, "--keep")
    assert json.loads(path.read_text())["results"] == both
    assert figures == ["surface", "variants"]


def test_results_of_another_plan_are_not_kept(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GRIDS, "quick", TINY)
    run(data, tmp_path, "--grid", "quick", "--only", "features", "--seeds", "1")
    shutil.rmtree(tmp_path / "runs")
    monkeypatch.setitem(GRIDS, "quick", replace(TINY, steps=4))
    where = ["--data", str(data), "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(bench, ["papers", "digits", "--grid", "quick", "--keep", *where])
    assert (result.exit_code, "is of another plan" in result.output) == (1, True)
    (tmp_path / "out" / "quick.json").write_text("{")
    result = CliRunner().invoke(bench, ["papers", "digits", "--grid", "quick", "--keep", *where])
    assert (result.exit_code, "not a file of results" in result.output) == (1, True)


def test_two_workers_find_what_one_finds(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GRIDS, "quick", TINY)
    found = []
    for workers in ("1", "2"):
        run(
            data,
            tmp_path / workers,
            "--grid",
            "quick",
            "--only",
            "universal",
            "--seeds",
            "1",
            "--workers",
            workers,
        )
        found.append(json.loads((tmp_path / workers / "out" / "quick.json").read_text())["results"])
    alone, together = found
    assert set(alone) == set(together)
    for kind, groups in alone.items():
        for one, two in zip(groups, together[kind], strict=True):
            assert two["bits"] == one["bits"]
            assert two["mse"] == pytest.approx(one["mse"], rel=1e-3)


@pytest.mark.parametrize("kind", [UsageError, ImageError, FormatError, WeightsError, OutputError])
def test_errors_come_back_from_a_worker_as_they_are(kind: type[RdpError]) -> None:
    """A worker process returns its error pickled."""
    error = pickle.loads(pickle.dumps(kind("a.json: not a record")))
    assert (type(error), str(error)) == (kind, "a.json: not a record")


def test_an_error_in_a_training_is_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GRIDS, "quick", TINY)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "pairs-3x4-0.json").write_text("{")
    where = ["--data", str(data), "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(bench, ["papers", "digits", "--grid", "quick", "--only", "layer-c", *where])
    assert result.exit_code == 1
    assert "pairs-3x4-0.json: not a record of a training" in result.output.strip().splitlines()[-1]


def test_checkpoints_of_another_plan_are_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GRIDS, "quick", TINY)
    run(data, tmp_path, "--grid", "quick", "--only", "layer-c", "--seeds", "1")
    monkeypatch.setitem(GRIDS, "quick", replace(TINY, steps=4))
    where = ["--data", str(data), "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(bench, ["papers", "digits", "--grid", "quick", *where])
    assert result.exit_code == 1
    assert "is of another plan" in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_the_universal_decoders_stand_behind_the_faithful_encoder(data: Path, tmp_path: Path) -> None:
    run = Run(TINY, load_mnist(data), torch.device("cpu"), tmp_path)
    experiments.measured_groups(run, ["pairs", "universal"])
    pair = torch.load(tmp_path / "pairs-3x4-1.pt", weights_only=True)["restorer"]
    universal = torch.load(tmp_path / "universal-3x4-1.pt", weights_only=True)["restorer"]
    for name, value in universal.items():
        if name.startswith(("encoder", "standardise")):
            assert torch.equal(value[0], pair[name][0]), name


def test_the_full_grid_is_the_papers_size_and_the_quick_one_has_12_pairs() -> None:
    assert len(FULL.bottlenecks) * len(FULL.weights) == len(CORES.bottlenecks) * len(CORES.weights) == 98
    assert len(QUICK.bottlenecks) * len(QUICK.weights) == 12
    assert [b.bits for b in FULL.bottlenecks] == [2, 4, 6, 8, 12, 16, 24]
    for plan in GRIDS.values():
        assert plan.weights[0] == plan.some_weights[0] == 0
        assert plan.weights[-1] == plan.some_weights[-1] == 0.015
        assert set(plan.some_bottlenecks) <= set(plan.bottlenecks)
        assert plan.turns == 5
    assert len(FULL.seeds) == 3


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_the_page_shows_the_committed_results(path: Path) -> None:
    record = json.loads(path.read_text())
    assert claims_table(record) in (ROOT / "docs" / "papers-trained.md").read_text()
    assert reproduction(record["results"]).record()["claims"] == record["claims"]


@pytest.mark.slow
@pytest.mark.skipif(MNIST is None, reason="RDPCODEC_MNIST names no folder of MNIST")
def test_the_quick_grid_bears_out_the_paper(tmp_path: Path) -> None:
    assert MNIST is not None
    run(Path(MNIST), tmp_path, "--grid", "quick")
    record = json.loads((tmp_path / "out" / "quick.json").read_text())
    for part in ("falls with rate at every", "rises as perception tightens", "rises most at low rate"):
        (found,) = (claim for claim in record["claims"] if part in claim["claim"])
        assert found["holds"], found
