"""What many tests need: the installed model, loaded once, images to code, and a browser."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_tab import chromium, strict_tab
from hypothesis import settings
from installed import PHOTOGRAPH, brighter, install, is_realism, load_tensors, weights_read_anew
from PIL import Image

from rdpcodec import Codec
from rdpcodec.peers import PEERS
from rdpcodec.weights import manifest as weights
from rdpcodec.weights.manifest import ModelEntry, find_model
from rdpcodec.weights.release import ReleasedModel

# How long an example takes depends on the machine.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
if "PYTEST_XDIST_WORKER" in os.environ:
    import torch  # takes two seconds, which the process that only hands out files can save

    torch.set_num_threads(1)  # the processes share the cores


# The folders and files whose tests take longest.
LONG = {"bench", "docs", "encoder", "pages", "test_determinism", "test_fuzz", "test_tiles", "training", "web"}


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-xdist take files in the order of their tests, not those with the most tests first."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, so that processes that take one file at a time end together."""
    items.sort(key=lambda item: LONG.isdisjoint(Path(item.location[0]).with_suffix("").parts))


@pytest.fixture(scope="session")
def codec() -> Codec:
    return Codec()


@pytest.fixture(scope="session")
def plain_codec(plain_weights: Path) -> Codec:
    """A codec with weights that have no realism setting."""
    record = json.loads((plain_weights / "manifest.json").read_text())["models"]["fast"]
    return Codec(ReleasedModel.load(ModelEntry("fast", plain_weights / record["file"], record)))


@pytest.fixture(scope="session")
def plain_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the installed weights without their realism setting."""
    folder, tensors = tmp_path_factory.mktemp("plain-weights"), load_tensors(find_model("fast"))
    install(folder, {name: tensor for name, tensor in tensors.items() if not is_realism(name)})
    return folder


@pytest.fixture
def no_realism(plain_weights: Path) -> Iterator[None]:
    """Weights without a realism setting are installed."""
    with pytest.MonkeyPatch.context() as patch, weights_read_anew():
        patch.setenv(weights.WEIGHTS_VARIABLE, str(plain_weights))
        yield


@pytest.fixture(scope="session")
def codec_with_realism(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    """The installed model with a second synthesis: the first one, brighter by a twentieth of the range."""
    tensors = brighter(load_tensors(find_model("fast")), 0.05)
    return Codec(ReleasedModel.load(install(tmp_path_factory.mktemp("brighter"), tensors)))


@pytest.fixture(scope="session")
def photograph() -> Image.Image:
    """The demo's photograph, 600×400."""
    return Image.open(PHOTOGRAPH).convert("RGB")


@pytest.fixture(scope="session")
def small(photograph: Image.Image) -> Image.Image:
    """A piece of the photograph, 101×67: neither side is a multiple of anything."""
    return photograph.crop((200, 100, 301, 167))


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory, photograph: Image.Image) -> Path:
    """42 small images, cut from the photograph: enough to train on, with one held out."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for number in range(42):
        left, top = int(generator.integers(0, 500)), int(generator.integers(0, 300))
        photograph.crop((left, top, left + 96, top + 80)).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def quick_avif() -> Iterator[None]:
    """AVIF, as a peer, at its fastest: the size of its files does not matter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PEERS["avif"].options, "speed", 10)
        yield


@pytest.fixture(scope="session")
def lpips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of LPIPS's networks, with random weights."""
    from lpips_tensors import save_networks  # which needs torch

    return save_networks(tmp_path_factory.mktemp("lpips"))


@pytest.fixture(scope="session")
def launch() -> Iterator[Callable[..., Any]]:
    """Start Chromium with further flags. Without Chromium or Playwright, which drives it, the tests of pages
    are skipped. Neither comes with the project; CI installs both.
    """
    if not importlib.util.find_spec("playwright"):
        pytest.skip("playwright is not installed")
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as driver:

        def started(*flags: str) -> Any:
            try:
                return driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox", *flags])
            except Error as error:
                if chromium():
                    raise
                pytest.skip(f"no browser is installed: {error}")

        yield started


@pytest.fixture(scope="session")
def browser(launch: Callable[..., Any]) -> Iterator[Any]:
    """Chromium without further flags."""
    started = launch()
    yield started
    started.close()


@pytest.fixture
def view(browser: Any) -> Iterator[Any]:
    """A tab for one test, see `strict_tab`."""
    with strict_tab(browser) as tab:
        yield tab
