from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from ideal_bits import ideal_bits
from PIL import Image
from torch import Tensor

from rdpcodec import Codec
from rdpcodec.engine import onnx as engine
from rdpcodec.entropy import rounding
from rdpcodec.entropy.tables import TableFamily, integer_frequencies
from rdpcodec.image import load_image
from rdpcodec.model.rounding import TableBits, round_by_rate
from rdpcodec.quality import lambda_at

latents = arrays(np.float32, (1, 2, 3, 4), elements=st.floats(-40, 40, width=32))
qualities = st.floats(0, 100).map(lambda quality: torch.tensor([quality]))


def laplacian(residual: Tensor, index: Tensor) -> Tensor:
    """Bits that grow with the residual, faster where the index is low."""
    return residual.abs() * (4 - index)


def half_up(x: Tensor, *_: object) -> Tensor:
    return torch.floor(x + 0.5)


@settings(deadline=None)
@given(latents, qualities)
def test_where_all_symbols_cost_the_same_it_rounds_half_up(x: np.ndarray, quality: Tensor) -> None:
    values = torch.from_numpy(x)
    same = round_by_rate(values, torch.zeros_like(values), quality, lambda r, _: torch.ones_like(r))
    torch.testing.assert_close(same, half_up(values), rtol=0, atol=0)


@settings(deadline=None)
@given(latents, qualities)
def test_symbols_are_the_nearest_or_one_nearer_zero(x: np.ndarray, quality: Tensor) -> None:
    values = torch.from_numpy(x)
    nearest = half_up(values)
    found = round_by_rate(values, torch.ones_like(values), quality, laplacian)
    step = nearest.abs() - found.abs()
    assert set(step.unique().tolist()) <= {0.0, 1.0}
    assert bool((found * nearest >= 0).all())


def test_dear_symbols_and_high_qualities_are_rounded_down_more() -> None:
    x = torch.linspace(0.5, 1.49, 100).reshape(1, 1, 10, 10)
    counts = [
        float(round_by_rate(x, torch.full_like(x, index), torch.tensor([quality]), laplacian).sum())
        for index, quality in ((0, 90.0), (0, 10.0), (3, 90.0))
    ]
    dear_and_fine, dear_and_coarse, cheap_and_fine = counts
    assert dear_and_fine < dear_and_coarse < 100
    assert dear_and_fine < cheap_and_fine < 100


def test_bits_of_tables_are_those_of_the_coder() -> None:
    parts = [integer_frequencies(np.array(w)) for w in ([1.0, 6, 1, 0.1], [1.0, 2, 5, 2, 1, 0.2])]
    family = TableFamily(np.concatenate(parts), np.array([1, 2], np.int32), escape=True)
    bits = TableBits(torch.from_numpy(family.costs()))
    values, tables = np.array([-9, -1, 0, 1, 2, 300] * 2), np.repeat([0, 1], 6)
    found = bits(torch.from_numpy(values).float(), torch.from_numpy(tables.astype(np.uint8)))
    assert float(found.sum()) == pytest.approx(ideal_bits(family, values, tables), rel=1e-6)


@settings(deadline=None)
@given(latents, st.floats(0, 100))
def test_arrays_are_rounded_as_tensors_are(x: np.ndarray, quality: float) -> None:
    weights = [[1.0, 6, 1, 0.1], [1.0, 2, 5, 2, 1, 0.2], [0.1, 0.2, 1, 9, 1, 0.2, 0.1, 0.1]]
    family = TableFamily(
        np.concatenate([integer_frequencies(np.array(w)) for w in weights]),
        np.arange(1, 4, dtype=np.int32),
        True,
    )
    tables = (np.arange(x.size) % 3).astype(np.uint8).reshape(x.shape)
    bits = TableBits(torch.from_numpy(family.costs()))
    tensors = round_by_rate(torch.from_numpy(x), torch.from_numpy(tables), torch.tensor([quality]), bits)
    np.testing.assert_array_equal(rounding.round_by_rate(x, tables, quality, family.costs()), tensors.numpy())


@pytest.mark.parametrize("quality", [15, 45, 80])
def test_it_lowers_rate_and_squared_error_together(
    codec: Codec, photograph: Image.Image, monkeypatch: pytest.MonkeyPatch, quality: float
) -> None:
    image = load_image(photograph.crop((64, 64, 448, 448)))
    weight = lambda_at(quality) * image.pixels[..., 0].size

    def rate_and_loss() -> tuple[float, float]:
        (symbols,) = codec.analyse([image], quality)
        decoded = codec.synthesise([symbols], quality, image.size)[0]
        bits = 8 * len(codec.tile_codec.encode(symbols[0], quality))
        return bits, bits + weight * float(np.mean((decoded.astype(float) - image.pixels) ** 2))

    rate, loss = rate_and_loss()
    monkeypatch.setattr(engine, "round_by_rate", lambda x, *_: np.floor(x + 0.5))
    plain_rate, plain_loss = rate_and_loss()
    assert rate < plain_rate
    assert loss < plain_loss
