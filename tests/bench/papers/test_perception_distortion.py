"""Measures of perception, and the example of Blau & Michaeli (2018): programs against samples."""

from __future__ import annotations

import json
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import rel_entr

from bench.papers.theory import perception_distortion as pd
from bench.papers.theory.claims import perception_distortion
from bench.papers.theory.perception import (
    Perception,
    chi_squared,
    jensen_shannon,
    kullback_leibler,
    renyi_of_order_half,
    renyi_of_order_two,
    squared_hellinger,
    total_variation,
    transport,
)
from bench.papers.theory.shape import largest_concavity, largest_rise

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "bench" / "results" / "theory"
some_prior = st.floats(0.05, 0.48)


def value(measure: tuple[cp.Expression, list[cp.Constraint]]) -> float:
    return float(cp.Problem(cp.Minimize(measure[0]), measure[1]).solve(solver=cp.CLARABEL))


def test_perception_measures_of_known_laws() -> None:
    p, q = np.array([0.2, 0.5, 0.3]), cp.Constant([0.4, 0.5, 0.1])
    assert value(total_variation(p, q)) == pytest.approx(0.2)
    assert value(kullback_leibler(p, q)) == pytest.approx(0.2 * np.log(0.5) + 0.3 * np.log(3))
    assert value(transport(1 - np.eye(3))(p, q)) == pytest.approx(0.2, abs=1e-6)
    squares = (np.arange(3)[:, None] - np.arange(3)) ** 2
    assert value(transport(squares)(p, q)) == pytest.approx(0.4, abs=1e-6)  # 0.2 moves by one, twice
    elsewhere = cp.Constant([0.2, 0.5, 0.1, 0.2])
    assert value(total_variation(p, elsewhere)) == pytest.approx(0.2)


def formula(name: str, p: np.ndarray, q: np.ndarray) -> float:
    """The textbook's formulas, for laws on one alphabet with q > 0."""
    middle = (p + q) / 2
    return {
        "tv": abs(p - q).sum() / 2,
        "kl": rel_entr(p, q).sum(),
        "js": (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2,
        "chi": ((p - q) ** 2 / q).sum(),
        "hellinger": ((np.sqrt(p) - np.sqrt(q)) ** 2).sum() / 2,
        "renyi half": -2 * np.log(np.sqrt(p * q).sum()),
        "renyi two": np.log((p**2 / q).sum()),
    }[name]


DIVERGENCES: dict[str, Perception] = {
    "tv": total_variation,
    "kl": kullback_leibler,
    "js": jensen_shannon,
    "chi": chi_squared,
    "hellinger": squared_hellinger,
}
some_law = st.lists(st.floats(0.05, 1), min_size=4, max_size=4).map(lambda a: np.array(a) / sum(a))


@given(some_law, some_law)
@settings(max_examples=10, deadline=None)
def test_divergences_are_those_of_the_textbook(p: np.ndarray, q: np.ndarray) -> None:
    for name, measure in DIVERGENCES.items():
        assert value(measure(p, cp.Constant(q))) == pytest.approx(formula(name, p, q), abs=1e-6), name


@pytest.mark.parametrize("name", DIVERGENCES)
def test_mass_off_the_sources_alphabet_counts_as_where_the_source_has_almost_none(name: str) -> None:
    p, q = np.array([0.2, 0.5, 0.3]), np.array([0.1, 0.5, 0.1, 0.3])
    almost = np.append(p, 1e-12)
    found = value(DIVERGENCES[name](p, cp.Constant(q)))
    assert found == pytest.approx(formula(name, almost, q), abs=1e-5)


@given(some_law, some_law, some_law, st.floats(0, 1))
@settings(deadline=None)
def test_divergences_are_convex_in_their_second_argument(
    p: np.ndarray, q: np.ndarray, r: np.ndarray, share: float
) -> None:
    for name in (*DIVERGENCES, "renyi half", "renyi two"):
        chord = share * formula(name, p, q) + (1 - share) * formula(name, p, r)
        assert formula(name, p, share * q + (1 - share) * r) <= chord + 1e-12, name


@given(some_law, some_law)
@settings(deadline=None)
def test_renyi_divergences_are_rising_functions_of_hellinger_and_chi_squared(
    p: np.ndarray, q: np.ndarray
) -> None:
    half = renyi_of_order_half(np.array(formula("hellinger", p, q)))
    assert half == pytest.approx(formula("renyi half", p, q), abs=1e-9)
    two = renyi_of_order_two(np.array(formula("chi", p, q)))
    assert two == pytest.approx(formula("renyi two", p, q), abs=1e-9)
    assert half <= formula("kl", p, q) + 1e-12 <= two + 2e-12  # they rise with the order


# Blau & Michaeli 2018.


def test_the_likeliest_value_is_one_or_minus_one_and_never_zero() -> None:
    """As the talk shows, from P(±1) = 0.3835 on; below about a third, 0 comes up too often."""
    assert pd.map_law(0.4).tolist() == pytest.approx([0.5, 0, 0.5])
    assert pd.map_law(0.4)[1] == pd.map_law(pd.never_zero() + 1e-6)[1] == 0
    assert pd.map_law(pd.never_zero() - 1e-3)[1] > 0
    assert pd.map_law(0.3)[1] > 0.4


def test_stored_curves_bear_out_their_claims() -> None:
    """Every P(D) of the record falls and is convex, and all reach 0 at the same distortion."""
    record = json.loads((RESULTS / "perception_distortion.json").read_text())
    assert record["p"] == 0.4
    assert len(record["distances"]) == 8
    for key, curve in record["distances"].items():
        values = np.array(curve["perception"])
        assert largest_rise(values) < 1e-6, key
        assert largest_concavity(values) < 1e-5, key  # stored to six digits
        reached = np.array(curve["distortion"]) > record["perfect_perception_mse"] + 0.002
        assert values[reached] == pytest.approx(0, abs=1e-3), key  # the grid of Wasserstein-2 costs 6·10⁻⁴
        assert values[0] > 0.05, key


def test_another_prior_gives_another_law_and_its_claim_fails() -> None:
    claims = perception_distortion.reproduction(p=0.3, cells=24, step=0.2).claims
    holds = {claim.claim: bool(claim.holds) for claim in claims}
    assert not holds["the MAP estimate is −1 or 1, ½ each, and never 0"]
    shapes = [found for claim, found in holds.items() if claim.startswith("P(D) falls and is convex")]
    assert shapes == [True] * 8


@given(some_prior)
@settings(max_examples=15, deadline=None)
def test_posterior_sampling_has_twice_the_mmse(p: float) -> None:
    assert pd.posterior_sampling_mse(p) == pytest.approx(2 * pd.mmse(p), rel=1e-6)


def test_errors_of_the_estimators_are_those_of_samples() -> None:
    p, n, random = 0.3, 400_000, np.random.default_rng(0)
    x = random.choice(pd.SUPPORT, n, p=pd.priors(p))
    y = x + random.standard_normal(n)
    posterior = pd.posterior(y, p)
    assert np.mean((x - pd.mmse_estimate(y, p)) ** 2) == pytest.approx(pd.mmse(p), abs=0.003)
    likeliest = pd.SUPPORT[posterior.argmax(axis=0)]
    assert np.mean((x - likeliest) ** 2) == pytest.approx(pd.map_mse(p), abs=0.005)
    assert [np.mean(likeliest == k) for k in pd.SUPPORT] == pytest.approx(pd.map_law(p), abs=0.003)
    drawn = pd.SUPPORT[(random.random(n) > np.cumsum(posterior, axis=0)[:2]).sum(axis=0)]
    assert np.mean((x - drawn) ** 2) == pytest.approx(pd.posterior_sampling_mse(p), abs=0.006)
    assert [np.mean(drawn == k) for k in pd.SUPPORT] == pytest.approx(pd.priors(p), abs=0.003)
    histogram, edges = np.histogram(pd.mmse_estimate(y, p), 20, (-0.9, 0.9))
    middles = (edges[1:] + edges[:-1]) / 2
    assert histogram / n / (edges[1] - edges[0]) == pytest.approx(pd.mmse_density(middles, p), abs=0.015)


@given(some_prior)
@settings(max_examples=15, deadline=None)
def test_the_density_of_the_mmse_estimate_is_one(p: float) -> None:
    total, _ = quad(lambda x: float(pd.mmse_density(np.array([x]), p)[0]), -1, 1, epsabs=1e-9, limit=200)
    assert total == pytest.approx(1, abs=1e-6)


@given(some_prior)
@settings(max_examples=15, deadline=None)
def test_perfect_perception_costs_the_transport_from_the_mmse_estimate(p: float) -> None:
    """Two independent ways to D₀: error probabilities, and MMSE plus squared Wasserstein-2."""
    perfect = pd.perfect_perception_mse(p)
    assert perfect == pytest.approx(pd.mmse(p) + pd.mmse_to_source(p), rel=1e-7)
    assert pd.mmse(p) < perfect <= 2 * pd.mmse(p)


def test_perception_at_the_mmse_is_that_of_the_mmse_estimate_and_0_at_perfect_perception() -> None:
    p = 0.3
    joint = pd.observe(p, 80)
    least = pd.cells_mmse(joint)
    estimates = pd.cells_estimate(joint)
    on_support = joint.sum(axis=0)[np.isin(estimates, pd.SUPPORT)].sum()  # 0 for the MMSE estimate's law
    ends = np.array([least, pd.perfect_perception_mse(p) + 0.001])
    found = pd.perception_function(joint, pd.outputs_on_support(joint), total_variation, ends)
    assert found == pytest.approx([1 - on_support, 0], abs=1e-5)


def test_cutting_the_observation_costs_as_the_square_of_the_step() -> None:
    excess = [pd.cells_mmse(pd.observe(0.3, cells)) - pd.mmse(0.3) for cells in (60, 120, 240)]
    assert 0 < excess[2] < 2e-5
    assert excess[0] / excess[1] == pytest.approx(4, abs=0.3)
    assert excess[1] / excess[2] == pytest.approx(4, abs=0.3)


def test_four_outputs_a_cell_are_enough_for_total_variation() -> None:
    """A fine grid of outputs cannot do better than the support and the posterior mean."""
    joint, grid = pd.observe(0.25, 30), np.linspace(-1, 1, 81)
    order = np.concatenate([pd.SUPPORT, np.setdiff1d(grid, pd.SUPPORT)])
    distortions = np.linspace(pd.cells_mmse(joint) + 0.002, pd.perfect_perception_mse(0.25), 5)
    few = pd.perception_function(joint, pd.outputs_on_support(joint), total_variation, distortions)
    many = pd.perception_function(joint, np.tile(order, (30, 1)), total_variation, distortions)
    assert np.all(few <= many + 1e-6)
    assert few == pytest.approx(many, abs=0.03)


@given(some_prior, st.floats(0.1, 0.9))
@settings(max_examples=6, deadline=None)
def test_wasserstein_closed_form_lies_within_the_bounds_of_the_grids(p: float, share: float) -> None:
    joint, step = pd.observe(p, 50), 0.1
    grid = np.linspace(-1, 1, 21)
    least, perfect = pd.mmse(p), pd.perfect_perception_mse(p)
    low = pd.cells_mmse(joint) + step**2 / 4
    at = np.array([low + share * max(perfect - low, 0)])
    cost = transport((pd.SUPPORT[:, None] - grid) ** 2)
    found = pd.perception_function(joint, np.tile(grid, (50, 1)), cost, at)
    above = at - step**2 / 4
    assert pd.wasserstein_perception(at, least, perfect) ** 2 <= found + 1e-6
    # Rounding to the grid costs a quarter of a squared step at most; cutting Y moves D₀ by less than 0.003.
    worst = pd.wasserstein_perception(above, pd.cells_mmse(joint), perfect + 0.003) ** 2 + step**2 / 4
    assert found <= worst + 1e-6
