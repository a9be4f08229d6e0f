"""What many tests need: the installed model, loaded once, and pictures to code."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rdpcodec import Codec
from rdpcodec.release import ReleasedModel
from rdpcodec.weights import find_model

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # the processes share the cores

PHOTOGRAPH = Path(__file__).parent.parent / "docs" / "demo" / "coffee.png"


@pytest.fixture(scope="session")
def codec() -> Codec:
    return Codec()


@pytest.fixture(scope="session")
def plain_codec() -> Codec:
    """With weights that have no realism dial."""
    return Codec(replace(ReleasedModel.load(find_model("fast"), torch.device("cpu")), realism=None))


@pytest.fixture
def no_realism(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the manifest say that the weights have no realism dial."""
    monkeypatch.setitem(find_model("fast").record, "dials", ["quality"])


@pytest.fixture(scope="session")
def photograph() -> Image.Image:
    """The demo's photograph, 600×400."""
    return Image.open(PHOTOGRAPH).convert("RGB")


@pytest.fixture(scope="session")
def small(photograph: Image.Image) -> Image.Image:
    """A piece of it whose sides are no multiples of anything, 101×67."""
    return photograph.crop((200, 100, 301, 167))


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory: pytest.TempPathFactory, photograph: Image.Image) -> Path:
    """42 small pictures, cut from the photograph: enough to train on, with one held out."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for number in range(42):
        left, top = int(generator.integers(0, 500)), int(generator.integers(0, 300))
        photograph.crop((left, top, left + 96, top + 80)).save(folder / f"{number:02}.png")
    return folder
