"""What the tests of runs share: one core, and a folder of images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

import rdpcodec


@pytest.fixture(autouse=True, scope="module")
def _one_core() -> Iterator[None]:
    """On tiny images, threads mostly wait for each other, and very long while other programs are busy."""
    allowed, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, {min(allowed)})
    torch.set_num_threads(1)
    yield
    os.sched_setaffinity(0, allowed)
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path: Path, small: Image.Image) -> Path:
    """Three images, one of them in a subfolder, and files that do not count as images."""
    folder = tmp_path / "in"
    (folder / "sub" / ".hidden").mkdir(parents=True)
    tiny = small.crop((0, 0, 20, 18))
    for name in ("a.png", "b.JPG", "sub/c.webp", "sub/.hidden/d.png", "._a.png"):
        tiny.save(folder / name)
    (folder / "old.rdpc").write_bytes(rdpcodec.compress(tiny))
    (folder / "notes.txt").write_text("no image")
    return folder
