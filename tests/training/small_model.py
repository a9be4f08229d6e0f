"""A small model on which training is tested: what is tested does not depend on the size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rdpcodec.training.checkpoints import haar
from rdpcodec.training.checkpoints.haar import haar_model
from rdpcodec.training.export import context, counting, export
from rdpcodec.training.images import validation
from rdpcodec.training.images.image_set import load_images
from rdpcodec.training.objectives import fidelity
from rdpcodec.weights.architecture import Architecture, architecture_record

SMALL = Architecture(eighth=16, sixteenth=24, latents=96, hyper_latents=8, prior=16, scale=8)
# Stands in for the size `large`.
GATED = replace(SMALL, analysis_blocks=(1, 1), synthesis_blocks=(1, 1), gated=True)
SMALLER = {
    haar: {"BASIS_PATCHES": 3000},
    validation: {"SIDE": 64, "CROPS": 3},
    counting: {"CALIBRATION_CROPS": 4, "CALIBRATION_SIDE": 64},
    context: {"SMALLEST_SIDE": 64, "QUALITIES_PER_IMAGE": 2, "STEPS": 60},
    export: {"HELD_OUT_CROPS": 2},
    fidelity: {"GRAPHICS_IMAGES": 2, "GRAPHICS_SIDE": 64},
}


@contextmanager
def smaller_constants() -> Iterator[None]:
    """Validate and calibrate on crops that fit into the tests' images, and with few graphics.

    Use one thread: at this size a second one costs more than it gives.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        for module, constants in SMALLER.items():
            for name, value in constants.items():
                patch.setattr(module, name, value)
        yield
    torch.set_num_threads(threads)


def write_small_model(folder: Path, data: Path) -> Path:
    """Weights of a new model to start from, with the manifest that states their architecture."""
    images, _ = load_images(data, 64, torch.device("cpu"))
    torch.manual_seed(0)
    with smaller_constants():
        model = haar_model(SMALL, images, torch.Generator().manual_seed(0))
    path = folder / "small.safetensors"
    save_file(model.state_dict(), path)
    record = {"file": path.name, "architecture": architecture_record(SMALL)}
    (folder / "manifest.json").write_text(json.dumps({"models": {"small": record}}))
    return path
