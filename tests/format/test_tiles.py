from __future__ import annotations

import weakref
import zlib
from collections.abc import Callable
from copy import copy
from itertools import pairwise, product

import numpy as np
import pytest
from fuzz.coded import HollowEngine
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rdpcodec import Codec, FormatError, UsageError
from rdpcodec.format import tiles
from rdpcodec.format.container import join_tiles, split_tiles
from rdpcodec.format.exact_layer import ExactLayer
from rdpcodec.format.symbols import Symbols
from rdpcodec.format.tiles import GRID, TILE, Box, tile_grid
from rdpcodec.image import load_image
from rdpcodec.metrics.distortion import mse
from rdpcodec.metrics.ssimulacra2 import ssimulacra2
from rdpcodec.mosaic import AnalysedTiles, Mosaic, Window, region_of
from rdpcodec.quality import lambda_at

SIDES = st.integers(1, 65_535)


@given(SIDES, SIDES)
def test_tiles_cover_the_image_once_on_the_grid(width: int, height: int) -> None:
    grid = tile_grid(width, height)
    for along, length in (
        ([(tile.left, tile.right) for tile in grid[0]], width),
        ([(row[0].top, row[0].bottom) for row in grid], height),
    ):
        assert along[0][0] == 0
        assert along[-1][1] == length
        assert all(after[0] == before[1] for before, after in pairwise(along))
        assert all(start % GRID == 0 and 0 < end - start <= TILE for start, end in along)
    assert all(
        (tile.top, tile.bottom) == (row[0].top, row[0].bottom)
        and (tile.left, tile.right) == (first.left, first.right)
        for row in (grid[0], grid[-1])
        for tile, first in zip(row, grid[0], strict=True)
    )


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_joined_tiles_come_apart_again(parts: list[bytes]) -> None:
    assert split_tiles(join_tiles(parts), len(parts)) == parts


@given(st.binary(max_size=40), st.integers(2, 9))
def test_any_payload_comes_apart_or_is_refused(payload: bytes, count: int) -> None:
    try:
        parts = split_tiles(payload, count)
    except FormatError:
        return
    assert len(parts) == count
    assert join_tiles(parts) == payload


def test_nothing_may_follow_the_last_tile() -> None:
    with pytest.raises(FormatError, match="do not add up"):
        split_tiles(join_tiles([b"one", b"two"]) + b"\0", 2)


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles have sides of at most 128 pixels, so that small images have many."""
    monkeypatch.setattr(tiles, "TILE", 128)


@pytest.fixture
def cropped(photograph: Image.Image) -> Image.Image:
    return photograph.crop((140, 60, 470, 335))  # 330×275: 3×3 tiles


def squared_error(cropped: Image.Image, decoded: Image.Image) -> np.ndarray:
    return ((np.asarray(cropped, float) - np.asarray(decoded, float)) ** 2).mean(axis=2)


@pytest.mark.weights
@pytest.mark.parametrize(("quality", "deviation"), [(15, 0.12), (70, 0.035)])
def test_no_seam_can_be_measured(
    codec: Codec, photograph: Image.Image, monkeypatch: pytest.MonkeyPatch, quality: int, deviation: float
) -> None:
    """Near tile borders the error, averaged over six crops, is at most 0.05 dB above that without tiles, and
    not much below it. The bytes are nearly the same.

    deviation: how far one crop's figure deviates by chance, in dB, measured on 40 random crops. Where bits
    are few, other contexts move many latents to the next integer.
    """
    losses = []
    for left, top in product((0, 135, 270), (0, 125)):
        cropped = photograph.crop((left, top, left + 330, top + 275))
        monkeypatch.setattr(tiles, "TILE", 128)
        grid = tile_grid(*cropped.size)
        assert len(grid) == len(grid[0]) == 3
        tiled = codec.compress(cropped, quality)
        decoded = codec.decompress(tiled)
        monkeypatch.setattr(tiles, "TILE", 1024)
        whole = codec.compress(cropped, quality)
        seam = np.zeros((cropped.height, cropped.width), bool)
        for row in grid[1:]:
            seam[row[0].top - 8 : row[0].top + 8] = True
        for tile in grid[0][1:]:
            seam[:, tile.left - 8 : tile.left + 8] = True
        errors = [squared_error(cropped, other)[seam].mean() for other in (decoded, codec.decompress(whole))]
        losses.append(10 * np.log10(errors[0] / errors[1]))
        # Nine tiles have eight more streams, and eight more states of the coder.
        assert len(whole) < len(tiled) < 1.03 * len(whole) + 12 * 8
    assert -0.2 < np.mean(losses) < 0.05
    assert max(losses) < 3 * deviation


def test_analysis_of_tiles_is_that_of_the_whole(
    codec: Codec, cropped: Image.Image, small_tiles: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same pixels give the same latents, whatever the tile: those of the middle tile are found among
    those of the whole image.
    """
    pixels, engine = load_image(cropped).pixels, codec.engine
    middle = tile_grid(*cropped.size)[1][1]

    def latents(box: Box) -> np.ndarray:
        window = Window.around(box, engine.analysis_margin, cropped.size)
        seen = np.stack([pixels[*window.outer.slices()]])
        return window.latents(engine.analyse(engine.features(seen), 40))

    part, whole = latents(middle), latents(Box(0, 0, *cropped.size))
    top, left = middle.top // 16, middle.left // 16
    same = whole[:, :, top : top + part.shape[2], left : left + part.shape[3]]
    assert part.shape == same.shape
    np.testing.assert_allclose(part, same, atol=2e-3)


class SeeingEngine:
    """Takes the place of the networks: a sum in integers over everything within the margins, so that whatever
    is missed there shows.
    """

    latents, hyper_latents = 1, 1

    def __init__(self, margin: int) -> None:
        self.analysis_margin = self.synthesis_margin = margin

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return pixels

    def analyse(self, features: np.ndarray, quality: float) -> np.ndarray:
        """For each latent, the sum of its pixels and of those within the margin, `[B, 1, h, w]`."""
        rows, columns = (-side % 16 for side in features.shape[1:3])
        padded = np.pad(features.sum(axis=3), ((0, 0), (0, rows), (0, columns)))
        batch, height, width = padded.shape
        blocks = padded.reshape(batch, height // 16, 16, width // 16, 16).sum(axis=(2, 4))
        return self._around(blocks)[:, None]

    def to_symbols(self, latents: np.ndarray, quality: float) -> list[np.ndarray]:
        return list(latents)

    def from_symbols(self, symbols: list[np.ndarray], quality: float) -> np.ndarray:
        return np.stack(symbols)

    def synthesise(self, latents: np.ndarray, quality: float, realism: float) -> np.ndarray:
        seen = self._around(latents[:, 0]) % 251
        return np.repeat(seen.repeat(16, axis=1).repeat(16, axis=2)[..., None], 3, axis=3).astype(np.uint8)

    def _around(self, values: np.ndarray) -> np.ndarray:
        reach = self.analysis_margin // 16
        padded = np.pad(values, ((0, 0), (reach, reach), (reach, reach)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1,) * 2, axis=(1, 2))
        return windows.sum(axis=(3, 4))


@pytest.mark.parametrize("margin", [16, 48, 96])
def test_no_tile_or_region_misses_what_the_networks_see(
    codec: Codec, cropped: Image.Image, monkeypatch: pytest.MonkeyPatch, margin: int
) -> None:
    pixels, size = np.asarray(cropped), cropped.size
    engine = SeeingEngine(margin)

    def coded() -> tuple[list[np.ndarray], Mosaic]:
        (latents,) = AnalysedTiles(engine, [pixels]).symbols(50)
        empty = ExactLayer.empty(tiles.tiles_of(size))
        return latents, Mosaic(engine, [[tile] for tile in latents], size, 50, [empty])

    (whole,), untiled = coded()
    expected = untiled.decode(region_of(None, size), 0.0)
    monkeypatch.setattr(tiles, "TILE", 128)
    parts, tiled = coded()
    for part, tile in zip(parts, tiles.tiles_of(size), strict=True):
        rows, columns = (slice(inside.start // 16, -(-inside.stop // 16)) for inside in tile.slices())
        np.testing.assert_array_equal(part, whole[:, rows, columns])
    np.testing.assert_array_equal(tiled.decode(region_of(None, size), 0.0), expected)
    for region in ((127, 127, 2, 2), (70, 81, 1, 1), (5, 250, 325, 25)):
        box = region_of(region, size)
        np.testing.assert_array_equal(tiled.decode(box, 0.0)[0], expected[0][*box.slices()])


@pytest.mark.parametrize(
    "region", [(0, 0, 330, 275), (3, 5, 1, 1), (100, 90, 57, 133), (329, 274, 1, 1), (128, 0, 128, 275)]
)
def test_a_region_is_that_part_of_the_image(
    codec: Codec, cropped: Image.Image, small_tiles: None, region: tuple[int, int, int, int]
) -> None:
    transparent = cropped.copy()
    transparent.putalpha(cropped.convert("L"))
    for image in (cropped, transparent):
        data = codec.compress(image, 50)
        left, top, width, height = region
        expected = codec.decompress(data).crop((left, top, left + width, top + height))
        found = codec.decompress(data, region=region)
        assert (found.mode, found.size) == (expected.mode, (width, height))
        # Convolutions of another size may round differently in the last bit.
        difference = np.abs(np.asarray(found, int) - np.asarray(expected, int))
        assert difference.max() <= 1
        assert difference.mean() < 0.01


def test_a_region_decodes_only_the_tiles_it_needs(
    codec: Codec, cropped: Image.Image, small_tiles: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = codec.compress(cropped, 30)
    decode = codec.tile_codec.decode
    decoded: list[Box] = []

    def recorded(coded: list[bytes], tile: Box, quality: float) -> list[Symbols]:
        decoded.append(tile)
        return decode(coded, tile, quality)

    monkeypatch.setattr(codec.tile_codec, "decode", recorded)
    grid = tile_grid(*cropped.size)
    codec.decompress(data, region=(0, 0, 40, 40))  # 64 pixels of margin still lie within the first tile
    assert decoded == [grid[0][0]]
    decoded.clear()
    codec.decompress(data)
    assert sorted(decoded, key=lambda b: (b.top, b.left)) == [tile for row in grid for tile in row]


@pytest.mark.parametrize(
    "region", [(-1, 0, 5, 5), (0, 0, 0, 5), (0, 0, 331, 5), (300, 0, 31, 5), (0, 275, 1, 1)]
)
def test_a_region_outside_the_image_is_refused(
    codec: Codec, cropped: Image.Image, region: tuple[int, int, int, int]
) -> None:
    with pytest.raises(UsageError, match="does not lie within the image, 330×275"):
        codec.decompress(codec.compress(cropped, 10), region=region)


def test_images_of_a_batch_keep_their_tiles(codec: Codec, cropped: Image.Image, small_tiles: None) -> None:
    other = cropped.transpose(Image.Transpose.ROTATE_180)
    files = codec.compress_batch([cropped, other])
    for image, decoded in zip((cropped, other), codec.decompress_batch(files), strict=True):
        assert mse(np.asarray(image), np.asarray(decoded)) < 60


def test_refined_tiles_are_better_tiles(
    codec: Codec, cropped: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By nearly what the search minimises: half of the error is SSIMULACRA2's, at the initial exchange rate,
    and half is squared error.
    """
    monkeypatch.setattr(tiles, "TILE", 64)
    cropped = cropped.crop((0, 0, 128, 64))  # two tiles
    original = np.asarray(cropped)

    def measured(effort: int) -> tuple[int, float, float]:
        data = codec.compress(cropped, 30, effort=effort)
        decoded = np.asarray(codec.decompress(data))
        return len(data), mse(original, decoded), 100 - ssimulacra2(original, decoded)

    (size, error, unlike), (smaller, other, less_unlike) = measured(0), measured(1)
    worth = lambda_at(30) * cropped.width * cropped.height
    before = 8 * size + worth * error
    after = 8 * smaller + worth * (other / 2 + error / 2 * less_unlike / unlike)
    assert after < before


def forged(data: bytes, change: Callable[[bytearray], None]) -> bytes:
    body = bytearray(data[:-4])
    change(body)
    return bytes(body) + zlib.crc32(body).to_bytes(4, "little")


def test_a_list_of_lengths_that_lies_is_refused(
    codec: Codec, cropped: Image.Image, small_tiles: None
) -> None:
    data = codec.compress(cropped, 30)
    start = data.index(join_tiles(split_tiles_of(data))[:8])

    def longer(body: bytearray) -> None:
        body[start] ^= 1

    with pytest.raises(FormatError, match="lengths of the tiles"):
        codec.decompress(forged(data, longer))


def split_tiles_of(data: bytes) -> list[bytes]:
    from rdpcodec.format.container import read

    return split_tiles(read(data).coded_image, 9)


class CountingEngine(HollowEngine):
    """Counts the tiles whose latents it made, and those whose latents somebody still holds."""

    def __init__(self, codec: Codec) -> None:
        super().__init__(codec.engine)
        self.most = 0
        self.made: list[weakref.ref[np.ndarray]] = []

    def from_symbols(self, symbols: list[Symbols], quality: float) -> np.ndarray:
        latents = super().from_symbols(symbols, quality)
        self.made.append(weakref.ref(latents))
        self.most = max(self.most, sum(made() is not None for made in self.made))
        return latents


@pytest.mark.parametrize("size", [(5 * 1024, 4 * 1024), (1025, 5000), (6 * 1024 + 1, 100)])
def test_each_tile_is_decoded_once_and_two_rows_are_kept_at_most(codec: Codec, size: tuple[int, int]) -> None:
    grid = tile_grid(*size)
    engine = CountingEngine(codec)
    tile_codec = copy(codec.tile_codec)
    tile_codec.engine = engine
    boxes = [tile for row in grid for tile in row]
    blanks = [[tile_codec.blank(tile, 50)] for tile in boxes]
    mosaic = Mosaic(engine, blanks, size, 50, [ExactLayer.empty(boxes)])
    pixels = mosaic.decode(region_of(None, size), 0.0)
    assert pixels.shape == (1, size[1], size[0], 3)
    assert len(engine.made) == len(boxes)
    assert engine.most <= 2 * len(grid[0]) + 3
