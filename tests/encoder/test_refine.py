from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from rdpcodec import Codec
from rdpcodec.encoder import refine as refining
from rdpcodec.encoder.annealing import COLD, WARM, ExpectedBits, anneal, temperature
from rdpcodec.encoder.refine import STEPS
from rdpcodec.format.tiles import Box
from rdpcodec.image import load_image
from rdpcodec.metrics.eyes import coarse_distortion, in_place_of, ssimulacra2_distortion
from rdpcodec.model.device import computes_bfloat16
from rdpcodec.mosaic import Window
from rdpcodec.operating_point import EFFORT_MAX
from rdpcodec.quality import lambda_at
from rdpcodec.training.settings import FidelitySettings
from rdpcodec.weights.release import DistortionShares


def tensor(image: Image.Image) -> Tensor:
    return torch.tensor(np.asarray(image)).permute(2, 0, 1)[None].float() / 255


def losses(codec: Codec, image: Image.Image, quality: float, efforts: int) -> list[float]:
    """Rate + λ·distortion of the real files of effort 0, 1, …, in bits; their containers cost the same. The
    distortions for eyes are scaled so that each equals the squared error in the first file.
    """
    x, shares = tensor(image), DistortionShares()
    files = [codec.compress(image, quality, effort=effort) for effort in range(efforts)]
    decoded = [tensor(codec.decompress(data)) for data in files]
    errors = torch.stack([(y - x).square().mean() for y in decoded])
    total = (1 - sum(shares)) * errors
    for share, distortion in zip(shares, (ssimulacra2_distortion, coarse_distortion), strict=True):
        felt = torch.cat([distortion(x, y) for y in decoded])
        total = total + share * errors[0] / felt[0] * felt
    price = lambda_at(quality) * 255**2 * image.width * image.height
    return [8 * len(data) + price * float(d) for data, d in zip(files, total, strict=True)]


@pytest.mark.parametrize(("quality", "box"), [(15.0, (230, 120, 359, 221)), (60.0, (0, 0, 90, 70))])
def test_more_effort_is_never_worse_and_soon_better(
    codec: Codec, photograph: Image.Image, quality: float, box: tuple[int, int, int, int]
) -> None:
    image = photograph.crop(box)
    found = losses(codec, image, quality, 4)
    assert all(after <= before + 0.5 for before, after in pairwise(found))
    assert found[3] < found[0]


@pytest.mark.parametrize("size", [(7, 340), (9, 257)])  # larger than `TINY`: searched once
def test_images_too_small_for_eyes_are_searched_for_squared_error(
    codec: Codec, photograph: Image.Image, size: tuple[int, int]
) -> None:
    image = photograph.resize(size)
    search = search_for(codec, image, 50)
    worse = (search.x + 0.1).clamp(0, 1)
    squared = search.price.weight * float((worse - search.x).square().mean())
    assert (float(search.price(worse)) == pytest.approx(squared)) is (min(size) < 8)
    assert codec.decompress(codec.compress(image, 50, effort=4)).size == size


def test_a_search_pays_for_what_training_pays_for(codec: Codec, photograph: Image.Image) -> None:
    """At its start, the price has the value of the squared error and the gradient of training's mixture."""
    search = search_for(codec, photograph.crop((200, 100, 328, 228)), 40)
    eyes, coarse = FidelitySettings.eyes, FidelitySettings.coarse
    decoded = search.decoded(search.best.residual).requires_grad_()
    mse = (decoded - search.x).square().mean((1, 2, 3))
    mixed = (
        (1 - eyes - coarse) * mse
        + eyes * in_place_of(mse, ssimulacra2_distortion(search.x, decoded))
        + coarse * in_place_of(mse, coarse_distortion(search.x, decoded))
    )
    price = search.price(decoded)
    assert float(price.detach()) == pytest.approx(search.price.weight * float(mse.detach()), rel=1e-4)
    (wanted,) = torch.autograd.grad(mixed.sum(), decoded)
    (found,) = torch.autograd.grad(price, decoded)
    torch.testing.assert_close(found / search.price.weight, wanted, rtol=1e-3, atol=1e-9)


def test_each_effort_takes_more_steps_than_the_one_below() -> None:
    assert len(STEPS) == EFFORT_MAX + 1
    assert STEPS[0] == 0
    assert all(lower < higher for lower, higher in pairwise(STEPS))


def test_a_search_finds_the_same_file_again(codec: Codec, photograph: Image.Image) -> None:
    image = photograph.crop((200, 100, 264, 164))
    assert codec.compress(image, 40, effort=1) == codec.compress(image, 40, effort=1)


def test_an_interrupted_search_has_what_each_effort_finds(codec: Codec, photograph: Image.Image) -> None:
    image = photograph.crop((200, 100, 272, 172))
    files = list(islice(codec.efforts(image, 40), 4))
    assert files == [codec.compress(image, 40, effort=effort) for effort in range(4)]
    assert files[3] != files[0]


def test_an_interrupted_search_looks_at_all_tiles(
    codec: Codec, photograph: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rdpcodec.format.tiles.TILE", 64)
    image = photograph.crop((200, 100, 296, 164))
    assert list(islice(codec.efforts(image, 40), 2))[1] == codec.compress(image, 40, effort=1)


def test_bfloat16_is_for_devices_that_compute_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for capabilities, expected in (
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True, "avx512_bf16": False}, True),
        ({"avx2": True}, False),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda c=capabilities: c, raising=False)
        assert computes_bfloat16("cpu") is expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert computes_bfloat16("cpu") is False


@pytest.mark.parametrize("half", [False, True])
def test_a_search_in_either_precision_finds_as_much(
    codec: Codec, photograph: Image.Image, monkeypatch: pytest.MonkeyPatch, half: bool
) -> None:
    monkeypatch.setattr(refining, "computes_bfloat16", lambda _: half)
    search = search_for(codec, photograph.crop((200, 100, 272, 172)), 60)
    assert search.half is half
    residual = annealed(search, 30)
    # What is compared is always what the decoder will see, in float32.
    with torch.no_grad():
        _, decoded = search.decode(lambda _: residual, half=False)
        price = float(search.price((decoded * 255 + 0.5).floor() / 255))
    assert search.rated(residual).loss == pytest.approx(search.coded(residual) + price)
    assert search.rated(residual).loss < search.best.loss


def test_images_of_a_batch_are_searched_one_by_one(codec: Codec, photograph: Image.Image) -> None:
    from rdpcodec import OperatingPoint

    images = [photograph.crop((left, 100, left + 64, 164)) for left in (100, 300)]
    together = codec.compress_batch(images, OperatingPoint(40, effort=1))
    alone = [codec.compress(image, 40, effort=1) for image in images]
    assert [abs(len(a) - len(b)) <= 4 for a, b in zip(together, alone, strict=True)] == [True, True]


def test_annealing_that_finds_nothing_keeps_what_there_was(
    codec: Codec, photograph: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = photograph.crop((200, 100, 264, 164))
    monkeypatch.setattr(refining, "LEARNING_RATE", 50.0)  # every step is a leap into the dark
    assert codec.compress(image, 40, effort=1) == codec.compress(image, 40)


def search_for(codec: Codec, image: Image.Image, quality: float) -> refining.Search:
    """A search as `refine` starts it, for an image of one tile."""
    loaded = load_image(image)
    ((symbols,),) = codec.analyse([loaded], quality)
    box = Box(0, 0, *loaded.size)
    return refining.Search(codec.tile_codec, loaded.pixels, Window(box, box), symbols, quality)


def annealed(search: refining.Search, steps: int) -> Tensor:
    """The residuals after some steps of a search."""
    return search.rounded(next(islice(search.annealing(), steps - 1, None)))


def test_a_search_begins_at_the_symbols_of_the_encoder(codec: Codec, photograph: Image.Image) -> None:
    search = search_for(codec, photograph.crop((200, 100, 328, 228)), 20)
    found = search.rounded(search.first_latents())
    assert torch.equal(found, search.best.residual)
    assert not torch.equal(found, search.rounded(search.latents))  # the encoder's are not always the nearest


def test_annealing_lowers_the_loss(codec: Codec, photograph: Image.Image) -> None:
    search = search_for(codec, photograph.crop((200, 100, 272, 172)), 30)
    residual = annealed(search, 30)
    assert search.rated(residual).loss < search.best.loss
    assert 1 <= float((residual - search.best.residual).abs().max()) <= 12


def test_each_effort_judges_the_latents_after_all_of_its_steps(
    codec: Codec, photograph: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = 0

    def annealing(search: refining.Search) -> Iterator[Tensor]:
        nonlocal taken
        while True:
            taken += 1
            yield search.first_latents()

    monkeypatch.setattr(refining.Search, "annealing", annealing)
    search = search_for(codec, photograph.crop((200, 100, 232, 132)), 40)
    assert [taken for _ in search.efforts(EFFORT_MAX)] == list(STEPS[1:])


def test_a_search_weighs_bits_against_the_squared_error_of_pixels(
    codec: Codec, photograph: Image.Image
) -> None:
    """As a file of that quality does: bits, plus λ for a squared error of one level, mean of the channels."""
    image = photograph.crop((200, 100, 290, 170))
    search = search_for(codec, image, 40)
    decoded = np.asarray(codec.decompress(codec.compress(image, 40)), float)
    errors = np.square(decoded - np.asarray(image)).mean(2).sum()
    expected = search.coded(search.best.residual) + lambda_at(40) * errors
    assert search.best.loss == pytest.approx(expected, rel=0.01)


def test_latents_that_hardly_matter_hardly_move(codec: Codec, photograph: Image.Image) -> None:
    """Most latents of a smooth area at low quality are such: a step must not move all equally far."""
    search = search_for(codec, photograph.crop((200, 100, 264, 164)), 20)
    first = search.first_latents()
    moved = (next(search.annealing()).detach() - first).abs().flatten()
    assert float(moved.max()) > 0
    assert float(moved.quantile(0.75)) < float(moved.max()) / 10


def test_a_search_cools_from_warm_to_cold() -> None:
    heats = [temperature(step) for step in range(1, STEPS[-1] + 1)]
    assert all(after <= before for before, after in pairwise(heats))
    assert heats[0] == pytest.approx(WARM, rel=0.02)
    assert heats[-1] == COLD < WARM


def test_annealing_rounds_to_the_nearer_integer_when_cold_and_at_random_when_warm() -> None:
    x = torch.tensor([0.2, -1.2, 3.9, 5.0, 0.5]).repeat(4000, 1)
    generator = torch.Generator().manual_seed(0)
    cold = anneal(x, COLD, generator).mean(0)
    np.testing.assert_allclose(cold, [0, -1, 4, 5, 0.5], atol=0.03)
    warm = anneal(x, WARM, generator)
    assert torch.all((warm >= x.floor()) & (warm <= x.floor() + 1))
    assert 0.05 < float(warm[:, 0].mean()) < 0.2


def test_a_residual_between_two_integers_costs_what_random_rounding_costs_on_average() -> None:
    costs = torch.tensor([[9.0, 4, 1, 3, 9], [20, 8, 0.5, 8, 20]])  # of -2..2 in two tables
    mixed = torch.tensor([-2.0, -0.25, 0, 1, 1.75, 0.5]).requires_grad_()
    found = ExpectedBits(costs, torch.tensor([0, 0, 0, 1, 1, 1]))(mixed)
    found.backward()
    assert found.item() == pytest.approx(9 + (0.25 * 4 + 0.75 * 1) + 1 + 8 + (0.25 * 8 + 0.75 * 20) + 4.25)
    assert mixed.grad is not None
    assert mixed.grad.tolist() == [-5, -3, 2, 12, 12, 7.5]


def test_what_a_search_counts_is_what_the_coder_writes(codec: Codec, photograph: Image.Image) -> None:
    """For integers, and except for the hyper-latents, which stay."""
    search = search_for(codec, photograph.crop((200, 100, 328, 228)), 30)
    residuals = search.best.residual, search.best.residual.clamp(-1, 1)
    counted = [float(search.rate(residual)) for residual in residuals]
    coded = [search.coded(residual) for residual in residuals]
    assert coded[0] - coded[1] == pytest.approx(counted[0] - counted[1], abs=0.01 * coded[0])
    assert coded[0] > coded[1] + 100


@given(st.floats(-1e6, 1e6), st.integers(1, 8))
def test_beyond_the_tables_the_line_goes_on(value: float, reach: int) -> None:
    costs = torch.arange(-reach, reach + 1).abs()[None].float()
    found = ExpectedBits(costs, torch.zeros(1, dtype=torch.int64))(torch.tensor([value]))
    assert float(found) == pytest.approx(abs(value), rel=1e-4, abs=1e-4)
