"""docs/format.md is exact enough: a decoder written from it reads what the codec writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import reference_decoder
from PIL import Image, ImageDraw

from rdpcodec import Codec
from rdpcodec.format import container
from rdpcodec.format.container import join_tiles
from rdpcodec.image import ImageData
from rdpcodec.weights.manifest import DEFAULT_MODEL, encoders, find_model
from rdpcodec.weights.tensors import open_tensors


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return decoding_weights(DEFAULT_MODEL)


def decoding_weights(model: str) -> dict[str, np.ndarray]:
    tensors = open_tensors(find_model(model))
    return {name: t for name, t in tensors.items() if name.startswith(("context.", "scale.", "tables."))}


@pytest.mark.parametrize(("quality", "mode"), [(0, "RGB"), (43.21, "L"), (78, "RGBA"), (100, "RGB")])
def test_the_reference_decoder_reads_the_same_symbols(
    codec: Codec, small: Image.Image, weights: dict[str, np.ndarray], quality: float, mode: str
) -> None:
    data = codec.compress(small.convert(mode), quality)
    assert_same_symbols(data, codec, weights)


def assert_same_symbols(data: bytes, codec: Codec, weights: dict[str, np.ndarray]) -> None:
    tiles = codec.decode_symbols([container.read(data)])[0]
    for (z, residual), symbols in zip(reference_decoder.decode(data, weights), tiles, strict=True):
        np.testing.assert_array_equal(z, symbols.hyper)
        np.testing.assert_array_equal(residual, symbols.residual)


@pytest.mark.parametrize("model", encoders())
def test_the_reference_decoder_reads_every_model(small: Image.Image, model: str) -> None:
    codec = Codec(model)
    data = codec.compress(small, 55, realism=0.5)
    assert_same_symbols(data, codec, decoding_weights(model))
    assert container.read(data).header.size == codec.weights.size
    distance = np.asarray(codec.decompress(data), np.float64) - np.asarray(small)
    assert np.square(distance).mean() < 255**2 / 10**3  # 30 dB


GOLDEN = Path(__file__).parents[1] / "golden"
RECORDS = json.loads((GOLDEN / "symbols.json").read_text())


@pytest.mark.parametrize("name", RECORDS)
def test_the_reference_decoder_reads_files_of_every_release(name: str) -> None:
    data, model = (GOLDEN / f"{name}.rdpc").read_bytes(), RECORDS[name]["model"]
    assert_same_symbols(data, Codec(model), decoding_weights(model))


@pytest.mark.parametrize(("size", "count"), [((1100, 40), 2), ((70, 2050), 3), ((1024, 16), 1)])
def test_the_reference_decoder_reads_tiles(
    codec: Codec, photograph: Image.Image, weights: dict[str, np.ndarray], size: tuple[int, int], count: int
) -> None:
    data = codec.compress(photograph.resize(size), 30)
    assert_same_symbols(data, codec, weights)
    assert len(reference_decoder.tiles(reference_decoder.parse(data))) == count


def test_the_reference_decoder_reads_escapes(codec: Codec, weights: dict[str, np.ndarray]) -> None:
    """Noise at full contrast is so unlike a photograph that some residuals leave their tables."""
    noise = np.random.default_rng(0).integers(0, 2, (48, 48, 3), dtype=np.uint8) * 255
    ((symbols,),) = codec.analyse([ImageData(noise)], 100)
    coded = codec.tile_codec.encode(symbols, 100)
    header = container.Header(codec.weights.size, codec.weights.fingerprint, 100, 0, 48, 48)
    data = container.write(container.Container(header, {container.Segment.COLOUR: coded}))
    reach = weights["tables.latents.reach"][symbols.tables]
    assert (np.abs(symbols.residual) > reach).any()
    ((_, residual),) = reference_decoder.decode(data, weights)
    np.testing.assert_array_equal(residual, symbols.residual)


@pytest.mark.parametrize("size", [(200, 100), (1100, 70)])
def test_the_reference_decoder_reads_the_exact_layer(
    codec: Codec, photograph: Image.Image, weights: dict[str, np.ndarray], size: tuple[int, int]
) -> None:
    """A drawing on the left, a photograph on the right; the wide image has a tile of each kind."""
    drawn = photograph.resize(size)
    drawn.paste((20, 120, 220), (0, 0, size[0] * 2 // 3, size[1]))
    ImageDraw.Draw(drawn).text((5, 5), "Exactly so", (255, 255, 255))
    data = codec.compress(drawn, 60)
    assert_same_symbols(data, codec, weights)
    theirs, decoded = reference_decoder.parse(data), np.asarray(codec.decompress(data))
    layer = reference_decoder.exact(theirs)
    pixels, mask = (np.concatenate(parts, axis=1) for parts in zip(*layer, strict=True))
    assert 0.5 < mask.mean() < 1
    np.testing.assert_array_equal(decoded[mask], pixels[mask])


def test_the_reference_decoder_reads_the_alpha_channel(codec: Codec, photograph: Image.Image) -> None:
    """The channel has two tiles; no pixel equals its neighbours."""
    alpha = np.arange(1030 * 20, dtype=np.uint32).reshape(20, 1030).astype(np.uint8)
    image = photograph.resize((1030, 20))
    image.putalpha(Image.fromarray(alpha))
    theirs = reference_decoder.parse(codec.compress(image, 30, exact_alpha=True))
    assert len(reference_decoder.tiles(theirs)) == 2
    np.testing.assert_array_equal(reference_decoder.alpha(theirs), alpha)


@pytest.mark.parametrize(("size", "count"), [((50, 34), 1), ((1030, 9), 2)])
def test_a_coded_tile_of_no_words_is_read_as_the_format_has_it(size: tuple[int, int], count: int) -> None:
    """It stands for a state of zero and the lowest symbols, and for zeros only below exact pixels.

    With a context network, the lowest symbols soon lead beyond the bounds of hyper-latents.
    """
    codec, weights = Codec("fast-ea825c0d"), decoding_weights("fast-ea825c0d")
    header = container.Header(codec.weights.size, codec.weights.fingerprint, 50.0, 0.0, *size)
    image = {container.Segment.COLOUR: join_tiles([b""] * count)}
    data = container.write(container.Container(header, image))
    assert any(symbols.any() for tile in reference_decoder.decode(data, weights) for symbols in tile)
    assert_same_symbols(data, codec, weights)


def test_the_reference_parser_agrees_on_every_field(codec: Codec, small: Image.Image) -> None:
    data = codec.compress(small, 12.34)
    theirs, ours = reference_decoder.parse(data), container.read(data)
    assert (theirs.width, theirs.height) == (ours.header.width, ours.header.height) == small.size
    assert theirs.quality == 1234
    assert theirs.fingerprint == ours.header.fingerprint
    assert theirs.model == container.SIZE_NUMBERS[ours.header.size]
