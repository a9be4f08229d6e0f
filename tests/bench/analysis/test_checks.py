from __future__ import annotations

import dataclasses
from pathlib import Path

import gaussian
import numpy as np
import pytest

from bench.analysis.checks import FAILS, HOLDS, NOT_MEASURED, WITHIN_ERROR, bits_saved_by_mixing, checks
from bench.analysis.measured import Measured, image_weights, load_measured


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    return load_measured(gaussian.write(tmp_path))


def verdicts(measured: Measured) -> dict[str, str]:
    return {check.statement: check.verdict for check in checks(measured, image_weights(len(measured.images)))}


def changed(measured: Measured, metric: str, place: tuple[object, ...], factor: float) -> Measured:
    """`measured` with a metric multiplied by `factor` at some images, qualities and realisms."""
    values = measured.values[metric].copy()
    values[place] *= factor
    return dataclasses.replace(measured, values={**measured.values, metric: values})


def test_everything_holds_on_a_gaussian(measured: Measured) -> None:
    assert set(verdicts(measured).values()) == {HOLDS}
    assert len(verdicts(measured)) == 7


EVERY = slice(None)


@pytest.mark.parametrize(
    ("metric", "place", "factor", "statement"),
    [
        ("mse", (EVERY, 2, 1), 4.0, "Distortion falls with rate at each realism"),
        ("lpips_alex", (EVERY, 1, 2), 5.0, "Perception improves with realism at each rate: LPIPS (AlexNet)"),
        ("bpp", (EVERY, 2, EVERY), 1.9, "The surface R(D, P) is convex (D: MSE, P: LPIPS)"),
        (
            "mse",
            (EVERY, 3, 2),
            1.4,
            "Mixtures of the two decoders lie on or under the chord: LPIPS (AlexNet)",
        ),
    ],
)
def test_each_statement_fails_where_the_surface_breaks_it(
    measured: Measured, metric: str, place: tuple[object, ...], factor: float, statement: str
) -> None:
    spoilt = changed(measured, metric, place, factor)
    assert verdicts(spoilt)[statement] == FAILS
    found = next(c for c in checks(spoilt, image_weights(8)) if c.statement == statement)
    quality, realism = gaussian.QUALITIES[place[1]], place[2]  # type: ignore[index]
    assert f"{quality:g}" in found.figure
    if isinstance(realism, int):
        assert f"{gaussian.REALISMS[realism]:g}" in found.figure


def test_the_chord_is_level_beyond_its_ends(measured: Measured) -> None:
    """Perception better than at realism 1 does not excuse a higher MSE than at realism 1."""
    inner = (EVERY, 3, 2)
    spoilt = changed(changed(measured, "lpips_alex", inner, 0.1), "mse", inner, 1.1)
    assert (spoilt.mean("mse")[3, 2] > spoilt.mean("mse")[3, -1]).all()
    statement = "Mixtures of the two decoders lie on or under the chord: LPIPS (AlexNet)"
    assert verdicts(spoilt)[statement] == FAILS


def test_what_one_image_breaks_holds_within_error(measured: Measured) -> None:
    spoilt = changed(measured, "mse", (0, 2, 1), 12.0)
    assert spoilt.mean("mse")[2, 1] > spoilt.mean("mse")[1, 1]
    assert verdicts(spoilt)["Distortion falls with rate at each realism"] == WITHIN_ERROR


def test_without_a_dial_only_rate_distortion_and_convexity_are_judged(tmp_path: Path) -> None:
    found = verdicts(load_measured(gaussian.write(tmp_path, realisms=(0.0,))))
    assert [statement for statement, verdict in found.items() if verdict != NOT_MEASURED] == [
        "Distortion falls with rate at each realism",
        "The surface R(D, P) is convex (D: MSE, P: LPIPS)",
    ]


@pytest.mark.parametrize("perception", [[1.0, 1.0, 1.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
def test_the_bits_saved_are_those_over_the_straight_line(perception: list[float]) -> None:
    # Coding half of the images at each end would cost 2 bits, not 2.5, at the same error and perception.
    saved = bits_saved_by_mixing(np.array([3, 2.5, 1]), np.array([1.0, 2, 3]), np.array(perception))
    assert saved == pytest.approx([0, 20, 0])


def test_a_point_worse_than_another_in_everything_wastes_the_difference() -> None:
    saved = bits_saved_by_mixing(np.array([1.0, 2, 4]), np.array([1.0, 1.5, 0.5]), np.array([1.0, 2, 0.5]))
    assert saved == pytest.approx([0, 50, 0])
