"""Steps of the algorithm that stand twice, in NumPy for ONNX Runtime and in torch: they do the same, up to
the rounding of float32. Rounding by rate alone is compared in tests/model/test_quantise.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from rdpcodec import Codec
from rdpcodec.engine.interface import Engine
from rdpcodec.format.symbols import Symbols, hyper_reach
from rdpcodec.weights.manifest import DEFAULT_MODEL, find_model
from rdpcodec.weights.release import ReleasedModel

QUALITIES = (0, 30, 77.5, 100)


@pytest.fixture(scope="module")
def engines() -> tuple[Engine, Engine]:
    in_numpy, in_torch = (Codec(engine=name).tile_codec.engine for name in ("onnx", "torch"))
    return in_numpy, in_torch


def symbols_of(engine: Engine, quality: float) -> list[Symbols]:
    """Symbols of two tiles, whose sides are multiples of nothing, with latents as of a busy image."""
    shape = 2, engine.latents, 7, 10
    return engine.to_symbols(np.random.default_rng(0).laplace(0, 10, shape).astype(np.float32), quality)


@pytest.mark.parametrize("quality", QUALITIES)
def test_both_find_the_same_symbols(engines: tuple[Engine, Engine], quality: float) -> None:
    tables = ReleasedModel.load(find_model(DEFAULT_MODEL)).hyper_tables
    for one, other in zip(*(symbols_of(engine, quality) for engine in engines), strict=True):
        np.testing.assert_array_equal(one.hyper, other.hyper)
        np.testing.assert_array_equal(one.tables, other.tables)
        assert (one.residual != other.residual).mean() < 1e-3
        reach = hyper_reach(tables, one.hyper.shape, quality)
        assert (np.abs(one.hyper) == reach).any()  # some are clipped


@pytest.mark.parametrize("quality", QUALITIES)
def test_both_find_the_same_latents_of_symbols(engines: tuple[Engine, Engine], quality: float) -> None:
    symbols = symbols_of(engines[0], quality)
    one, other = (engine.from_symbols(symbols, quality) for engine in engines)
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("realism", [0, 0.3, 1])
def test_both_make_the_same_pixels_of_latents(engines: tuple[Engine, Engine], realism: float) -> None:
    latents = engines[0].from_symbols(symbols_of(engines[0], 30), 30)
    one, other = (engine.synthesise(latents, 30, realism).astype(int) for engine in engines)
    assert np.abs(one - other).max() <= 1
    assert (one != other).mean() < 1e-3
