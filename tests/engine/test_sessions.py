"""ONNX Runtime's sessions: what they keep in memory, and how a network that cannot be loaded is reported."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdpcodec import Codec, UsageError, WeightsError, use_threads
from rdpcodec.engine import sessions, threads
from rdpcodec.weights.manifest import WEIGHTS_VARIABLE, find_model
from rdpcodec.weights.release import ReleasedModel

# Prints the peak memory in MB after one decoding, and after many of other sizes.
PEAKS = """
import sys
from rdpcodec import Codec

def peak():
    (kilobytes,) = (l.split()[1] for l in open("/proc/self/status") if l.startswith("VmHWM:"))
    return int(kilobytes) / 1000

codec, (largest, *others) = Codec(), sys.argv[1:]
codec.decompress(largest)
first = peak()
for path in (*others, largest, *others):
    codec.decompress(path)
print(first, peak())
"""

# Prints how many pages a decoding takes from the system after earlier decodings.
PAGES = """
import resource, sys
from rdpcodec import Codec

codec = Codec()
for _ in range(5):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    codec.decompress(sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_a_session_has_the_threads_that_were_told_else_those_of_the_environment_else_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = find_model("fast").path.parent / "fast.first_means.onnx"

    def taken() -> int:
        return sessions.load(str(graph)).get_session_options().intra_op_num_threads

    monkeypatch.setattr(threads, "_chosen", None)  # restored after the test
    for told, count in (("3", 3), (" 3,2", 3), ("0", threads.cores()), ("all", threads.cores())):
        monkeypatch.setenv("OMP_NUM_THREADS", told)
        assert taken() == count
    monkeypatch.setenv("OMP_NUM_THREADS", "9" * 5000)  # ONNX Runtime takes 32 bits
    assert threads.chosen_threads() == 1024
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    use_threads(5)
    assert taken() == 5
    for count in (0, -1, True, 2.0, 1025, 10**12):
        with pytest.raises(UsageError, match="from 1 to 1024"):
            use_threads(count)  # type: ignore[arg-type]
    assert taken() == 5
    use_threads(np.int64(4))  # type: ignore[arg-type]
    assert (taken(), type(threads.chosen_threads())) == (4, int)


def test_another_device_has_no_engine_of_onnx_runtime() -> None:
    with pytest.raises(UsageError, match="runs on the cpu only"):
        Codec(device="cuda", engine="onnx")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries do as they do")
def test_a_second_decoding_uses_the_memory_of_the_first(codec: Codec, tmp_path: Path) -> None:
    file = tmp_path / "image.rdpc"
    file.write_bytes(codec.compress(Image.effect_noise((768, 512), 40).convert("RGB"), 30))
    words = [sys.executable, "-c", PAGES, str(file)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert int(run.stdout) < 300  # 1900 where freed memory goes back to the system


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_memory_does_not_grow_with_every_size_of_image(
    codec: Codec, photograph: Image.Image, tmp_path: Path
) -> None:
    paths = []
    for cut in range(4):
        part = photograph.crop((0, 0, photograph.width - 64 * cut, photograph.height - 48 * cut))
        paths.append(tmp_path / f"{cut}.rdpc")
        paths[-1].write_bytes(codec.compress(part, 30))
    words = [sys.executable, "-c", PEAKS, *map(str, paths)]
    run = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    first, last = map(float, run.stdout.split())
    assert last - first < 10  # 27 with a memory plan for each size


def test_a_network_that_cannot_be_loaded_ahead_is_an_error_of_one_line(
    codec: Codec, small: Image.Image, tmp_path: Path
) -> None:
    file, folder = tmp_path / "image.rdpc", tmp_path / "weights"
    file.write_bytes(codec.compress(small, 30))
    folder.mkdir()
    entry = find_model("fast")
    for path in entry.path.parent.glob("fast.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "fast.synthesis.onnx").write_bytes(b"no graph")
    graphs = {**entry.record["graphs"], "synthesis": hashlib.sha256(b"no graph").hexdigest()}
    record = {"models": {"fast": {**entry.record, "graphs": graphs}}}
    (folder / "manifest.json").write_text(json.dumps(record))
    words = [sys.executable, "-m", "rdpcodec", "decompress", str(file)]
    environment = {**os.environ, WEIGHTS_VARIABLE: str(folder)}
    run = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1
    assert "fast.synthesis.onnx" in run.stderr


@pytest.mark.parametrize("missing", ["features", "realism", "second_means"])
def test_weights_without_all_graphs_that_they_need_run_on_torch(missing: str, small: Image.Image) -> None:
    released = ReleasedModel.load(find_model("fast"))
    graphs = {name: path for name, path in released.graphs.items() if name != missing}
    incomplete = replace(released, graphs=graphs)
    with pytest.raises(WeightsError, match="without the graphs"):
        Codec(incomplete, engine="onnx")
    codec = Codec(incomplete)
    assert codec.decompress(codec.compress(small, 20), realism=1).size == small.size


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, {"GOMP_SPINCOUNT": "1000"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
    ],
)
def test_the_command_line_lets_threads_wait_briefly_unless_it_is_told_otherwise(
    told: dict[str, str], expected: dict[str, str]
) -> None:
    names = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"
    script = (
        "import atexit, os, sys; from rdpcodec.cli import main; sys.argv = ['rdpcodec', '--version'];"
        f"atexit.register(lambda: print({{n: os.environ[n] for n in {names} if n in os.environ}}, "
        "'torch' in sys.modules)); main()"
    )
    environment = {name: value for name, value in os.environ.items() if name not in names} | told
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == f"{expected} False"
