"""Both engines: a file can hold the symbols of any latents, and the threads used are those granted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rdpcodec import Codec, use_threads
from rdpcodec.engine import threads
from rdpcodec.engine.choice import EngineName
from rdpcodec.entropy.tables import ESCAPE_LIMIT
from rdpcodec.format.tiles import Box


@pytest.mark.parametrize("name", ["onnx", "torch"])
@pytest.mark.parametrize("scale", [1e3, 1e6])
def test_latents_that_no_image_has_are_clipped_to_what_a_file_can_hold(
    name: EngineName, scale: float
) -> None:
    tiles = Codec(engine=name).tile_codec
    shape = (1, tiles.engine.latents, 4, 6)
    latents = (scale * np.random.default_rng(0).normal(size=shape)).astype(np.float32)
    (symbols,) = tiles.engine.to_symbols(latents, 30)
    (decoded,) = tiles.decode([tiles.encode(symbols, 30)], Box(0, 0, 96, 64), 30)
    np.testing.assert_array_equal(decoded.hyper, symbols.hyper)
    np.testing.assert_array_equal(decoded.residual, symbols.residual)
    assert (np.abs(symbols.residual).max() == ESCAPE_LIMIT) == (scale > 1e5)


def test_torch_works_on_the_threads_that_it_is_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    granted: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", granted.append)
    monkeypatch.setattr(threads, "_chosen", None)  # restored after the test
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    Codec(engine="torch")
    assert granted == []  # torch's own choice
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    Codec(engine="torch")
    use_threads(2)
    Codec(engine="torch")
    assert granted == [3, 2]
