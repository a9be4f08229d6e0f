"""The classification experiments on stand-ins from end to end, and claims where the answers are known."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import gaussian
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from bars import bars, random, write_mnist
from click.testing import CliRunner
from PIL import Image
from torch import nn

from bench.__main__ import bench
from bench.drawing import pyplot
from bench.papers.classification import command, experiments, figures
from bench.papers.classification.claims import reproduction
from bench.papers.classification.codecs import axes_of, effect_of_realism
from bench.papers.classification.networks import Denoiser, SuperResolver
from bench.papers.classification.plan import TASKS, Task, sized
from bench.papers.reproduction import claims_table
from bench.papers.wgan.classifier import DESIGNS, Classifier, enlarged
from bench.papers.wgan.critic import CriticSize
from bench.papers.wgan.train import squared_error

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "bench" / "results" / "classification"


def tiny(task: Task, grid: str) -> Task:
    return replace(
        task,
        weights=(0, 0.01),
        cross=(0, 0.01),
        critic=CriticSize((2, 4), 8),
        steps=2,
        judges=2,
        classifier_steps=2,
        seeds=(3,),
        turns=2,
    )


def group_of(trades: bool, seed: int = 0) -> dict[str, Any]:
    """Nine restorers: λ improves perception, μ errors; each worsens the others only if `trades`."""
    weights, cross = np.repeat([0, 1, 2], 3), np.tile([0, 1, 2], 3)
    price = 1 if trades else -1
    error = 0.3 - 0.05 * cross + 0.02 * price * weights + 0.001 * seed
    perception = 3.0 - weights + 0.2 * price * cross + 0.001 * seed
    return {
        "design": "convolutional",
        "seed": seed,
        "weights": weights.tolist(),
        "cross": cross.tolist(),
        "mse": (0.2 + price * (0.02 * weights + 0.01 * cross)).tolist(),
        "wasserstein": perception.tolist(),
        "sliced": (perception / 28).tolist(),
        "error convolutional": error.tolist(),
        "error pooling": (error + 0.1).tolist(),
        "error enlarged": (error + 0.2).tolist(),
    }


def result_of(*groups: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": "a stand-in",
        "test images": 10_000,
        "error of originals": {"convolutional": 0.02, "pooling": 0.03, "enlarged": 0.03},
        "groups": list(groups),
    }


@pytest.mark.parametrize("trades", [True, False])
def test_claims_hold_where_there_is_a_trade_off_and_only_there(trades: bool) -> None:
    record = reproduction(result_of(group_of(trades), group_of(trades, 1))).record()
    holds = [claim["holds"] for claim in record["claims"]]
    assert len(holds) == 6
    assert holds[:3] == [trades] * 3
    assert holds[3]  # perception improves with its weight
    assert holds[4] == trades  # otherwise a larger weight of classification improves it too
    assert holds[5]  # errors fall with the other classifiers too
    if trades:
        expected = "errors ×1.50 ± 0.00 where MSE least; MSE ×1.10 ± 0.00 where errors least"
        assert expected in record["claims"][0]["ours"]


def test_a_small_weight_of_classification_that_makes_images_look_better_refutes_the_claim() -> None:
    """The largest makes them look worse."""
    group = group_of(True)
    for name in ("wasserstein", "sliced"):
        group[name][1] *= 0.8  # at the least λ and the middle μ
    claim = reproduction(result_of(group)).record()["claims"][4]
    assert "at 1 of 6 pairs; at λ = 0 W₁ 3.00, 2.56, 3.40 as μ rises" in claim["ours"]
    assert not claim["holds"]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("images", [1000, 10_000])
def test_noise_is_no_trade_off(seed: int, images: int) -> None:
    """Among equal restorers, the best in one quantity is not the best in another."""
    random, group = np.random.default_rng(seed), group_of(True)
    group |= {"weights": np.repeat([0, 1, 2, 3], 5).tolist(), "cross": np.tile([0, 1, 2, 3, 4], 4).tolist()}
    for name, deviation in (("mse", 0.001), ("wasserstein", 0.01), ("sliced", 0.01)):
        group[name] = (1 + deviation * random.standard_normal(20)).tolist()
    for name in ("error convolutional", "error pooling", "error enlarged"):
        group[name] = (random.binomial(images, 0.2, 20) / images).tolist()
    claims = reproduction(result_of(group) | {"test images": images}).record()["claims"]
    assert not any(claim["holds"] for claim in (*claims[:4], claims[5])), claims


def test_errors_within_the_noise_of_counting_are_no_trade_off() -> None:
    group = group_of(True)
    group["error convolutional"] = [0.2 + 0.0001 * cross for cross in group["cross"]]
    claims = reproduction(result_of(group)).record()["claims"]
    assert [claim["holds"] for claim in claims[:3]] == [False, True, False]


def test_what_seeds_do_not_agree_on_is_no_trade_off() -> None:
    """Two seeds differ as much, in opposite directions: the mean is smaller than its error."""
    groups = [group_of(True, seed) for seed in (0, 1)]
    groups[1]["error convolutional"] = [0.55 - e for e in groups[0]["error convolutional"]]
    claims = reproduction(result_of(*groups)).record()["claims"]
    assert not any(claim["holds"] for claim in (claims[0], claims[2]))
    assert claims[1]["holds"]


def test_hulls_are_drawn_at_three_levels_of_the_third_quantity() -> None:
    figure = figures.curves(result_of(group_of(True), group_of(True, 1)))
    axes = figure.axes[0]
    assert axes.get_xlabel().startswith("D")
    lines = [line for line in axes.get_lines() if line.get_label().startswith("W₁ ≤")]
    # The less perception is asked for, the less distortion there is.
    assert [min(line.get_xdata()) for line in lines] == pytest.approx([0.24, 0.22, 0.2])
    pyplot.close(figure)


def test_the_denoiser_is_given_images_in_noise_of_the_deviation() -> None:
    denoiser = Denoiser((1, 28, 28), (0.0, 0.1), 0.7, random())
    images = torch.rand(40, 1, 28, 28, generator=random(1))
    draw = denoiser.draw(40, random(2))
    noise = denoiser.degraded(images, draw) - images
    assert float(noise.std()) == pytest.approx(0.7, rel=0.02)
    restored = denoiser(images, draw)
    assert restored.shape == (40, 2, 1, 28, 28)
    assert torch.equal(restored[:, 0], restored[:, 1])  # all models begin alike
    assert restored.min() >= 0
    assert restored.max() <= 1


@pytest.mark.parametrize("factor", [2, 4])
def test_the_super_resolver_sees_means_of_blocks_and_nothing_else(factor: int) -> None:
    network = SuperResolver((3, 32, 32), (0.0,), factor, random())
    images = torch.rand(4, 3, 32, 32, generator=random(1))
    # What has mean 0 in every block is lost.
    detail = torch.tensor([1.0, -1.0]).repeat(16) * torch.tensor([0.1, -0.1]).repeat(16)[:, None]
    draw = network.draw(4, random(2))
    assert network.degraded(images, draw).shape == (4, 3, 32 // factor, 32 // factor)
    assert network(images, draw).shape == (4, 1, 3, 32, 32)
    torch.testing.assert_close(network(images, draw), network(images + detail, draw))


def test_the_loss_is_squared_error_and_each_models_share_of_cross_entropy() -> None:
    classifier = Classifier(nn.Flatten(), nn.Linear(784, 10))
    images, restored = torch.rand(6, 1, 28, 28), torch.rand(6, 3, 1, 28, 28)
    labels = torch.arange(6)
    found = experiments.recognised(classifier, (0, 0.1, 2))(restored, images, labels)
    for m, share in enumerate((0, 0.1, 2)):
        surprise = F.cross_entropy(classifier(restored[:, m]), labels)
        expected = squared_error(restored, images, labels)[m] + share * surprise
        torch.testing.assert_close(found[m], expected)


def test_the_command_writes_records_figures_and_the_pages_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "sized", tiny)
    monkeypatch.setattr(command, "TASKS", (TASKS[0], TASKS[2]))
    write_mnist(tmp_path, bars(60))
    generator = np.random.default_rng(0)
    for part in ("train", "test"):
        images = generator.integers(0, 256, (60, 32, 32, 3)).astype(np.uint8)
        np.savez(tmp_path / f"{part}.npz", images=images, labels=(np.arange(60) % 10).astype(np.uint8))
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    where = ["--mnist", str(tmp_path), "--cifar10", str(tmp_path), "--runs", str(tmp_path / "runs")]
    arguments = [
        "papers",
        "classification",
        "--grid",
        "quick",
        *where,
        "--out",
        str(tmp_path / "out"),
        "--page",
        str(page),
    ]
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == 0, result.output
    figures_again: list[Path] = []
    monkeypatch.setattr("bench.papers.wgan.train.Training.step", lambda self: pytest.fail("again"))
    monkeypatch.setattr(
        "bench.papers.classification.command.write_page_figure", lambda path, _: figures_again.append(path)
    )
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == 0, result.output
    assert len(figures_again) == 4
    shutil.rmtree(tmp_path / "runs")
    figures_again.clear()
    result = CliRunner().invoke(bench, [*arguments, "--keep"])  # nor with --keep, when images are gone
    assert result.exit_code == 0, result.output
    assert [path.stem for path in figures_again] == ["quick-denoising", "quick-super-resolution-2"]
    figures_again.clear()
    (tmp_path / "train.npz").unlink()  # which the chosen task does not need
    result = CliRunner().invoke(bench, [*arguments, "--keep", "--only", "denoising"])
    assert result.exit_code == 0, result.output
    assert [path.stem for path in figures_again] == ["quick-denoising"]
    for name in ("denoising", "super-resolution-2"):
        record = json.loads((tmp_path / "out" / f"quick-{name}.json").read_text())
        trained = [(group["seed"], group["design"]) for group in record["groups"]]
        assert trained == [(3, design) for design in DESIGNS]
        assert len(record["groups"][1]["error enlarged"]) == 4
        assert claims_table(record) in page.read_text()
        stored = reproduction({key: value for key, value in record.items() if key != "claims"})
        assert stored.record() == record
        for figure in (f"quick-{name}", f"quick-{name}-images"):
            assert min(Image.open(tmp_path / "out" / f"{figure}.png").size) > 100


def test_the_third_classifier_sees_digits_at_32_by_32() -> None:
    network = enlarged(1, 28)
    assert network[:1](torch.zeros(1, 1, 28, 28)).shape == (1, 1, 32, 32)
    assert network.eval()(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_tasks_are_the_papers_and_grids_shorten_them() -> None:
    assert [task.name for task in TASKS] == ["denoising", "super-resolution-4", "super-resolution-2"]
    for task in TASKS:
        assert task.models()[0] == (0, 0)
        full, cores, quick = (sized(task, grid) for grid in ("full", "cores", "quick"))
        assert full == task
        assert full.steps > cores.steps > quick.steps
        assert full.models() == cores.models()
        assert len(quick.models()) == 4


# Codecs.


def labelled(folder: Path, **options: Any) -> None:
    """A record of a surface whose classifier errs on the first image, except at full realism."""
    made = gaussian.record(**options)
    for number, image in enumerate(made["images"].values()):
        for key, facts in image.items():
            facts["top1"] = float(number > 0 or key.endswith("/1"))
            facts["agreement"] = 1.0
    for point in made["points"].values():
        point["quality"] = int(point["quality"])  # as in most codecs
    folder.mkdir(exist_ok=True)
    (folder / f"{made['name']}.json").write_text(json.dumps(made))


def test_codecs_have_the_axes_that_surface_and_peers_stored(tmp_path: Path) -> None:
    labelled(tmp_path)
    labelled(tmp_path, name="webp", realisms=None)
    axes = axes_of(tmp_path)
    assert list(axes) == ["rdpcodec", "webp"]
    realisms = axes["rdpcodec"]["realisms"]
    assert realisms["0"]["error"] == pytest.approx(1 / 8)
    assert realisms["1"]["error"] == pytest.approx(0)
    assert list(axes["webp"]["realisms"]) == ["0"]
    for row in effect_of_realism(axes):
        assert row["error"] == pytest.approx(-1 / 8)
        assert row["mse"] > 0 > row["lpips_alex"]
    page, out = tmp_path / "page.md", tmp_path / "out"
    where = ["--surface", str(tmp_path), "--out", str(out), "--page", str(page)]
    page.write_text("# Page\n")
    result = CliRunner().invoke(bench, ["papers", "classification", *where])
    assert result.exit_code == 0, result.output
    assert "| WebP | – | 0.080 |" in page.read_text()
    assert json.loads((out / "codecs.json").read_text())["realism"][0]["error"] == -0.125
    assert (out / "codecs.png").exists()


def test_a_surface_that_no_classifier_saw_is_refused(tmp_path: Path) -> None:
    arguments = ["papers", "classification", "--surface", str(tmp_path), "--out", str(tmp_path / "out")]
    assert "has no rdpcodec.json" in CliRunner().invoke(bench, arguments).output
    gaussian.write(tmp_path)
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == 1
    assert "no classifier was asked" in result.output


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*-*.json")), ids=lambda path: path.stem)
def test_the_page_shows_the_committed_results(path: Path) -> None:
    record = json.loads(path.read_text())
    assert claims_table(record) in (ROOT / "docs" / "papers-trained.md").read_text()
    found = reproduction({key: value for key, value in record.items() if key != "claims"})
    assert found.record()["claims"] == record["claims"]
