"""Readers of MNIST and CIFAR-10 against good files and bad ones."""

from __future__ import annotations

import gzip
import struct
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from bars import bars, idx, write_mnist
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.papers.wgan.data import load_cifar10, load_mnist, read_idx, read_npz
from rdpcodec.errors import UsageError


def test_idx_files_are_read_with_and_without_gzip(tmp_path: Path) -> None:
    data = bars(20)
    write_mnist(tmp_path, data)
    split = load_mnist(tmp_path)
    assert np.array_equal(split.train.images, data.images)
    assert np.array_equal(split.test.labels, data.labels)


@given(st.binary(max_size=40))
@settings(max_examples=60, deadline=None)
def test_arbitrary_bytes_are_refused_or_are_whole_arrays(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(data)
    with suppress(UsageError):
        assert idx(read_idx(path)) == data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (idx(np.zeros((2, 3), np.uint8))[:-1], "has 5 bytes of values"),
        (idx(np.zeros((2, 3), np.uint8)) + b"x", "has more bytes of values"),
        (idx(np.zeros((2, 3), np.uint8))[:9], "ends inside its header"),
        (idx(np.zeros((2, 3), np.uint8), kind=13), "not an IDX file of unsigned bytes"),
        (bytes((0, 0, 8, 3)) + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1), "announces"),
        (b"", "not an IDX file"),
    ],
)
def test_broken_idx_files_are_refused_in_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    for name, content in (("plain", data), ("packed.gz", gzip.compress(data))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match=message) as caught:
            read_idx(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(idx(np.zeros((9, 9), np.uint8)))[:-12])
    with pytest.raises(UsageError, match=r"cut\.gz"):
        read_idx(tmp_path / "cut.gz")


def test_npz_files_are_read_and_others_refused(tmp_path: Path) -> None:
    images = np.arange(2 * 32 * 32 * 3, dtype=np.uint8).reshape(2, 32, 32, 3)
    good = {"images": images, "labels": np.array([3, 9], np.uint8)}
    path = tmp_path / "train.npz"
    np.savez(path, **good)
    read = read_npz(path)
    assert read.images.shape == (2, 3, 32, 32)
    assert np.array_equal(read.images[1, :, 4, 5], images[1, 4, 5])
    for change, message in (
        ({"labels": np.array([3, 10], np.uint8)}, "classes 0 to 9"),
        ({"labels": np.array([3], np.uint8)}, "2 images, but labels"),
        ({"labels": np.array([3, {}], object)}, "cannot be read as npz"),
        ({"images": images[..., :1]}, "not uint8"),
        ({"images": images / 255}, "not uint8"),
    ):
        np.savez(path, **{**good, **change})
        with pytest.raises(UsageError, match=message):
            read_npz(path)
    np.savez(path, labels=good["labels"])
    with pytest.raises(UsageError, match="no array"):
        read_npz(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UsageError, match="cannot be read as npz"):
        read_npz(path)


def test_a_folder_without_the_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no train-images-idx3-ubyte"):
        load_mnist(tmp_path)


def test_without_a_folder_and_without_torchvision_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    for load in (load_mnist, load_cifar10):
        with pytest.raises(UsageError, match="give its folder with --data, or install torchvision"):
            load(None)


def test_torchvision_fetches_what_no_folder_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with torchvision's interface: it keeps MNIST as IDX files and CIFAR-10 as arrays."""
    data = bars(30)
    write_mnist(tmp_path, data)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    datasets = ModuleType("torchvision.datasets")
    vars(datasets)["MNIST"] = lambda root, download: SimpleNamespace(raw_folder=str(tmp_path))
    vars(datasets)["CIFAR10"] = lambda root, train, download: SimpleNamespace(
        data=images, targets=[1, 2, 3, 4, 5] if train else [9, 8, 7, 6, 5]
    )
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)
    assert np.array_equal(load_mnist(None).train.images, data.images)
    split = load_cifar10(None)
    assert np.array_equal(split.train.images, images.transpose(0, 3, 1, 2))
    assert split.test.labels.tolist() == [9, 8, 7, 6, 5]
