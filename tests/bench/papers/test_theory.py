"""Closed forms against programs, quadrature against samples, both against brute force."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.special import rel_entr

from bench.__main__ import bench
from bench.papers.reproduction import claims_table
from bench.papers.theory import classification as cdp
from bench.papers.theory import perception_distortion as pd
from bench.papers.theory import rate_distortion_perception as rdp
from bench.papers.theory.papers import PAPERS
from bench.papers.theory.perception import (
    total_variation,
    transport,
)
from bench.papers.theory.shape import largest_concavity, largest_rise

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "bench" / "results" / "theory"
some_coin = st.floats(0.03, 0.5)
solved = settings(max_examples=15, deadline=None)


# The tools.


def test_shape_checks_find_what_they_look_for() -> None:
    x = np.linspace(0, 1, 11)
    bowl = (x[:, None] - 1) ** 2 + (x - 1) ** 2
    assert largest_rise(bowl) == 0
    assert largest_concavity(bowl) == 0
    assert largest_rise(-bowl) == pytest.approx(0.19)
    assert largest_concavity(-bowl) == pytest.approx(0.5)
    saddle = x[:, None] * x  # convex along both axes, concave along one diagonal
    assert largest_concavity(saddle) == pytest.approx(0.25)
    saddle[2, 3] = np.nan
    assert largest_concavity(saddle) == pytest.approx(0.25)


# Blau & Michaeli 2019.


@given(some_coin, st.floats(0.01, 1), st.floats(0, 1.2))
@solved
def test_bernoulli_closed_form_is_the_solvers_optimum(p: float, distortion: float, perception: float) -> None:
    d, bound = distortion * 2 * p * (1 - p), perception * p
    found = rdp.finite(np.array([1 - p, p]), 1 - np.eye(2), d, total_variation, bound)
    assert found == pytest.approx(float(rdp.bernoulli(p, d, bound)), abs=1e-4)


@given(some_coin, st.floats(0, 1.2))
@example(0.5, 7e-14)  # D₁ is a half, however small the bound
def test_bernoulli_regions_meet_without_a_step(p: float, perception: float) -> None:
    bound = perception * p
    first, second = rdp.bernoulli_regions(p, bound)
    assert 0 <= first <= second + 1e-12
    for edge in (float(first), float(second)):
        below, above = rdp.bernoulli(p, np.array([max(edge - 1e-9, 0), edge + 1e-9]), bound)
        assert below == pytest.approx(above, abs=1e-6)


@given(some_coin)
def test_bernoulli_surface_falls_and_is_convex(p: float) -> None:
    surface = rdp.bernoulli(p, np.linspace(0, 0.6, 15)[:, None], np.linspace(0, 1.2 * p, 11))
    assert largest_rise(surface) < 1e-12
    assert largest_concavity(surface) < 1e-12
    assert surface[0] == pytest.approx(float(rdp.binary_entropy(p)))


def blahut_arimoto(source: np.ndarray, distortion: np.ndarray, slope: float) -> tuple[float, float]:
    """(D, R in bits) at a slope of the rate-distortion function: the textbook's alternating minimisation."""
    output = np.full(distortion.shape[1], 1 / distortion.shape[1])
    for _ in range(4000):
        conditional = output * np.exp(-slope * distortion)
        conditional /= conditional.sum(axis=1, keepdims=True)
        output = np.maximum(source @ conditional, 1e-100)  # unused letters underflow
    joint = source[:, None] * conditional
    information = rel_entr(joint, source[:, None] * output).sum() / np.log(2)
    return float((joint * distortion).sum()), float(information)


@given(st.integers(0, 10_000), st.floats(3, 12))
@settings(max_examples=8, deadline=None)
def test_unbounded_perception_is_the_classical_rate_distortion_function(seed: int, slope: float) -> None:
    random = np.random.default_rng(seed)
    source, distortion = random.dirichlet(np.full(4, 3.0)), random.random((4, 5))
    d, rate = blahut_arimoto(source, distortion, slope)
    assert rdp.finite(source, distortion, d, total_variation, np.inf) == pytest.approx(rate, abs=1e-4)


def test_total_variation_is_transport_at_equal_cost() -> None:
    source, hamming = np.array([0.5, 0.3, 0.2]), 1 - np.eye(3)
    for d, bound in ((0.1, 0.0), (0.3, 0.05), (0.45, 0.02)):
        moved = rdp.finite(source, hamming, d, transport(hamming), bound)
        assert moved == pytest.approx(rdp.finite(source, hamming, d, total_variation, bound), abs=1e-6)


@given(st.floats(0.05, 2.2), st.floats(0, 0.9), st.floats(0.5, 2))
@settings(max_examples=60, deadline=None)
def test_gaussian_closed_form_is_the_best_of_all_jointly_gaussian_pairs(
    d: float, perception: float, deviation: float
) -> None:
    """Brute force over the deviation of X̂; the correlation that D asks for follows."""
    distortion, bound = d * deviation**2, perception * deviation**2
    least = float(rdp.wasserstein_least_deviation(bound, deviation))
    spread = np.linspace(max(least, 1e-6), 2 * deviation, 200_001)
    needed = (deviation**2 + spread**2 - distortion) / (2 * deviation * spread)
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = -np.log2(1 - np.maximum(needed, 0) ** 2) / 2
    best = float(np.nanmin(np.where(needed < 1, rates, np.inf)))
    assert float(rdp.gaussian(distortion, least, deviation)) == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize(("d", "bound"), [(0.3, 0.0), (0.5, 0.02), (1.2, 0.1)])
def test_no_other_law_beats_the_gaussian_one(d: float, bound: float) -> None:
    points = np.linspace(-4, 4, 41)
    weights = np.exp(-(points**2) / 2) / np.exp(-(points**2) / 2).sum()
    squares = (points[:, None] - points) ** 2
    found = rdp.finite(weights, squares, d, transport(squares), bound)
    closed = float(rdp.gaussian(d, rdp.wasserstein_least_deviation(bound)))
    assert found == pytest.approx(closed, abs=0.01)


@given(st.floats(1e-6, 5))
def test_kl_of_the_least_deviation_is_the_bound(bound: float) -> None:
    s = float(rdp.kl_least_deviation(bound, 3.0)) ** 2 / 9
    assert 0 < s < 1
    assert (s - 1 - np.log(s)) / 2 == pytest.approx(bound, rel=1e-5, abs=1e-9)


def test_no_divergence_leaves_no_room() -> None:
    assert rdp.kl_least_deviation(np.array([0.0, 1e-9])) == pytest.approx([1, 1], abs=1e-4)


@given(st.floats(0.02, 2))
def test_perfect_perception_at_twice_the_distortion_costs_no_rate(d: float) -> None:
    assert rdp.gaussian(d, 1.0) <= rdp.gaussian(d / 2, 0.0) + 1e-12


@given(st.floats(0.05, 4), st.floats(0, 1))
def test_mixed_decoders_of_one_representation_stay_on_the_curve(rate: float, realism: float) -> None:
    distortion, perception = rdp.gaussian_mixed_decoders(rate, realism)
    least = rdp.wasserstein_least_deviation(perception)
    assert float(rdp.gaussian(distortion, least)) == pytest.approx(rate, abs=1e-7)


@pytest.mark.parametrize("p", [0.0, -0.1, 0.6])
def test_impossible_probabilities_are_refused(p: float) -> None:
    with pytest.raises(ValueError, match="lies in"):
        rdp.bernoulli(p, 0.1, 0.1)
    with pytest.raises(ValueError, match="lies in"):
        pd.mmse(p)


# Liu, Zhang & Xiong 2019.


@given(st.floats(0.2, 1.2), st.floats(0.3, 2.5))
@settings(max_examples=8, deadline=None)
def test_linear_denoisers_figures_are_those_of_samples(a: float, noise: float) -> None:
    n, random = 400_000, np.random.default_rng(0)
    classes = random.choice(2, n, p=cdp.PRIORS)
    x = cdp.MEANS[classes] + random.standard_normal(n)
    restored = a * (x + noise * random.standard_normal(n))
    gain = np.array([a])
    squares = (x - restored) ** 2
    assert cdp.linear_distortion(gain, noise)[0] == pytest.approx(
        squares.mean(), abs=5 * squares.std() / n**0.5
    )
    wrong = np.mean((restored > cdp.THRESHOLD) != classes)
    assert cdp.linear_error(gain, noise)[0] == pytest.approx(wrong, abs=0.004)
    ratios = cdp.log_density(x, 1, 1) - cdp.log_density(x, a, a * np.sqrt(1 + noise**2))
    assert cdp.linear_perception(gain, noise)[0] == pytest.approx(
        ratios.mean(), abs=5 * ratios.std() / n**0.5
    )


@given(st.floats(0.3, 2.5))
@settings(max_examples=20, deadline=None)
def test_best_gains_are_best(noise: float) -> None:
    best = cdp.best_gains(noise)
    for goal, figure in (
        ("distortion", cdp.linear_distortion),
        ("perception", cdp.linear_perception),
        ("classification", cdp.linear_error),
    ):
        gains = best[goal] + np.array([0, -0.01, 0.01])
        least, *others = figure(gains, noise)
        assert least < min(others)


@given(st.floats(0.2, 3))
def test_the_mmse_estimate_is_classified_as_well_as_the_observation(noise: float) -> None:
    variance = 1 + noise**2
    y = cdp.THRESHOLD * variance + np.array([-1e-3, 0, 1e-3])
    below, at, above = cdp.mmse_estimate(y, noise)
    assert at == pytest.approx(cdp.THRESHOLD)
    assert below < at < above


def test_cells_have_the_moments_of_what_they_cut() -> None:
    problem = cdp.cells(1.3, 40)
    assert problem.observed.sum() == pytest.approx(1)
    assert problem.first.sum() == pytest.approx(cdp.PRIORS @ cdp.MEANS)
    assert problem.second.sum() == pytest.approx(cdp.SECOND_MOMENT)
    assert problem.positive.sum() == pytest.approx(cdp.PRIORS[1])
    assert problem.source.sum() == pytest.approx(1)
    # The best error rate on Y is that on its cells: an edge lies at the threshold.
    best = np.minimum(problem.positive, problem.observed - problem.positive).sum()
    assert best == pytest.approx(cdp.least_error(1.3), abs=1e-12)


def test_the_program_over_all_denoisers_reaches_its_limits() -> None:
    problem = cdp.cells(1.0, 30)
    perceptions = np.array([0.001, 0.003, 0.5])
    errors = cdp.classification_function(problem, np.array([0.2, 4.0]), perceptions)
    assert np.isnan(errors[0]).all()  # 0.2 is less than the MMSE
    closed = [cdp.unlimited_distortion_error(bound, 1.0) for bound in perceptions]
    assert errors[1] == pytest.approx(closed, abs=1e-4)
    assert np.all(errors[1] >= np.array(closed) - 1e-7)
    assert closed[2] == pytest.approx(cdp.least_error(1.0))
    least = cdp.least_distortions(problem, perceptions)
    assert largest_rise(least) == 0
    assert least[-1] >= problem.mmse()


def test_no_linear_denoiser_beats_the_program() -> None:
    problem, gains = cdp.cells(1.0, 30), np.array([0.6, 0.7, 0.8])
    for a in gains[:, None]:
        d, bound, error = (
            figure(a, 1.0)[0] for figure in (cdp.linear_distortion, cdp.linear_perception, cdp.linear_error)
        )
        found = cdp.classification_function(problem, np.array([d + 0.01]), np.array([bound]))
        assert found[0, 0] <= error + 1e-6


# The command and the page.


def test_the_command_writes_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Half of the cells bear out the claims too, in a third of the time.
    paper = PAPERS["classification"]
    smaller = replace(paper, reproduction=partial(paper.reproduction, count=16))
    monkeypatch.setitem(PAPERS, "classification", smaller)
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs" / "papers.md").read_text())
    result = CliRunner().invoke(
        bench, ["papers", "theory", "--out", str(tmp_path / "out"), "--page", str(page)]
    )
    assert result.exit_code == 0, result.output
    for name in PAPERS:
        record = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        assert all(claim["holds"] for claim in record["claims"])
        assert claims_table(record) in page.read_text()
        committed = json.loads((RESULTS / f"{name}.json").read_text())
        assert [claim["claim"] for claim in committed["claims"]] == [c["claim"] for c in record["claims"]]
    for figure in RESULTS.glob("*.png"):
        assert Image.open(tmp_path / "out" / figure.name).size == Image.open(figure).size


@pytest.mark.parametrize("name", PAPERS)
def test_the_pages_tables_are_those_of_the_committed_results(name: str) -> None:
    record = json.loads((RESULTS / f"{name}.json").read_text())
    assert claims_table(record) in (ROOT / "docs" / "papers.md").read_text()
