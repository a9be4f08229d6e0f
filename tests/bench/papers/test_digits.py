"""The MNIST experiments from end to end on stand-ins, and their claims on grids whose answers are known."""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bars import bars, write_mnist
from click.testing import CliRunner
from PIL import Image

from bench.__main__ import bench
from bench.papers.digits import experiments
from bench.papers.digits.claims import bounds_on_perception, equi_perception, reproduction
from bench.papers.digits.codec import Bottleneck
from bench.papers.digits.group import DigitsRun
from bench.papers.digits.plan import CORES, FULL, GRIDS, QUICK
from bench.papers.reproduction import claims_table
from bench.papers.wgan.critic import CriticSize
from bench.papers.wgan.data import load_mnist

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "bench" / "results" / "mnist"
MNIST = os.environ.get("RDPCODEC_MNIST")
WEIGHTS = [0, 0.01, 0.02]

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
LAYERS = [f"{kind}-{layer}" for kind in ("layer", "alone") for layer in "abc"]


def gaussian_grid(
    rates: tuple[float, ...] = (4, 8, 16), seeds: tuple[int, ...] = (0, 1)
) -> list[dict[str, Any]]:
    """Pairs as a Gaussian source would have them: D(R) = 2^(−R/4), perfect perception at twice of it."""
    groups = []
    for seed, bits in itertools.product(seeds, rates):
        least = 2 ** (-bits / 4)
        share = np.array([0, 0.5, 1])
        perception = (1 - share) * np.sqrt(least)
        groups.append(
            {
                "seed": seed,
                "bits": bits,
                "weights": WEIGHTS,
                "mse": (least * (1 + share**2)).tolist(),
                "fidelity": (least * (1 + share**2)).tolist(),
                "wasserstein": perception.tolist(),
                "sliced": (perception / 28).tolist(),
                "change": (least * share**2).tolist(),
                "detail": [0.8, 0.9, 1.0],
                "spread": [0.9, 0.95, 1.0],
                "error digit": [0.1, 0.12, 0.15],
            }
        )
    return groups


def claim(record: dict[str, Any], part: str) -> dict[str, Any]:
    (found,) = (claim for claim in record["claims"] if part in claim["claim"])
    return found


def all_experiments() -> dict[str, list[dict[str, Any]]]:
    """The Gaussian grid in every experiment, with what sets some of them apart."""
    pairs = gaussian_grid()
    results = {"pairs": pairs, "conditioned": pairs}
    results["features"] = [{**group, "detail": [1.0, 1.0, 1.0]} for group in pairs]
    for layer in "abc":
        results[f"layer-{layer}"] = pairs
        results[f"alone-{layer}"] = [{**group, "error digit": [0.9], "spread": [0.4]} for group in pairs]
    results["universal"] = [
        {name: values[1:] if isinstance(values, list) else values for name, values in group.items()}
        for group in pairs
    ]
    return results


def test_all_claims_hold_on_a_grid_of_the_gaussian_source() -> None:
    record = reproduction(all_experiments()).record()
    assert [c["claim"] for c in record["claims"] if not c["holds"]] == []
    assert len(record["claims"]) == 7 + 4 + 6
    assert "×2.00 ± 0.00 to ×2.00 ± 0.00" in claim(record, "twice the distortion")["ours"]
    assert "×1.000 in the median" in claim(record, "one encoder")["ours"]
    assert [c["claim"] for c in record["claims"] if c["addition"]] == [
        "one network that is told λ does for the 3 of a rate"
    ]


def test_what_is_kept_without_squared_error_is_no_collapse() -> None:
    results = all_experiments()
    results["alone-b"] = [{**group, "error digit": [0.15]} for group in results["pairs"]]
    results["features"] = results["pairs"]  # nothing is clearer
    record = reproduction(results).record()
    assert not claim(record, "on layer b alone")["holds"]
    assert claim(record, "on layer a alone")["holds"]
    assert not claim(record, "clearer, not better")["holds"]


def test_pairs_that_others_beat_do_not_spoil_a_trade_off() -> None:
    """Past the least W₁ training went wrong: a rank correlation along λ would say so of the trade-off."""
    pairs = gaussian_grid()
    for group in pairs:
        for name, far in (("wasserstein", 2.0), ("sliced", 2.0), ("mse", 3.0), ("change", 3.0)):
            group[name] += [far + number for number in range(5)]
    record = reproduction({"pairs": pairs}).record()
    assert claim(record, "at each rate distortion rises")["holds"]
    assert claim(record, "twice the distortion")["holds"]


def test_a_price_above_two_is_refuted_only_beyond_its_error() -> None:
    for apart, refuted in ((0.5, False), (0.0, True)):
        pairs = gaussian_grid()
        for group in pairs:
            group["mse"][-1] *= 1.05 + (apart if group["seed"] else -apart)
        found = claim(reproduction({"pairs": pairs}).record(), "twice the distortion")
        assert found["holds"] != refuted


def test_claims_fail_where_there_is_no_trade_off() -> None:
    pairs = gaussian_grid()
    for group in pairs:
        group["mse"] = group["mse"][::-1]  # the most real images are also the closest
    record = reproduction({"pairs": pairs}).record()
    assert not claim(record, "at each rate distortion rises")["holds"]
    assert not claim(record, "rises as perception tightens")["holds"]


def test_a_worse_encoder_shows_as_a_penalty_of_so_much() -> None:
    pairs = gaussian_grid()
    worse = [{**group, "mse": [1.25 * value for value in group["mse"]]} for group in pairs]
    record = reproduction({"pairs": pairs, "conditioned": worse}).record()
    found = claim(record, "one network")
    assert "×1.250 in the median, ×1.250 to ×1.250" in found["ours"]
    assert not found["holds"]


def test_equal_perception_is_read_off_the_hull() -> None:
    pairs = gaussian_grid((4,), (0,))
    bounds = bounds_on_perception(pairs)
    assert np.isinf(bounds[-1])
    pairs[0]["wasserstein"], pairs[0]["mse"] = [3.0, 2.0, 1.0], [1.0, 9.0, 2.0]  # the second is beaten
    found = equi_perception(pairs, np.array([0.5, 1.0, 2.0, np.inf]))
    assert found.values[0, 0] == pytest.approx([np.nan, 2.0, 1.5, 1.0], nan_ok=True)


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


def test_an_error_in_a_worker_is_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GRIDS, "quick", TINY)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "pairs-3x4-0.json").write_text("{")
    where = ["--data", str(data), "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(bench, ["papers", "digits", "--grid", "quick", "--workers", "2", *where])
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
    run = DigitsRun(
        TINY,
        load_mnist(data),
        torch.device("cpu"),
        tmp_path,
        lambda label: lambda step: None,
    )
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
    assert claims_table(record) in (ROOT / "docs" / "papers.md").read_text()
    assert reproduction(record["results"]).record()["claims"] == record["claims"]


@pytest.mark.slow
@pytest.mark.skipif(MNIST is None, reason="RDPCODEC_MNIST names no folder of MNIST")
def test_the_quick_grid_bears_out_the_paper(tmp_path: Path) -> None:
    assert MNIST is not None
    run(Path(MNIST), tmp_path, "--grid", "quick")
    record = json.loads((tmp_path / "out" / "quick.json").read_text())
    for part in ("falls with rate at every", "rises as perception tightens", "rises most at low rate"):
        assert claim(record, part)["holds"], claim(record, part)
