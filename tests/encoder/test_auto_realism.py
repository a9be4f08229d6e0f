from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import rdpcodec
from rdpcodec import Codec, OperatingPoint
from rdpcodec.encoder.auto_realism import BLOCK, MOST, DetailMatch, realism_of
from rdpcodec.format.container import read_header
from rdpcodec.format.tiles import Box


def pixels(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(np.round(values), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture
def grain() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(8 * BLOCK + 2, 10 * BLOCK + 2))


def chosen(original: np.ndarray, fidelity: np.ndarray, realistic: np.ndarray) -> float:
    match = DetailMatch()
    match.add(original, fidelity, realistic)
    return match.realism()


@pytest.mark.parametrize("share", [0.25, 0.5, 0.65])
def test_realism_is_what_gives_detail_its_energy_back(grain: np.ndarray, share: float) -> None:
    flat, full = pixels(0 * grain + 128), pixels(128 + 40 * grain)
    assert chosen(pixels(128 + share * 40 * grain), flat, full) == pytest.approx(share, abs=0.051)


def test_realism_ends_where_it_costs_more_than_it_wins(grain: np.ndarray) -> None:
    flat, full = pixels(0 * grain + 128), pixels(128 + 40 * grain)
    assert chosen(full, flat, full) == MOST < 1


def test_where_fidelity_has_all_detail_there_is_no_realism(grain: np.ndarray) -> None:
    original = pixels(128 + 20 * grain)
    assert chosen(original, original, pixels(128 + 30 * grain)) == 0


def test_detail_painted_where_there_was_none_counts_against_realism(grain: np.ndarray) -> None:
    right = np.arange(grain.shape[1]) > grain.shape[1] // 4
    flat = pixels(0 * grain + 128)
    everywhere = pixels(128 + 20 * grain)
    assert chosen(everywhere, flat, everywhere) == MOST
    assert chosen(pixels(128 + 20 * grain * ~right), flat, everywhere) == 0


def test_parts_count_like_the_whole(grain: np.ndarray) -> None:
    parts = [pixels(128 + 30 * grain), pixels(128 + 5 * grain), pixels(128 + 25 * grain)]
    match = DetailMatch()
    match.add(*parts)
    match.add(*parts)
    assert match.realism() == chosen(*parts)


def test_an_image_without_a_block_gets_none() -> None:
    assert DetailMatch().realism() == 0
    assert chosen(*[np.zeros((BLOCK, 40, 3), np.uint8)] * 3) == 0


@pytest.mark.weights
def test_a_file_has_the_realism_of_its_image_and_rate(codec: Codec, photograph: Image.Image) -> None:
    image = photograph.crop((0, 0, 320, 256))
    low, high = (read_header(codec.compress(image, q, realism="auto"))[0].realism for q in (10, 100))
    assert 0.3 < low <= 1
    assert high < low
    flat = Image.new("RGB", (256, 256), (200, 180, 40))
    assert read_header(codec.compress(flat, 10, realism="auto"))[0].realism == 0


def test_the_choice_changes_a_byte_of_the_header_and_no_other(codec: Codec, photograph: Image.Image) -> None:
    image = photograph.crop((0, 0, 200, 160))
    data = codec.compress(image, 20, realism="auto")
    realism = read_header(data)[0].realism
    assert data == codec.compress(image, 20, realism=realism)
    assert data == codec.compress_batch([image], OperatingPoint(20, "auto"))[0]


def test_a_target_holds_for_the_realism_that_is_chosen(codec: Codec, photograph: Image.Image) -> None:
    image = photograph.crop((0, 0, 200, 160))
    data = codec.compress(image, rdpcodec.Target.psnr(28), realism="auto")
    error = np.asarray(image, float) - np.asarray(codec.decompress(data))
    assert 28 <= 10 * np.log10(255**2 / np.mean(error**2)) < 28.1


@pytest.mark.weights
def test_an_image_of_several_tiles_is_one_image(
    codec: Codec, photograph: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone, its left half would be given no realism, and its right half as much as there is."""
    image = photograph.crop((0, 0, 128, 64))
    for whole in (image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
        chosen = []
        for side in (128, 64):
            monkeypatch.setattr("rdpcodec.format.tiles.TILE", side)
            chosen.append(read_header(codec.compress(whole, 20, realism="auto"))[0].realism)
        assert chosen[0] == chosen[1] > 0


class Ends:
    """Stands in for a coded image whose two syntheses are known."""

    def __init__(self, fidelity: np.ndarray, realistic: np.ndarray) -> None:
        self.size, self._ends = fidelity.shape[1::-1], {0.0: fidelity, 1.0: realistic}

    def decode(self, region: Box, realism: float) -> list[np.ndarray]:
        return [self._ends[realism][*region.slices()]]


def test_rows_of_tiles_are_compared_with_their_own_part_of_the_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each row has grain of its own strength; fidelity keeps none of it, and realism paints twice as much."""
    monkeypatch.setattr("rdpcodec.format.tiles.TILE", 64)
    grain = np.random.default_rng(0).normal(size=(192, 128))
    strength = np.repeat([8, 20, 40], 64)[:, None]
    original, realistic = pixels(128 + strength / 2 * grain), pixels(128 + strength * grain)
    coded = Ends(np.full_like(original, 128), realistic)
    assert realism_of(original, coded) == pytest.approx(0.5, abs=0.051)  # type: ignore[arg-type]


def test_weights_without_the_setting_choose_none(plain_codec: Codec, photograph: Image.Image) -> None:
    data = plain_codec.compress(photograph.crop((0, 0, 64, 64)), 10, realism="auto")
    assert read_header(data)[0].realism == 0


def test_only_a_number_or_auto_is_a_realism(codec: Codec, photograph: Image.Image) -> None:
    with pytest.raises(rdpcodec.UsageError, match="neither a number nor 'auto'"):
        OperatingPoint(50, "much")  # type: ignore[arg-type]
    data = codec.compress(photograph.crop((0, 0, 64, 64)), 10)
    with pytest.raises(rdpcodec.UsageError, match="decompression takes a number"):
        codec.decompress(data, realism="auto")  # type: ignore[arg-type]
