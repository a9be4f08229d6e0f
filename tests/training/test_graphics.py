from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rdpcodec.training.images.graphics import graphics
from rdpcodec.training.objectives.fidelity import Fidelity
from rdpcodec.training.settings import FidelitySettings


def test_graphics_are_the_same_for_a_seed_and_differ_between_seeds() -> None:
    one, again, other = (np.stack(graphics(4, 96, seed)) for seed in (1, 1, 2))
    assert one.shape == (4, 96, 96, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("side", [64, 100, 256])
def test_any_side_can_be_drawn(side: int) -> None:
    assert all(image.shape == (side, side, 3) for image in graphics(30, side, 5))


def test_graphics_are_unlike_photographs() -> None:
    images = np.stack(graphics(60, 128, 7)).astype(int)
    # Most neighbours are equal, and the steps between the others are large.
    steps = np.abs(np.diff(images, axis=2)).max(-1)
    assert np.mean(steps == 0) > 0.6
    assert np.mean(steps[steps > 0] > 60) > 0.2
    # Pure colours are there.
    assert np.mean((images.max(-1) == 255) & (images.min(-1) == 0)) > 0.05


def test_a_run_takes_its_share_of_crops_from_graphics(image_folder: Path, small_model: Path) -> None:
    run = FidelitySettings(gigapixels=1.0, batch=200, crop=64, graphics=0.1)
    objective = Fidelity(run, image_folder, torch.device("cpu"), init=small_model)
    assert objective.drawn is not None
    objective.drawn.pixels.fill_(255)
    x, *_ = objective.batch()
    assert 10 <= int(x.amin((1, 2, 3)).eq(1).sum()) <= 32
