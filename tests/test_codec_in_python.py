"""A codec as a Python object: names, pickles, batches, arguments, processes and warnings."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from installed import weights_read_anew
from PIL import Image
from recoded_files import recoded

import rdpcodec
from rdpcodec import Codec, OperatingPoint, Target, extras
from rdpcodec import codec as codec_module
from rdpcodec.errors import FormatError, RdpError, UsageError, WeightsError
from rdpcodec.fork_lock import ForkLock
from rdpcodec.image import load_image
from rdpcodec.operating_point import point_from_arguments
from rdpcodec.weights.manifest import ModelEntry, manifest
from rdpcodec.weights.release import ReleasedModel


def test_the_package_lists_what_it_offers() -> None:
    assert set(rdpcodec.__all__) < set(dir(rdpcodec))
    assert not {"Any", "TYPE_CHECKING", "annotations"} & set(dir(rdpcodec))
    assert all(getattr(rdpcodec, name) is not None for name in dir(rdpcodec))


@pytest.mark.parametrize("ending", ["Error", "Warning"])
def test_names_of_version_0_1_still_work_and_warn(ending: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"Picture{ending} is now rdpcodec.Image{ending}") as caught:
        assert getattr(rdpcodec, f"Picture{ending}") is getattr(rdpcodec, f"Image{ending}")
    assert caught[0].filename == __file__


def test_a_codec_says_what_it_is(codec: Codec) -> None:
    assert repr(codec) == f"<rdpcodec.Codec fast-{codec.weights.fingerprint.hex()} on cpu>"


def test_a_codec_survives_pickling_and_copies(codec: Codec, plain_codec: Codec, small: Image.Image) -> None:
    data = codec.compress(small, 30)
    for one in (codec, plain_codec):
        for other in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), copy.copy(one)):
            assert other.compress(small, 30) == data
            assert other.weights == one.weights


class Upload:
    """A file that is read with `await`, as web frameworks give uploads."""

    name = "upload.png"

    async def read(self, size: int = -1) -> bytes:
        return b"RDP"

    async def seek(self, offset: int) -> None:
        """Never called."""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("function", [rdpcodec.compress, rdpcodec.decompress, rdpcodec.info])
def test_a_file_that_is_read_asynchronously_is_refused_with_what_to_do(function: Callable[..., Any]) -> None:
    with pytest.raises(RdpError, match=r"^upload\.png: is read asynchronously: give what `await file.read"):
        function(Upload())


class Named(Codec):
    """A codec of a class of the user's own."""


def test_a_pickled_codec_keeps_its_class(codec: Codec, small: Image.Image) -> None:
    restored = pickle.loads(pickle.dumps(Named()))
    assert type(restored) is Named
    assert restored.compress(small, 30) == codec.compress(small, 30)


def test_a_pickled_model_needs_no_file(plain_weights: Path, small: Image.Image, tmp_path: Path) -> None:
    shutil.copytree(plain_weights, folder := tmp_path / "weights")
    record = json.loads((folder / "manifest.json").read_text())["models"]["fast"]
    codec = Codec(ReleasedModel.load(ModelEntry("fast", folder / record["file"], record)))
    data, pickled = codec.compress(small, 30), pickle.dumps(codec)
    shutil.rmtree(folder)
    assert pickle.loads(pickled).decompress(data).size == small.size


def test_a_deep_copy_holds_no_weights_of_its_own(plain_codec: Codec) -> None:
    settings = {"codec": plain_codec, "quality": 40}
    assert copy.deepcopy(settings)["codec"] is plain_codec


def test_weights_that_draw_other_pixels_have_another_fingerprint(
    codec: Codec, plain_codec: Codec, codec_with_realism: Codec
) -> None:
    """The three differ only in the second synthesis, and read the same files."""
    codecs = (codec, plain_codec, codec_with_realism)
    assert len({each.weights.fingerprint for each in codecs}) == 1
    assert len({each.decoder_fingerprint for each in codecs}) == 3


def test_functions_of_the_module_load_a_model_once_whatever_thread_is_first(
    codec: Codec, small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first load waits a moment for a second one, which should not come."""
    loads: list[str] = []
    second = threading.Event()

    def loading(model: str, device: str) -> Codec:
        loads.append(model)
        if len(loads) > 1:
            second.set()
        second.wait(0.2)
        return codec

    data = codec.compress(small, 30)
    monkeypatch.setattr(codec_module, "Codec", loading)
    with weights_read_anew():
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(lambda image: rdpcodec.compress(image, 30), [small] * 2)) == [data] * 2
        rdpcodec.decompress(data)
    assert loads == ["fast"]


def test_a_pickled_codec_is_not_restored_with_other_weights(
    codec: Codec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pickled = pickle.dumps(codec)
    loaded = Codec()
    loaded.decoder_fingerprint = "00000000"
    monkeypatch.setattr(codec_module, "loaded_codec", lambda *_: loaded)
    with pytest.raises(WeightsError, match="different weights here"):
        pickle.loads(pickled)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_arrays_and_tensors_hold_the_pixels_of_the_image(codec: Codec, small: Image.Image, mode: str) -> None:
    data = codec.compress(small.convert(mode), 40, exact_alpha=True)
    image = np.asarray(codec.decompress(data))
    array, tensor = codec.decompress_array(data), codec.decompress_tensor(data)
    np.testing.assert_array_equal(array, image)
    assert (tensor.dtype, tensor.device.type, len(tensor)) == (torch.uint8, "cpu", len(mode))
    np.testing.assert_array_equal(tensor.permute(1, 2, 0).numpy(), image.reshape(*image.shape[:2], -1))
    part = codec.decompress_array(data, region=(10, 20, 30, 40))
    np.testing.assert_array_equal(part, image[20:60, 10:40])
    assert codec.compress(tensor, 40) == codec.compress(Image.fromarray(array), 40)  # alpha opaque or absent


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
    with pytest.raises(rdpcodec.ImageError, match=r"missing\.png"):
        codec.compress_batch(images, quality=20)
    errors = {}
    files = codec.compress_batch([photograph, small], quality=rdpcodec.Target.size(700), errors=errors)
    assert (list(errors), len(files[1]) <= 700) == ([0], True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, i: c.compress(i, "out.rdpc"), "quality 'out.rdpc' is not a number"),
        (lambda c, i: c.compress(i, effort="3"), "effort '3' is not a number"),
        (lambda c, i: c.compress(i, realism=[1]), r"realism \[1\] is not a number"),
        (lambda c, i: c.compress(i, True), "quality True is not a number"),
        (lambda c, i: c.compress(i, max_pixels="9"), "max_pixels '9' is not a number"),
        (lambda c, i: c.compress(i, max_pixels=float("nan")), "max_pixels nan is not a number"),
        (lambda c, i: c.compress(i, max_pixels=True), "max_pixels True is not a number"),
        (lambda c, i: c.decompress(c.compress(i), region=(1, 2, 3)), "region .*: give four whole numbers"),
        (lambda c, i: c.decompress(c.compress(i), region="1,2,3,4"), "region .*: give four whole numbers"),
        (lambda c, i: c.decompress(c.compress(i), region=(0, 0, 1.5, 3)), "region .*: give four whole"),
        (lambda c, i: rdpcodec.use_threads(0), "0 threads: give a whole number from 1 to 1024"),
        (lambda c, i: rdpcodec.use_threads("4"), "'4' threads: give a whole number from 1 to 1024"),
        (
            lambda c, i: c.compress(i, "web"),
            r"quality 'web' is the name of a preset: give rdpcodec.PRESETS\['web'\]",
        ),
        (lambda c, i: c.compress_batch([i], "web"), "quality 'web' is the name of a preset"),
        (lambda c, i: c.encoder(load_image(i))("auto"), "quality 'auto' is the name of a preset"),
        (lambda c, i: c.encoder(load_image(i))("best"), "quality 'best' is not a number"),
        (lambda c, i: c.encoder(load_image(i))(101), "quality 101.* is outside"),
        (lambda c, i: c.compress_batch([i], OperatingPoint(), quality=3), "give one of them"),
        (lambda c, i: c.compress_batch("photo.png"), "one str is not a batch: give a list"),
        (lambda c, i: c.compress_batch(i), "not a batch: give a list"),
        (lambda c, i: c.compress_batch(np.asarray(i)), r"of shape \(67, 101, 3\) is not a batch"),
        (lambda c, i: c.decompress_batch(b"RDP"), "one bytes is not a batch"),
        (lambda c, i: c.decompress(5), "takes a file's bytes or path, not int"),
        (lambda c, i: rdpcodec.info(None), "takes a file's bytes or path, not NoneType"),
        (lambda c, i: Codec(device=5.5), "device '5.5' cannot be used"),
        (lambda c, i: Codec(engine="Torch"), "engine 'Torch': must be one of onnx, torch"),
        (lambda c, i: Codec(engine=""), "engine '': must be one of onnx, torch"),
        (lambda c, i: Codec(device=None), "device 'None' cannot be used: .*; this torch has: cpu"),
        (lambda c, i: rdpcodec.Target.bpp("0.3"), "'0.3' is not a number"),
    ],
)
def test_arguments_of_wrong_types_are_errors_of_ours(
    codec: Codec, small: Image.Image, call: Callable[[Codec, Image.Image], object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        call(codec, small)


def test_an_encoder_takes_a_loaded_image_alone(codec: Codec) -> None:
    with pytest.raises(UsageError, match=r"^str: an encoder takes what"):
        codec.encoder("photo.png")  # type: ignore[arg-type]


def test_a_batch_and_an_encoder_take_a_quality_as_one_image_does(codec: Codec, small: Image.Image) -> None:
    encode = codec.encoder(load_image(small))
    for quality in (30, Target.bpp(0.4), OperatingPoint(60, 0.5)):
        alone = codec.compress(small, quality)
        assert codec.compress_batch([small], quality) == [alone]
        assert encode(quality) == alone
    assert codec.compress_batch([small], quality=30) == codec.compress_batch([small], 30)


def test_all_efforts_take_what_an_image_may_be_and_hold(codec: Codec, small: Image.Image) -> None:
    clear = small.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(small.size))
    assert next(codec.efforts(clear, 5, exact_alpha=True)) == codec.compress(clear, 5, exact_alpha=True)


def test_efforts_are_those_of_the_image_as_it_was_given(codec: Codec, small: Image.Image) -> None:
    array = np.array(small)
    files = codec.efforts(array, 30)
    next(files)
    array[:] = 0
    assert next(files) == codec.compress(small, 30, effort=1)


def test_weights_that_only_decode_refuse_a_batch_before_its_images(small: Image.Image) -> None:
    """Whatever the quality, and whether or not errors are kept: no other image would do better."""
    (retired, *_) = (name for name, entry in manifest().items() if not entry.encodes)
    codec = Codec(retired)
    for quality in (50, rdpcodec.Target.bpp(1)):
        errors: dict[int, rdpcodec.RdpError] = {}
        with pytest.raises(rdpcodec.WeightsError, match="makes none"):
            codec.compress_batch([small, "missing.png"], quality, errors=errors)
        assert not errors


def test_an_effort_that_needs_torch_is_refused_before_the_images_of_a_batch(
    codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    errors: dict[int, rdpcodec.RdpError] = {}
    with pytest.raises(UsageError, match="effort 1 to 9 needs torch"):
        codec.compress_batch(["missing.png"], OperatingPoint(40, effort=1), errors=errors)
    assert not errors


def test_an_encoder_keeps_the_image_as_it_was_given(codec: Codec, small: Image.Image) -> None:
    array = np.array(small)
    encode, expected = codec.encoder(load_image(array)), codec.compress(array, 60)
    encode(40)
    array[:] = 0
    assert encode(60) == expected


def test_efforts_refuse_a_target_when_they_are_called(codec: Codec, small: Image.Image) -> None:
    with pytest.raises(UsageError, match="take a number"):
        codec.efforts(small, Target.bpp(1))  # type: ignore[arg-type]
    with pytest.raises(rdpcodec.ImageError, match="101×67"):
        codec.efforts(small, max_pixels=1000)


def test_info_tells_what_a_file_holds(codec: Codec, small: Image.Image, tmp_path: Path) -> None:
    image = small.convert("LA")
    data = codec.compress(image, 37.5, realism=0.5, exact_alpha=True)
    (tmp_path / "a.rdpc").write_bytes(data)
    found = rdpcodec.info(data)
    assert found == rdpcodec.info(tmp_path / "a.rdpc")
    assert (found.width, found.height, found.gray, found.alpha) == (101, 67, True, True)
    assert (found.quality, found.model, found.weights_installed) == (37.5, "fast", True)
    assert found.bpp == len(data) * 8 / (101 * 67)
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
    """The files that the warnings of `work` point at."""
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
        lambda: load_image(deep),
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


def test_an_interrupt_cannot_leave_the_lock_locked() -> None:
    """It could within methods written in Python; those of the lock itself cannot be interrupted."""
    assert type(ForkLock().lock) is type(threading.Lock())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_forked_process_finds_open_what_another_thread_had_locked() -> None:
    script = """
import os, signal, sys
from rdpcodec.fork_lock import ForkLock
lock = ForkLock()
with lock.lock:
    if os.fork() == 0:
        signal.alarm(20)  # without the guard it would wait for ever
        with lock.lock:
            os._exit(7)
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_process_that_is_forked_while_a_model_is_loaded_codes(tmp_path: Path) -> None:
    script = """
import os, sys, threading
import numpy as np, rdpcodec, rdpcodec.codec
entered, go_on, load = threading.Event(), threading.Event(), rdpcodec.codec.loaded_codec

def slowly(model, device):
    entered.set()
    go_on.wait()
    return load(model, device)

rdpcodec.codec.loaded_codec = slowly
threading.Thread(target=rdpcodec.codec.shared_codec).start()
entered.wait()
if os.fork() == 0:
    rdpcodec.codec.loaded_codec = load
    os._exit(len(rdpcodec.compress(np.zeros((16, 16, 3), np.uint8))) > 0 and 7)
status = os.waitstatus_to_exitcode(os.wait()[1])  # without the guard it waits for ever
go_on.set()
sys.exit(status)
"""
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path, timeout=400).returncode == 7


@pytest.mark.parametrize(
    "call",
    [
        lambda codec, image: codec.compress(image, Target.bpp(1e-310)),
        lambda codec, image: codec.compress(image, Target.size(10**400)),
        lambda codec, image: next(codec.efforts(image, Target.bpp(0.3))),
    ],
)
def test_targets_beyond_all_files_are_refused(
    codec: Codec, small: Image.Image, call: Callable[[Codec, Image.Image], object]
) -> None:
    with pytest.raises(UsageError, match=r"^target"):
        call(codec, small)


NUMBERS = [np.uint8, np.int8, np.uint16, np.float16, np.float32, np.int64, Fraction]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_setting_may_be_a_number_of_another_library(
    codec: Codec, small: Image.Image, number: Callable[[int], Any]
) -> None:
    """NumPy's own would wrap at 255, or round."""
    assert codec.compress(small, number(90)) == codec.compress(small, 90)
    data = codec.compress(small, rdpcodec.Target.psnr(30), realism=1)
    assert codec.compress(small, rdpcodec.Target.psnr(number(30)), realism=number(1)) == data
    expected = codec.decompress_array(data, realism=1)
    np.testing.assert_array_equal(codec.decompress_array(data, realism=number(1)), expected)
    (symbols,) = codec.analyse([load_image(small)], number(90))
    pixels = [codec.synthesise([symbols], quality, small.size) for quality in (number(90), 90)]
    np.testing.assert_array_equal(*pixels)


@pytest.mark.parametrize("number", [10**400, Fraction(10**400, 3), -(10**400)])
def test_a_number_that_no_float_holds_is_refused_as_others_are(number: Any) -> None:
    refused: list[Callable[[], object]] = [
        lambda: rdpcodec.OperatingPoint(number),
        lambda: rdpcodec.OperatingPoint(realism=number),
        lambda: rdpcodec.OperatingPoint(effort=number),
        lambda: rdpcodec.Target.psnr(number),
        lambda: rdpcodec.Target.size("1" * 5000),
    ]
    for call in refused:
        with pytest.raises(rdpcodec.UsageError):
            call()


def test_an_effort_may_be_any_whole_number(codec: Codec, small: Image.Image) -> None:
    assert codec.compress(small, 30, effort=1.0) == codec.compress(small, 30, effort=1)  # type: ignore[arg-type]


def test_an_unbuffered_pipe_that_gives_a_byte_at_a_time_is_read(codec: Codec, small: Image.Image) -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(1 if size and size > 0 else size)

    data = codec.compress(small)
    assert codec.decompress(Trickle(data)).size == small.size
    for damaged in (b"", b"R", b"RDX" + data[3:]):
        with pytest.raises(FormatError):
            codec.decompress(Trickle(damaged))


@pytest.mark.parametrize("use", [rdpcodec.decompress, rdpcodec.info])
@pytest.mark.parametrize("start", [b"", b"RD", b"RDX", b"\x89PNG"])
def test_of_a_foreign_file_only_the_start_is_read(use: Callable[[Any], object], start: bytes) -> None:
    class Long(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert 0 < size < 100
            return super().read(size)

    with pytest.raises(FormatError, match=r"not an \.rdpc file" if start else "the file is empty"):
        use(Long(start + bytes(1000) * bool(start)))


@pytest.mark.parametrize(
    "use", [rdpcodec.decompress, rdpcodec.info, lambda file: rdpcodec.Codec().decompress_batch([file])]
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(
    use: Callable[[Any], object], tmp_path: Path
) -> None:
    path = tmp_path / "damaged.rdpc"
    path.write_bytes(rdpcodec.compress(np.zeros((32, 32, 3), np.uint8))[:-3])
    with pytest.raises(rdpcodec.FormatError, match=r"damaged\.rdpc: "):
        use(path)
    with path.open("rb") as file, pytest.raises(rdpcodec.FormatError, match=r"damaged\.rdpc: "):
        use(file)
    with pytest.raises(rdpcodec.FormatError) as nameless:
        use(path.read_bytes())
    assert "given data" not in str(nameless.value)


def test_a_preset_stands_in_place_of_the_quality(codec: Codec, small: Image.Image) -> None:
    preset = rdpcodec.PRESETS["photo-real"]
    expected = codec.compress(small, preset.quality, realism=preset.realism)
    assert codec.compress(small, preset) == rdpcodec.compress(small, preset) == expected
    with pytest.raises(UsageError, match="and target 30 dB PSNR: give one of them"):
        codec.compress(small, preset, target=Target.psnr(30))


@pytest.mark.parametrize("realism", [0, 0.4])
def test_a_realism_beside_a_preset_replaces_its_own(codec: Codec, small: Image.Image, realism: float) -> None:
    """As on the command line and in `Image.save`; 0 above all, which evidence needs."""
    preset = rdpcodec.PRESETS["photo-real"]
    assert preset.realism == 1
    expected = codec.compress(small, preset.quality, realism=realism)
    assert codec.compress(small, preset, realism=realism) == expected
    assert rdpcodec.compress(small, preset, realism=realism) == expected


def test_an_effort_beside_a_point_replaces_its_own() -> None:
    point = point_from_arguments(rdpcodec.OperatingPoint(40, 1, effort=3), None, None, effort=0)
    assert point == rdpcodec.OperatingPoint(40, 1, effort=0)


def test_errors_and_warnings_of_a_batch_say_which_file(
    codec: Codec, small: Image.Image, tmp_path: Path
) -> None:
    deep, path = tmp_path / "deep.png", tmp_path / "small.png"
    Image.fromarray(np.full((32, 32), 40_000, np.uint16)).save(deep)
    small.save(path)
    with pytest.warns(rdpcodec.ImageWarning, match=f"^{deep}: 16 bits"):
        files = codec.compress_batch([path, deep])
    with pytest.raises(UsageError, match=f"^{path}: target 99 dB PSNR"):
        codec.compress_batch([str(path), small], Target.psnr(99))
    with pytest.raises(UsageError, match=r"^item 0, counted from 0: target 99 dB PSNR"):
        codec.compress_batch([small, small], Target.psnr(99))
    with pytest.raises(UsageError, match=r"^target 99 dB PSNR"):
        codec.compress(small, Target.psnr(99))
    with pytest.raises(UsageError, match=r"^item 1, counted from 0: region"):
        codec.decompress_batch(files, region=(0, 0, 60, 40))
    coded = tmp_path / "small.rdpc"
    coded.write_bytes(files[0])
    for decompress in (rdpcodec.decompress, codec.decompress, codec.decompress_array):
        with pytest.raises(UsageError, match=f"^{coded}: region"):
            decompress(coded, region=(0, 0, 999, 9))


def test_the_codec_of_an_earlier_version_is_named_once() -> None:
    assert repr(Codec("base-ddc2ae65")) == "<rdpcodec.Codec base-ddc2ae65 on cpu>"
