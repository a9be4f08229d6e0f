"""What the tests of the command line share: one thread, and an image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """On tiny images, threads mostly wait for each other, and very long while other programs are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def photo(tmp_path: Path, small: Image.Image) -> Path:
    path = tmp_path / "photo.png"
    small.save(path)
    return path
