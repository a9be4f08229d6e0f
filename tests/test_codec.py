from __future__ import annotations

import copy
import io
import os
import pickle
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import rdpcodec
from rdpcodec import Codec, OperatingPoint, container
from rdpcodec import codec as codec_module
from rdpcodec.container import Container, Segment
from rdpcodec.errors import FormatError, PictureError, PictureWarning, UsageError, WeightsError
from rdpcodec.image import load_picture
from rdpcodec.metrics.distortion import psnr


def recoded(data: bytes, **changes: bytes) -> bytes:
    """A file with segments replaced and its checksum made right: what a hostile author could write."""
    file = container.read(data)
    segments = {**file.segments, **{Segment[name]: payload for name, payload in changes.items()}}
    return container.write(Container(file.header, segments))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 90), st.integers(1, 90), st.floats(0, 100), st.sampled_from(["L", "LA", "RGB", "RGBA"]))
def test_any_size_comes_back_in_its_size_and_mode(
    codec: Codec, photograph: Image.Image, width: int, height: int, quality: float, mode: str
) -> None:
    image = photograph.crop((50, 60, 50 + width, 60 + height)).convert(mode)
    decoded = codec.decompress(codec.compress(image, quality, exact=True))
    assert (decoded.size, decoded.mode) == (image.size, mode)


def test_a_decoded_photograph_is_close_to_the_original(codec: Codec, photograph: Image.Image) -> None:
    for quality, least in ((20, 25), (50, 28), (80, 32)):
        decoded = codec.decompress(codec.compress(photograph, quality))
        assert psnr(np.asarray(photograph), np.asarray(decoded)) > least


def test_bytes_and_psnr_rise_with_quality(codec: Codec, photograph: Image.Image) -> None:
    files = [codec.compress(photograph, quality) for quality in range(0, 101, 10)]
    sizes = [len(file) for file in files]
    assert sizes == sorted(sizes)
    values = [psnr(np.asarray(photograph), np.asarray(codec.decompress(file))) for file in files]
    assert values == sorted(values)


@pytest.mark.parametrize("quality", [0, 33.33, 100])
def test_estimated_bits_are_the_coded_bytes(codec: Codec, photograph: Image.Image, quality: float) -> None:
    (symbols,) = codec.analyse([load_picture(photograph)], quality)[0]
    estimate = codec.tile_codec.coder.ideal_bits(symbols, quality) / 8
    coded = len(codec.tile_codec.coder.encode(symbols, quality))
    assert 0 <= coded - estimate < 0.001 * estimate + 8


def test_symbols_survive_the_file(codec: Codec, small: Image.Image) -> None:
    (symbols,) = codec.analyse([load_picture(small)], 70)[0]
    (decoded,) = codec.decode_symbols([container.read(codec.compress(small, 70))])[0]
    np.testing.assert_array_equal(decoded.hyper, symbols.hyper)
    np.testing.assert_array_equal(decoded.residual, symbols.residual)


def test_alpha_is_kept_without_loss(codec: Codec, small: Image.Image) -> None:
    alpha = np.random.default_rng(0).integers(0, 256, (small.height, small.width), dtype=np.uint8)
    image = small.copy()
    image.putalpha(Image.fromarray(alpha))
    decoded = codec.decompress(codec.compress(image, 10, exact=True))
    np.testing.assert_array_equal(np.asarray(decoded.getchannel("A")), alpha)


def test_metadata_is_kept_on_request(codec: Codec, small: Image.Image) -> None:
    image = small.copy()
    image.getexif()[0x010F] = "Maker"
    assert not codec.decompress(codec.compress(image)).getexif()
    assert codec.decompress(codec.compress(image, keep_metadata=True)).getexif()[0x010F] == "Maker"


def test_a_batch_gives_each_picture_its_own_file(codec: Codec, photograph: Image.Image) -> None:
    images = [photograph.crop((x, 0, x + size, 48)) for x, size in ((0, 64), (70, 64), (300, 80), (9, 64))]
    files = codec.compress_batch(images, OperatingPoint(60))
    decoded = codec.decompress_batch(files)
    assert [image.size for image in decoded] == [image.size for image in images]
    for image, original in zip(decoded, images, strict=True):
        assert psnr(np.asarray(original), np.asarray(image)) > 25


def test_a_batched_tensor_is_a_batch(codec: Codec, photograph: Image.Image) -> None:
    array = np.asarray(photograph)[:64, :128].reshape(64, 2, 64, 3).transpose(1, 3, 0, 2)
    assert len(codec.compress_batch(torch.from_numpy(array.copy()), OperatingPoint(50))) == 2


def test_four_threads_give_the_bytes_of_one(codec: Codec, photograph: Image.Image) -> None:
    crops = [photograph.crop((i * 40, i * 20, i * 40 + 200, i * 20 + 150)) for i in range(8)]
    alone = [codec.compress(crop, 40) for crop in crops]
    pictures = [codec.decompress(data).tobytes() for data in alone]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda crop: codec.compress(crop, 40), crops * 2)) == alone * 2
        assert [i.tobytes() for i in pool.map(codec.decompress, alone * 2)] == pictures * 2


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
        ({"realism": 0.5}, "no realism dial"),
        ({"effort": 10}, "effort 10 is outside"),
    ],
)
def test_operating_points_that_cannot_be_had_are_refused(
    plain_codec: Codec, small: Image.Image, arguments: dict[str, float], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        plain_codec.compress(small, **arguments)  # type: ignore[arg-type]


def test_realism_that_the_weights_lack_is_refused_when_decoding_too(
    plain_codec: Codec, small: Image.Image
) -> None:
    with pytest.raises(UsageError, match="no realism dial"):
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
    payload = container.read(data).picture
    cases = {
        "not a whole number": {"COLOUR": payload[:-1]},
        "ends in an empty word": {"COLOUR": payload[:-4] + bytes(4)},
        "does not end": {"COLOUR": bytes(range(1, 9)) * 4 + payload},
    }
    for message, changes in cases.items():
        with pytest.raises(FormatError, match=message):
            codec.decompress(recoded(data, **changes))


@pytest.mark.parametrize(
    ("kind", "payload", "message"),
    [
        ("ALPHA", b"rubbish", "alpha channel is left out"),
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
    with pytest.warns(PictureWarning, match=message):
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
    [(12, "not int"), ("missing.rdpc", "missing.rdpc: no such file"), (io.StringIO("RDP"), "open as text")],
)
def test_what_is_no_file_is_refused(source: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rdpcodec.decompress(source)


def test_max_pixels_bounds_both_ways(codec: Codec, small: Image.Image) -> None:
    data, pixels = codec.compress(small), small.width * small.height
    assert codec.compress(small, max_pixels=pixels) == data
    assert rdpcodec.decompress(data, max_pixels=pixels).size == small.size
    for module in (rdpcodec, codec):
        with pytest.raises(PictureError, match="over the limit"):
            module.compress(small, max_pixels=pixels - 1)
        with pytest.raises(FormatError, match="over the limit"):
            module.decompress(data, max_pixels=pixels - 1)


# What a codec is to Python.


def test_the_package_lists_what_it_offers() -> None:
    assert set(rdpcodec.__all__) < set(dir(rdpcodec))
    assert not {"Any", "TYPE_CHECKING", "annotations"} & set(dir(rdpcodec))
    assert all(getattr(rdpcodec, name) is not None for name in dir(rdpcodec))


def test_a_codec_says_what_it_is(codec: Codec) -> None:
    assert repr(codec) == f"<rdpcodec.Codec fast-{codec.fingerprint.hex()} on cpu>"


def test_a_codec_survives_pickling_and_copies(codec: Codec, plain_codec: Codec, small: Image.Image) -> None:
    data = codec.compress(small, 30)
    for one in (codec, plain_codec):
        for other in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), copy.copy(one)):
            assert other.compress(small, 30) == data
            assert (other.name, other.dials) == (one.name, one.dials)


def test_a_pickled_codec_is_not_restored_with_other_weights(
    codec: Codec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pickled = pickle.dumps(codec)
    loaded = Codec()
    loaded.decoder_fingerprint = "00000000"
    monkeypatch.setattr(codec_module, "loaded_codec", lambda *_: loaded)
    with pytest.raises(WeightsError, match="other weights here"):
        pickle.loads(pickled)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_arrays_and_tensors_hold_the_pixels_of_the_image(codec: Codec, small: Image.Image, mode: str) -> None:
    data = codec.compress(small.convert(mode), 40, exact=True)
    image = np.asarray(codec.decompress(data))
    array, tensor = codec.decompress_array(data), codec.decompress_tensor(data)
    np.testing.assert_array_equal(array, image)
    assert (tensor.dtype, tensor.device.type, len(tensor)) == (torch.uint8, "cpu", len(mode))
    np.testing.assert_array_equal(tensor.permute(1, 2, 0).numpy(), image.reshape(*image.shape[:2], -1))
    part = codec.decompress_array(data, region=(10, 20, 30, 40))
    np.testing.assert_array_equal(part, image[20:60, 10:40])
    assert codec.compress(tensor, 40) == codec.compress(Image.fromarray(array), 40)  # opaque alpha or none


def test_a_batch_may_have_a_quality_or_a_target(codec: Codec, small: Image.Image) -> None:
    assert codec.compress_batch([small], quality=30) == [codec.compress(small, 30)]
    (file,) = codec.compress_batch([small], quality=rdpcodec.Target.size(900))
    assert len(file) <= 900


def test_errors_of_a_batch_can_be_kept_beside_its_files(
    codec: Codec, small: Image.Image, photograph: Image.Image
) -> None:
    errors: dict[int, rdpcodec.RdpError] = {}
    images: list[Any] = [small, "missing.png", small.rotate(90), b"rubbish"]
    files = codec.compress_batch(images, quality=20, errors=errors)
    assert files[0] == codec.compress(small, 20)
    assert files[2] == codec.compress(small.rotate(90), 20)
    assert (files[1], files[3], sorted(errors)) == (b"", b"", [1, 3])
    assert "missing.png: no such file" in str(errors[1])
    with pytest.raises(rdpcodec.PictureError, match=r"missing\.png"):
        codec.compress_batch(images, quality=20)
    errors = {}
    files = codec.compress_batch([photograph, small], quality=rdpcodec.Target.size(700), errors=errors)
    assert (list(errors), len(files[1]) <= 700) == ([0], True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, i: c.compress(i, "out.rdpc"), "quality 'out.rdpc' is not a number"),
        (lambda c, i: c.compress(i, effort="3"), "effort '3' is not a number"),
        (lambda c, i: c.compress(i, realism=None), "realism None is not a number"),
        (lambda c, i: c.compress(i, True), "quality True is not a number"),
        (lambda c, i: c.compress(i, max_pixels="9"), "max_pixels '9' is not a number"),
        (lambda c, i: c.decompress(c.compress(i), region=(1, 2, 3)), "region .*: give four whole numbers"),
        (lambda c, i: c.decompress(c.compress(i), region="1,2,3,4"), "region .*: give four whole numbers"),
        (lambda c, i: c.decompress(c.compress(i), region=(0, 0, 1.5, 3)), "region .*: give four whole"),
        (lambda c, i: rdpcodec.use_threads(0), "0 threads: give a whole number from 1 on"),
        (lambda c, i: rdpcodec.use_threads("4"), "'4' threads: give a whole number from 1 on"),
        (lambda c, i: c.compress_batch([i], 30), "point 30: give quality="),
        (lambda c, i: c.compress_batch([i], "web"), "point 'web': give quality="),
        (lambda c, i: c.compress_batch([i], OperatingPoint(), quality=3), "give one of them"),
        (lambda c, i: c.compress_batch("photo.png"), "one str is no batch: give a list"),
        (lambda c, i: c.compress_batch(i), "no batch: give a list"),
        (lambda c, i: c.compress_batch(np.asarray(i)), r"of shape \(67, 101, 3\) is no batch"),
        (lambda c, i: c.decompress_batch(b"RDP"), "one bytes is no batch"),
        (lambda c, i: c.decompress(5), "takes a file's bytes or path, not int"),
        (lambda c, i: rdpcodec.info(None), "takes a file's bytes or path, not NoneType"),
        (lambda c, i: Codec(device=5.5), "device '5.5' cannot be used"),
        (lambda c, i: rdpcodec.Target.bpp("0.3"), "'0.3' is not a number"),
    ],
)
def test_arguments_of_wrong_types_are_errors_of_ours(
    codec: Codec, small: Image.Image, call: Callable[[Codec, Image.Image], object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        call(codec, small)


def test_info_tells_what_a_file_holds(codec: Codec, small: Image.Image, tmp_path: Path) -> None:
    image = small.convert("LA")
    data = codec.compress(image, 37.5, realism=0.5, exact=True)
    (tmp_path / "a.rdpc").write_bytes(data)
    found = rdpcodec.info(data)
    assert found == rdpcodec.info(tmp_path / "a.rdpc")
    assert (found.width, found.height, found.gray, found.alpha) == (101, 67, True, True)
    assert (found.quality, found.model, found.weights_installed) == (37.5, "fast", True)
    assert found.bits_per_pixel == len(data) * 8 / (101 * 67)
    assert sum(found.segments.values()) < found.bytes == len(data)
    with pytest.raises(FormatError, match="checksum"):
        rdpcodec.info(data[:-9] + b"\0" + data[-8:])


def test_info_does_not_import_torch(codec: Codec, small: Image.Image, tmp_path: Path) -> None:
    (tmp_path / "a.rdpc").write_bytes(codec.compress(small))
    script = (
        "import rdpcodec, sys\nrdpcodec.info('a.rdpc')\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)


def test_a_process_forked_after_several_threads_were_at_work_still_codes(tmp_path: Path) -> None:
    script = """
import multiprocessing, sys
import numpy as np, rdpcodec
from rdpcodec.engine.threads import chosen_threads
image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
data = rdpcodec.compress(image, 20)
rdpcodec.decompress(data)

def child(queue):
    queue.put((rdpcodec.compress(image, 20), chosen_threads()))

context = multiprocessing.get_context("fork")
queue = context.Queue()
process = context.Process(target=child, args=(queue,), daemon=True)
process.start()
again, threads = queue.get(timeout=300)  # without the guard it waits for ever
assert abs(len(again) - len(data)) < 0.01 * len(data) and threads == 1
"""
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, timeout=400)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_forked_process_ends_with_its_status_and_its_last_words(tmp_path: Path) -> None:
    script = """
import atexit, os, sys
import numpy as np, rdpcodec
image = np.zeros((64, 64, 3), np.uint8)
data = rdpcodec.compress(image)
if os.fork() == 0:
    atexit.register(lambda: sys.stdout.write("last words"))
    assert rdpcodec.compress(image) == data
    sys.exit(7)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))  # without the guard it waits for ever
"""
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=400
    )
    assert (run.returncode, run.stdout) == (7, "last words"), run.stderr


def warned_lines(work: Callable[[], object]) -> set[str]:
    """Files whose lines warnings name."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()
    assert caught
    return {warning.filename for warning in caught}


def test_warnings_name_the_line_that_called(codec: Codec, small: Image.Image, tmp_path: Path) -> None:
    import rdpcodec.pillow_plugin  # Pillow's lines are not the caller's either

    deep = np.zeros((8, 8, 3), np.uint16)
    small.save(tmp_path / "a.gif", save_all=True, append_images=[small.rotate(90)])
    damaged = recoded(codec.compress(small), XMP=b"rubbish")
    (tmp_path / "a.rdpc").write_bytes(damaged)
    sixteen = Image.fromarray(np.zeros((8, 8), np.uint16))
    easy = rdpcodec.Target.size(10**6)
    calls: list[Callable[[], object]] = [
        lambda: rdpcodec.compress(deep),
        lambda: codec.compress(deep),
        lambda: codec.compress_batch([deep]),
        lambda: next(codec.efforts(deep)),
        lambda: load_picture(deep),
        lambda: codec.compress(tmp_path / "a.gif"),
        lambda: rdpcodec.compress(small, easy),
        lambda: rdpcodec.compress(small, target=easy),
        lambda: rdpcodec.decompress(damaged),
        lambda: codec.decompress_array(damaged),
        lambda: Image.open(tmp_path / "a.rdpc").load(),
        lambda: sixteen.save(tmp_path / "b.rdpc"),
    ]
    for call in calls:
        assert warned_lines(call) == {__file__}
