"""What the tests of training share: small constants and a small model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_model import smaller_constants, write_small_model


@pytest.fixture(autouse=True, scope="module")
def _smaller() -> Iterator[None]:
    with smaller_constants():
        yield


@pytest.fixture(scope="session")
def small_model(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("small"), image_folder)
