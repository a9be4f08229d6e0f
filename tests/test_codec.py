from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ideal_bits import ideal_bits
from PIL import Image
from recoded_files import recoded

import rdpcodec
from rdpcodec import Codec, OperatingPoint
from rdpcodec.entropy.context import IntegerContextNetwork
from rdpcodec.errors import FormatError, ImageError, ImageWarning, RdpError, UsageError, WeightsError
from rdpcodec.format import container, exact_layer
from rdpcodec.format.container import Segment
from rdpcodec.format.hyper_latents import coded_steps
from rdpcodec.image import load_image
from rdpcodec.metrics.distortion import psnr
from rdpcodec.weights.manifest import DEFAULT_MODEL, find_model
from rdpcodec.weights.release import ReleasedModel


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 90), st.integers(1, 90), st.floats(0, 100), st.sampled_from(["L", "LA", "RGB", "RGBA"]))
def test_any_size_comes_back_in_its_size_and_mode(
    codec: Codec, photograph: Image.Image, width: int, height: int, quality: float, mode: str
) -> None:
    image = photograph.crop((50, 60, 50 + width, 60 + height)).convert(mode)
    decoded = codec.decompress(codec.compress(image, quality, exact_alpha=True))
    assert (decoded.size, decoded.mode) == (image.size, mode)


def test_a_decoded_photograph_is_close_to_the_original(codec: Codec, photograph: Image.Image) -> None:
    for quality, least in ((20, 25), (50, 28), (80, 32)):
        decoded = codec.decompress(codec.compress(photograph, quality))
        assert psnr(np.asarray(photograph), np.asarray(decoded)) > least


def test_bytes_and_psnr_rise_with_quality(codec: Codec, photograph: Image.Image) -> None:
    image = photograph.crop((100, 50, 420, 290))
    files = [codec.compress(image, quality) for quality in range(0, 101, 10)]
    sizes = [len(file) for file in files]
    assert sizes == sorted(sizes)
    values = [psnr(np.asarray(image), np.asarray(codec.decompress(file))) for file in files]
    assert values == sorted(values)


@pytest.mark.parametrize("quality", [0, 33.33, 100])
def test_a_tile_takes_the_bytes_that_the_tables_say(
    codec: Codec, photograph: Image.Image, quality: float
) -> None:
    (symbols,) = codec.analyse([load_image(photograph)], quality)[0]
    released = ReleasedModel.load(find_model(DEFAULT_MODEL))
    assert released.context is not None
    network = IntegerContextNetwork(released.context.weights)
    bits = ideal_bits(released.latent_tables, symbols.residual, symbols.tables) + sum(
        ideal_bits(released.context.tables, distances, tables)
        for distances, tables in coded_steps(network, symbols.hyper, quality)
    )
    ideal = bits / 8
    coded = len(codec.tile_codec.encode(symbols, quality))
    assert 0 <= coded - ideal < 0.001 * ideal + 8


def test_symbols_survive_the_file(codec: Codec, small: Image.Image) -> None:
    (symbols,) = codec.analyse([load_image(small)], 70)[0]
    (decoded,) = codec.decode_symbols([container.read(codec.compress(small, 70))])[0]
    np.testing.assert_array_equal(decoded.hyper, symbols.hyper)
    np.testing.assert_array_equal(decoded.residual, symbols.residual)


def test_alpha_is_kept_without_loss(codec: Codec, small: Image.Image) -> None:
    alpha = np.random.default_rng(0).integers(0, 256, (small.height, small.width), dtype=np.uint8)
    image = small.copy()
    image.putalpha(Image.fromarray(alpha))
    decoded = codec.decompress(codec.compress(image, 10, exact_alpha=True))
    np.testing.assert_array_equal(np.asarray(decoded.getchannel("A")), alpha)


def test_metadata_is_kept_on_request(codec: Codec, small: Image.Image) -> None:
    image = small.copy()
    image.getexif()[0x010F] = "Maker"
    assert not codec.decompress(codec.compress(image)).getexif()
    assert codec.decompress(codec.compress(image, keep_metadata=True)).getexif()[0x010F] == "Maker"


def test_a_batch_gives_each_image_its_own_file(codec: Codec, photograph: Image.Image) -> None:
    images = [photograph.crop((x, 0, x + size, 48)) for x, size in ((0, 64), (70, 64), (300, 80), (9, 64))]
    files = codec.compress_batch(images, OperatingPoint(60))
    decoded = codec.decompress_batch(files)
    assert [image.size for image in decoded] == [image.size for image in images]
    for image, original in zip(decoded, images, strict=True):
        assert psnr(np.asarray(original), np.asarray(image)) > 25


def test_a_damaged_file_of_a_batch_does_not_stop_the_rest(codec: Codec, small: Image.Image) -> None:
    whole = codec.compress(small)
    parsed = container.read(whole)
    damaged = container.write(replace(parsed, segments={Segment.EXACT: b"RIFF", **parsed.segments}))
    errors: dict[int, RdpError] = {}
    decoded = codec.decompress_batch([whole, damaged, b"RDP", whole], errors=errors)
    assert [image is None for image in decoded] == [False, True, True, False]
    assert {place: type(error) for place, error in errors.items()} == {1: FormatError, 2: FormatError}
    with pytest.raises(FormatError):
        codec.decompress_batch([whole, damaged])


def test_a_batched_tensor_is_a_batch(codec: Codec, photograph: Image.Image) -> None:
    array = np.asarray(photograph)[:64, :128].reshape(64, 2, 64, 3).transpose(1, 3, 0, 2)
    assert len(codec.compress_batch(torch.from_numpy(array.copy()), OperatingPoint(50))) == 2


def test_files_of_a_batch_are_decoded_at_the_realism_that_each_names(
    codec_with_realism: Codec, photograph: Image.Image
) -> None:
    """Realism in this model is a brightness: a twentieth of the range at realism 1."""
    realisms = (0.2, 1.0, 0.0, 0.2)
    piece, other = photograph.crop((0, 0, 64, 48)), photograph.crop((70, 0, 134, 48))
    pieces = (piece, piece, other, other)
    files = [
        codec_with_realism.compress(image, 60, realism=realism)
        for image, realism in zip(pieces, realisms, strict=True)
    ]
    together = codec_with_realism.decompress_batch(files)
    for file, realism, decoded in zip(files, realisms, together, strict=True):
        alone, plain = (codec_with_realism.decompress(file, realism=chosen) for chosen in (realism, 0.0))
        assert np.abs(np.asarray(decoded, int) - np.asarray(alone, int)).max() <= 1
        brighter = np.asarray(decoded, float).mean() - np.asarray(plain, float).mean()
        assert brighter == pytest.approx(0.05 * 255 * realism, abs=1)


def test_files_of_a_batch_go_through_the_networks_with_others_of_their_quality(
    codec: Codec, small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [codec.compress(small, quality) for quality in (5, 90, 5)]
    alone = [np.asarray(codec.decompress(file), int) for file in files]
    synthesise, batches = codec.engine.synthesise, []

    def recorded(latents: np.ndarray, quality: float, realism: float) -> np.ndarray:
        batches.append((len(latents), quality))
        return synthesise(latents, quality, realism)

    monkeypatch.setattr(codec.engine, "synthesise", recorded)
    for image, expected in zip(codec.decompress_batch(files), alone, strict=True):
        assert np.abs(np.asarray(image, int) - expected).max() <= 1
    assert sorted(batches) == [(1, 90), (2, 5)]


def test_four_threads_give_the_bytes_of_one(codec: Codec, photograph: Image.Image) -> None:
    crops = [photograph.crop((i * 40, i * 20, i * 40 + 200, i * 20 + 150)) for i in range(8)]
    alone = [codec.compress(crop, 40) for crop in crops]
    images = [codec.decompress(data).tobytes() for data in alone]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda crop: codec.compress(crop, 40), crops * 2)) == alone * 2
        assert [i.tobytes() for i in pool.map(codec.decompress, alone * 2)] == images * 2


def test_module_functions_do_what_a_codec_does(codec: Codec, small: Image.Image) -> None:
    data = rdpcodec.compress(small, 30)
    assert data == codec.compress(small, 30)
    assert rdpcodec.decompress(data).tobytes() == codec.decompress(data).tobytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quality": -1}, "quality -1 is outside 0..100"),
        ({"quality": float("nan")}, "quality nan"),
        ({"realism": 1.5}, "realism 1.5 is outside"),
        ({"realism": 0.5}, "no realism setting"),
        ({"effort": 10}, "effort 10 is outside"),
    ],
)
def test_operating_points_that_cannot_be_had_are_refused(
    plain_codec: Codec, small: Image.Image, arguments: dict[str, float], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        plain_codec.compress(small, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"), [({"realism": 0.5}, "no realism setting"), ({"quality": 101}, "outside 0..100")]
)
def test_efforts_at_a_point_that_cannot_be_had_are_refused_before_the_first(
    plain_codec: Codec, small: Image.Image, arguments: dict[str, float], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        next(plain_codec.efforts(small, **arguments))  # type: ignore[arg-type]


def test_realism_that_the_weights_lack_is_refused_when_decoding_too(
    plain_codec: Codec, small: Image.Image
) -> None:
    with pytest.raises(UsageError, match="no realism setting"):
        plain_codec.decompress(plain_codec.compress(small), realism=0.5)


def test_a_file_of_other_weights_is_refused_by_name(codec: Codec, small: Image.Image) -> None:
    file = container.read(codec.compress(small))
    foreign = container.write(replace(file, header=replace(file.header, fingerprint=b"\0\1\2\3")))
    for decompress in (rdpcodec.decompress, codec.decompress):
        with pytest.raises(WeightsError, match="fast-00010203"):
            decompress(foreign)


def test_a_file_of_another_model_is_refused_by_name(codec: Codec, small: Image.Image) -> None:
    file = container.read(codec.compress(small))
    foreign = container.write(replace(file, header=replace(file.header, size="base", fingerprint=bytes(4))))
    with pytest.raises(WeightsError, match="base-"):
        rdpcodec.decompress(foreign)


def test_hostile_segments_with_a_good_checksum_are_refused(codec: Codec, small: Image.Image) -> None:
    data = codec.compress(small)
    payload = container.read(data).coded_image
    cases = {
        "not a whole number": {"COLOUR": payload[:-1]},
        "ends in an empty word": {"COLOUR": payload[:-4] + bytes(4)},
        "does not end": {"COLOUR": bytes(range(1, 9)) * 4 + payload},
    }
    for message, changes in cases.items():
        with pytest.raises(FormatError, match=message):
            codec.decompress(recoded(data, **changes))


def layer(mask: np.ndarray) -> bytes:
    """An exact layer of one tile, with the pixels of a mask, bool `[H, W]`."""
    return exact_layer.encode(np.full((*mask.shape, 3), 200, np.uint8), mask, exact_layer.TRIAL)


@pytest.mark.parametrize(
    ("kind", "payload", "message"),
    [
        ("ALPHA", b"rubbish", "alpha channel is left out"),
        ("OPACITY", b"", "alpha channel is left out: a tile .* is missing"),
        ("OPACITY", b"rubbish", "alpha channel is left out"),
        ("OPACITY", layer(np.eye(67, 101) == 0), "alpha channel is left out: a tile .* is missing"),
        ("EXIF", b"rubbish", "EXIF segment is left out: .* damaged"),
        ("EXIF", zlib.compress(b"rubbish"), "EXIF block is left out"),
        ("EXIF", zlib.compress(b"MM\0*\0\0\0\x08\0\0") + b"more", "EXIF segment is left out: .* goes on"),
        ("XMP", b"rubbish", "XMP segment is left out"),
        ("ICC", zlib.compress(b"rubbish"), "ICC profile is left out"),
        ("ICC", zlib.compress(bytes(64 << 20), 9), "ICC segment is left out: .* 16 MiB"),
    ],
)
def test_a_damaged_side_segment_is_left_out_and_the_image_stays(
    codec: Codec, small: Image.Image, kind: str, payload: bytes, message: str
) -> None:
    data = codec.compress(small)
    with pytest.warns(ImageWarning, match=message):
        decoded = codec.decompress(recoded(data, **{kind: payload}))
    assert decoded.mode == "RGB"
    assert not decoded.info
    np.testing.assert_array_equal(np.asarray(decoded), np.asarray(codec.decompress(data)))


def test_files_are_taken_as_bytes_paths_and_open_files_both_ways(
    codec: Codec, small: Image.Image, tmp_path: Path
) -> None:
    image, coded = tmp_path / "a.png", tmp_path / "a.rdpc"
    small.save(image)
    data = codec.compress(small, 30)
    coded.write_bytes(data)

    def every_way(path: Path) -> Iterator[object]:
        content = path.read_bytes()
        yield from (path, str(path), content, bytearray(content), memoryview(content), io.BytesIO(content))
        (entry,) = [entry for entry in os.scandir(tmp_path) if entry.name == path.name]
        yield entry  # an os.PathLike
        with path.open("rb") as file:
            yield file

    for source in every_way(image):
        assert codec.compress(source, 30) == data
        assert rdpcodec.compress(source, 30) == data
    pixels = np.asarray(codec.decompress(data))
    for source in every_way(coded):
        np.testing.assert_array_equal(np.asarray(codec.decompress(source)), pixels)
    for source in every_way(coded):
        np.testing.assert_array_equal(np.asarray(rdpcodec.decompress(source)), pixels)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (12, "not int"),
        ("missing.rdpc", "missing.rdpc: no such file"),
        (io.StringIO("RDP"), "open as text"),
        (io.TextIOWrapper(io.BytesIO(b"RDP\xff")), "open as text"),
    ],
)
def test_what_is_no_file_is_refused(source: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rdpcodec.decompress(source)


def test_max_pixels_bounds_both_ways(codec: Codec, small: Image.Image) -> None:
    data, pixels = codec.compress(small), small.width * small.height
    assert codec.compress(small, max_pixels=pixels) == data
    assert rdpcodec.decompress(data, max_pixels=pixels).size == small.size
    for module in (rdpcodec, codec):
        with pytest.raises(ImageError, match="over the limit"):
            module.compress(small, max_pixels=pixels - 1)
        with pytest.raises(FormatError, match="over the limit"):
            module.decompress(data, max_pixels=pixels - 1)
