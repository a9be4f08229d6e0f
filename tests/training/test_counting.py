"""Counted tables reflect what was met, and leave room for what was not."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_model import SMALL

from rdpcodec.entropy.tables import KNOTS, TOTAL
from rdpcodec.format.symbols import Symbols, hyper_bank
from rdpcodec.image import ImageData
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.training.export import counting
from rdpcodec.training.export.counting import (
    COUNTED_REACH,
    calibration_symbols,
    counted_tables,
    density_tables,
    hyper_family,
    latent_family,
)
from rdpcodec.training.images.image_set import ImageSet


def test_residuals_cost_what_they_should_where_many_were_counted() -> None:
    """Residuals are counted without their signs, and both signs share what was counted."""
    share = np.zeros(COUNTED_REACH + 1)
    share[:4] = 0.5, 0.3, 0.15, 0.05
    family = latent_family(1e9 * share[None], np.full((1, COUNTED_REACH + 1), 1e-9))
    assert family.reach.tolist() == [3]
    found = family.table(0) / TOTAL
    assert found[:-1] == pytest.approx([0.025, 0.075, 0.15, 0.5, 0.15, 0.075, 0.025], rel=1e-3)
    assert found[-1] < 1e-5  # anything beyond is barely possible


def test_where_nothing_was_counted_tables_are_those_of_the_density() -> None:
    torch.manual_seed(0)
    model = RdpModel(SMALL)
    latents, hyper = density_tables(model)
    family, nothing = latent_family(np.zeros_like(latents), latents), np.zeros_like(hyper)
    for index in (10, 30, 50):
        reach = family.reach[index]
        expected = latents[index][np.abs(np.arange(-reach, reach + 1))]
        assert family.table(index)[:-1] / TOTAL == pytest.approx(expected, rel=1e-2, abs=1e-5)
    assert set(hyper_family(nothing, hyper).reach) == {2}


def test_hyper_latents_reach_two_beyond_what_was_counted_and_no_further_than_127() -> None:
    counts, density = np.zeros((1, 3, 255)), np.full((1, 3, 255), 1 / 255)
    counts[0, 0, 127 - 5] = counts[0, 1, 127 + 126] = counts[0, 2, 127] = 1e6
    family = hyper_family(counts, density)
    assert family.reach.tolist() == [7, 127, 2]
    assert family.table(0).argmax() == 7 - 5
    assert family.table(2).argmax() == 2


def test_symbols_are_counted_under_their_tables_channels_and_banks(monkeypatch: pytest.MonkeyPatch) -> None:
    qualities = (0.0, 100.0)
    hyper = np.arange(SMALL.hyper_latents)[:, None, None] * np.array([1, -1]).reshape(2, 1, 1, 1)

    def symbols(*_: object) -> Iterator[tuple[Symbols, float]]:
        tables = np.repeat(np.arange(64, dtype=np.uint8), 4).reshape(1, 64, 4)
        residual = np.tile([3, -3, 3, -COUNTED_REACH - 9], 64).reshape(1, 64, 4)
        for z, quality in zip(hyper, qualities, strict=True):
            for _ in range(3):
                yield Symbols(z, tables, residual), quality

    counts: list[np.ndarray] = []
    monkeypatch.setattr(counting, "calibration_symbols", symbols)
    for name in ("latent_family", "hyper_family"):
        monkeypatch.setattr(counting, name, lambda found, density: counts.append(found))
    counted_tables(SimpleNamespace(), RdpModel(SMALL), SimpleNamespace())  # type: ignore[arg-type]
    latents, hypers = counts
    assert np.argwhere(latents).tolist() == [[t, m] for t in range(64) for m in (3, COUNTED_REACH)]
    assert (latents[:, 3] == 18).all()
    assert (latents[:, COUNTED_REACH] == 6).all()
    expected = np.zeros((KNOTS, SMALL.hyper_latents, 255))
    for sign, quality in zip((1, -1), qualities, strict=True):
        for channel in range(SMALL.hyper_latents):
            expected[hyper_bank(quality), channel, 127 + sign * channel] = 3
    np.testing.assert_array_equal(hypers, expected)


def test_tables_are_counted_at_all_qualities_on_whole_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[np.ndarray, float]] = []

    def analyse(given: list[ImageData], quality: float) -> list[list[str]]:
        asked.append((given[0].pixels, quality))
        return [["symbols"]]

    monkeypatch.setattr(counting, "CALIBRATION_CROPS", 40)
    array = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    images = ImageSet.of([array], torch.device("cpu"))  # as large as a crop
    found = list(calibration_symbols(SimpleNamespace(analyse=analyse), images))  # type: ignore[arg-type]
    assert found == [("symbols", quality) for _, quality in asked]
    counts, _ = np.histogram([quality for _, quality in asked], 4, (0, 100))
    assert counts.sum() == 40
    assert counts.min() >= 8
    for pixels, _ in asked:
        assert pixels.dtype == np.uint8
        assert any(np.array_equal(pixels, image) for image in (array, array[:, ::-1]))
