"""A file decodes to the same symbols, bit for bit, whatever the machine does: the promise of the exact scale
path.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rdpcodec import Codec
from rdpcodec.format import container
from rdpcodec.metrics import eyes, xyb

PROBE = Path(__file__).parent / "symbols_probe.py"
SETUPS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "one thread": ({"threads": 1}, {}),
    "two threads": ({"threads": 2}, {}),
    "eight threads": ({"threads": 8}, {}),
    "batch of eight": ({"batch": 8}, {}),
    "batch of eight, three threads": ({"batch": 8, "threads": 3}, {}),
}
# Variables that make torch and its oneDNN work as on a processor without vector instructions, or with those
# of 2013. Both read them when they are loaded, so each set of variables costs a process.
PLAIN = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
TORCH_SETUPS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "no vector instructions": ({"mkldnn": False}, PLAIN),
    "oneDNN restricted to SSE4.1": ({}, PLAIN),
    "AVX2": ({}, AVX2),
    "AVX2, oneDNN off": ({"mkldnn": False}, AVX2),
    "oneDNN off": ({"mkldnn": False}, {}),
    "float64": ({"dtype": "float64"}, {}),
    "matrix products in bfloat16": ({"precision": "medium"}, {}),
    "deterministic mode": ({"deterministic": True}, {}),
}
if torch.cuda.is_available():
    TORCH_SETUPS["GPU"] = ({"device": "cuda"}, {})
    TORCH_SETUPS["GPU with TF32"] = ({"device": "cuda", "precision": "high"}, {})
MATRIX = {
    f"{engine}, {name}": ({"engine": engine, **setup}, variables)
    for engine, setups in (("onnx", SETUPS), ("torch", SETUPS | TORCH_SETUPS))
    for name, (setup, variables) in setups.items()
}
# Setups that are also tried with an inexact scale network.
INEXACT = ("torch, one thread", "torch, float64")


@pytest.fixture(scope="module")
def files(codec: Codec, photograph: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    odd, photograph = photograph.crop((3, 5, 100, 140)), photograph.crop((100, 40, 420, 240))
    cases = {
        "low": (photograph, 5),
        "middle": (photograph, 50),
        "high": (photograph, 97),
        "odd": (odd, 61.23),
    }
    paths = []
    for name, (image, quality) in cases.items():
        paths.append(folder / f"{name}.rdpc")
        paths[-1].write_bytes(codec.compress(image, quality))
    return paths


@pytest.fixture(scope="module")
def decoded(files: list[Path]) -> dict[str, list[tuple[str, str]]]:
    """By setup, for each file: the hash of its symbols as decoded, and that of its table indices.

    Setups that need the same environment share a process; the processes run side by side.
    """
    setups = {
        **MATRIX,
        **{f"{name}, inexact": ({**MATRIX[name][0], "inexact": True}, MATRIX[name][1]) for name in INEXACT},
    }
    probes = []
    for environment in ({}, PLAIN, AVX2):
        together = {name: setup for name, (setup, variables) in setups.items() if variables == environment}
        argument = json.dumps({"files": [str(path) for path in files], "setups": together})
        words, variables = [sys.executable, str(PROBE), argument], {**os.environ, **environment}
        probes.append(subprocess.Popen(words, env=variables, stdout=subprocess.PIPE, text=True))
    found: dict[str, list[tuple[str, str]]] = {}
    for probe in probes:
        printed, _ = probe.communicate(timeout=240)
        assert probe.returncode == 0
        for name, hashes in json.loads(printed).items():
            found[name] = [(symbols, tables) for symbols, tables in hashes]
    return found


@pytest.fixture(scope="module")
def encoded(codec: Codec, files: list[Path]) -> list[str]:
    """For each file: the hash of its symbols as decoded in this process."""
    found = []
    for path in files:
        (symbols,) = codec.decode_symbols([container.read(path.read_bytes())])[0]
        found.append(hashlib.sha256(symbols.hyper.tobytes() + symbols.residual.tobytes()).hexdigest())
    return found


@pytest.mark.parametrize("name", MATRIX)
def test_symbols_are_the_same_under(
    name: str, decoded: dict[str, list[tuple[str, str]]], encoded: list[str]
) -> None:
    assert [symbols for symbols, _ in decoded[name]] == encoded


def test_pixels_differ_by_at_most_one_step_between_setups(codec: Codec, files: list[Path]) -> None:
    """Means and synthesis are floating point: only a rounding at the very end may go the other way."""
    data = files[1].read_bytes()
    on_torch = Codec("fast", engine="torch")
    decodings = [np.asarray(each.decompress(data, realism=0.5)).astype(int) for each in (codec, on_torch)]
    torch.backends.mkldnn.enabled = False
    try:
        decodings.append(np.asarray(on_torch.decompress(data, realism=0.5)).astype(int))
    finally:
        torch.backends.mkldnn.enabled = True
    for here, there in combinations(decodings, 2):
        assert np.abs(here - there).max() <= 1
        assert (here != there).mean() < 0.001


def test_the_matrix_of_setups_notices_an_inexact_scale_path(
    decoded: dict[str, list[tuple[str, str]]], encoded: list[str]
) -> None:
    """The same network in inexact arithmetic: sums on a rounding tie go either way, and setups disagree."""
    single, double = (decoded[f"{name}, inexact"] for name in INEXACT)
    assert [symbols for symbols, _ in single] != encoded
    assert [symbols for symbols, _ in double] != encoded
    assert [tables for _, tables in single] != [tables for _, tables in double]


@pytest.mark.parametrize("effort", [0, 1])
def test_a_callers_autocast_changes_neither_files_nor_pixels(effort: int, photograph: Image.Image) -> None:
    codec, image = Codec("fast", engine="torch"), photograph.crop((0, 0, 96, 80))
    with torch.autocast("cpu", torch.bfloat16):
        data = codec.compress(image, quality=90, effort=effort)
        there = codec.decompress_array(data, realism=0.5)
    if effort == 0:
        assert data == codec.compress(image, quality=90)
    assert np.array_equal(there, codec.decompress_array(data, realism=0.5))
    assert np.abs(there - np.asarray(image, float)).mean() < 9


@pytest.fixture(scope="module")
def searched(photograph: Image.Image) -> list[bytes]:
    """Files of effort 0 and 1, made in torch's own modes."""
    return list(islice(Codec("fast", engine="torch").efforts(photograph.crop((200, 100, 250, 150)), 60), 2))


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode", "autocast", "float64"])
def test_a_search_finds_the_same_file_in_every_mode_of_its_caller(
    mode: str, searched: list[bytes], photograph: Image.Image
) -> None:
    modes: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "no_grad": torch.no_grad,
        "inference_mode": torch.inference_mode,
        "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
        "float64": double_by_default,
    }
    image = photograph.crop((200, 100, 250, 150))
    with modes[mode]():
        codec, learns = Codec("fast", engine="torch"), torch.is_grad_enabled()
        assert list(islice(codec.efforts(image, 60), 2)) == searched
        assert torch.is_grad_enabled() is learns
    if mode == "inference_mode":  # what is made in it never learns
        assert codec.compress(image, 60, effort=1) == searched[1]


@contextmanager
def double_by_default() -> Iterator[None]:
    """float64 as torch's default, and no constants left that were made under another."""
    torch.set_default_dtype(torch.float64)
    eyes._weights.cache_clear()
    xyb._constants.cache_clear()
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16, torch.float16])
def test_networks_are_float32_whatever_the_default_is(photograph: Image.Image, default: torch.dtype) -> None:
    image = photograph.crop((0, 0, 64, 64))
    torch.set_default_dtype(default)
    try:
        codec = Codec("fast", engine="torch")
        data = codec.compress(image, quality=60)
        decoded = codec.decompress_array(data, realism=0.5)
    finally:
        torch.set_default_dtype(torch.float32)
    codec = Codec("fast", engine="torch")
    assert data == codec.compress(image, quality=60)
    np.testing.assert_array_equal(decoded, codec.decompress_array(data, realism=0.5))
