"""The generator of 2018 from end to end on stand-ins, and its estimators where the posterior is known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bars import bars, random, write_mnist
from click.testing import CliRunner
from PIL import Image

from bench.__main__ import bench
from bench.papers.denoising import experiments
from bench.papers.denoising.claims import reproduction
from bench.papers.denoising.estimators import NAMES, Posterior
from bench.papers.denoising.experiments import fidelity_of
from bench.papers.denoising.plan import CORES, FULL, GRIDS, POINTS, QUICK
from bench.papers.reproduction import claims_table
from bench.papers.wgan.critic import CriticSize
from bench.papers.wgan.data import load_mnist
from bench.papers.wgan.run import Run
from bench.papers.wgan.train import CPU, Draw

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "bench" / "results" / "denoising"
TINY = replace(
    QUICK,
    prior=40,
    critic=CriticSize((2, 4), 8),
    steps=2,
    judges=2,
    classifier_steps=2,
    seeds=(0, 1),
    turns=2,
)


def result() -> dict[str, Any]:
    """Denoisers of a Gaussian source: perfect perception at twice the least error."""
    share = np.array([0, 0.3, 0.7, 1])
    groups = [
        {
            "seed": seed,
            "weights": [0, 0.005, 0.02, "∞"],
            "mse": (0.02 * (1 + share**2) + 1e-5 * seed).tolist(),
            "wasserstein": (2 * (1 - share) + 0.01 * seed).tolist(),
            "sliced": (0.05 * (1 - share)).tolist(),
        }
        for seed in (0, 1)
    ]
    exact = {
        "names": list(NAMES),
        "mse": [0.02, 0.03, 0.04],
        "wasserstein": [2.0, 0.5, 0.1],
        "sliced": [0.05, 0.01, 0.007],
        "sliced floor": [0.006] * 3,
    }
    return {"noise": 1.0, "denoisers": groups, "estimators": exact}


def test_all_claims_hold_for_a_gaussian_source() -> None:
    record = reproduction(result()).record()
    assert [claim["claim"] for claim in record["claims"] if not claim["holds"]] == []
    assert record["claims"][0]["ours"] == "MSE from end to end of the hull ×2.00 ± 0.00"
    assert record["claims"][2]["ours"] == "MSE 0.0200 of the mean, ×1.50 of the mode, ×2.00 of a draw"


@pytest.mark.parametrize(
    ("place", "values", "failing"),
    [
        (("denoisers", "mse"), [0.02, 0.02, 0.02, 0.02], [0, 1]),
        (("denoisers", "wasserstein"), [1.0, 0.8, 0.5, 1.5], [1]),
        (("estimators", "mse"), [0.02, 0.045, 0.04], [2]),
    ],
)
def test_claims_fail_where_they_are_wrong(
    place: tuple[str, str], values: list[float], failing: list[int]
) -> None:
    made = result()
    for part in made[place[0]] if place[0] == "denoisers" else [made[place[0]]]:
        part[place[1]] = values
    claims = reproduction(made).claims
    assert [number for number, claim in enumerate(claims) if not claim.holds] == failing


def test_posterior_sampling_of_the_priors_own_images_has_twice_the_mmse() -> None:
    """This is exact for images drawn from the prior; the noise is strong enough to leave doubt."""
    prior = bars(20).images
    posterior = Posterior(prior, 6.0, CPU)
    images = torch.tensor(prior).float().repeat(200, 1, 1, 1) / 255
    restored = posterior(images, posterior.draw(len(images), random()))
    assert restored.shape == (4000, 3, 1, 28, 28)
    errors = (restored - images[:, None]).square().flatten(2).mean((0, 2))
    least, likeliest, drawn = errors.tolist()
    assert drawn == pytest.approx(2 * least, rel=0.04)
    assert least < likeliest < drawn
    known = {image.tobytes() for image in prior}
    for estimate in (restored[:50, 1:] * 255).round().byte().flatten(0, 1).numpy():
        assert estimate.tobytes() in known  # MAP and sampling return digits of the prior


def test_without_noise_all_estimators_return_the_image() -> None:
    prior = bars(20).images
    posterior = Posterior(prior, 0.05, CPU)
    images = torch.tensor(prior).float() / 255
    restored = posterior(
        images, Draw((torch.zeros(20, 1, 28, 28), torch.full((20,), 0.5)), torch.zeros(1, 3))
    )
    torch.testing.assert_close(restored, images[:, None].expand_as(restored), atol=1e-4, rtol=0)


def test_squared_error_does_not_count_at_an_infinite_weight() -> None:
    restored = torch.rand(5, 2, 1, 4, 4, generator=random())
    images = torch.zeros(5, 1, 4, 4)
    found = fidelity_of((0.1, math.inf))(restored, images, torch.zeros(5))
    assert found[0] == pytest.approx(float(restored[:, 0].square().mean()))
    assert found[1] == 0


def test_grids_go_from_nothing_to_infinity_through_the_papers_points() -> None:
    for plan in GRIDS.values():
        assert plan.weights[0] == 0
        assert plan.weights[-1] == math.inf
        assert set(POINTS.values()) <= set(plan.weights)
    assert FULL.steps > CORES.steps > QUICK.steps


def test_the_command_writes_records_figures_and_the_pages_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GRIDS, "quick", TINY)
    write_mnist(tmp_path, bars(120))
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    arguments = ["papers", "denoising", "--grid", "quick", "--data", str(tmp_path), "--page", str(page)]
    arguments += ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    for attempt in range(2):  # the second time nothing is trained
        found = CliRunner().invoke(bench, arguments)
        assert found.exit_code == 0, (attempt, found.output)
        monkeypatch.setattr("bench.papers.wgan.train.Training.step", lambda self: pytest.fail("again"))
    record = json.loads((tmp_path / "out" / "quick.json").read_text())
    assert [group["seed"] for group in record["denoisers"]] == [0, 1]
    assert record["denoisers"][0]["weights"][-1] == "∞"
    assert claims_table(record) in page.read_text()
    for figure in ("curve", "digits"):
        assert min(Image.open(tmp_path / "out" / f"quick-{figure}.png").size) > 100
    shown = experiments.shown_images(Run(TINY, load_mnist(tmp_path), CPU, tmp_path / "runs"), ["estimators"])
    assert shown is not None
    assert shown.shape == (4, 10, 28, 28)


def test_what_results_hold_is_kept_and_another_seed_joins_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GRIDS, "quick", TINY)
    write_mnist(tmp_path, bars(120))
    arguments = ["papers", "denoising", "--grid", "quick", "--data", str(tmp_path)]
    arguments += ["--out", str(tmp_path / "out")]
    path = tmp_path / "out" / "quick.json"
    found = []
    for runs, options in (("one", ["--seeds", "1"]), ("other", ["--keep"])):
        result = CliRunner().invoke(bench, [*arguments, "--runs", str(tmp_path / runs), *options])
        assert result.exit_code == 0, result.output
        found.append(json.loads(path.read_text()))
    first, both = found
    assert both["estimators"] == first["estimators"]
    assert both["denoisers"][0] == first["denoisers"][0]
    assert [group["seed"] for group in both["denoisers"]] == [0, 1]
    assert both["denoisers"][1]["mse"] != both["denoisers"][0]["mse"]
    assert not (tmp_path / "other" / "denoisers-0.pt").exists()


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_the_page_shows_the_committed_results(path: Path) -> None:
    record = json.loads(path.read_text())
    assert claims_table(record) in (ROOT / "docs" / "papers-trained.md").read_text()
    found = reproduction({key: value for key, value in record.items() if key != "claims"})
    assert found.record()["claims"] == record["claims"]
