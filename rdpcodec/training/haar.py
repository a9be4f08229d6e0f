"""The model that a run starts from: a given one, or a new one, which begins as a Haar transform of the
training images' patches.
"""

from __future__ import annotations

from pathlib import Path

import torch

from rdpcodec.errors import UsageError
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.transforms import haar_basis, start_from_basis
from rdpcodec.tiles import PATCH
from rdpcodec.training.checkpoint import load_start
from rdpcodec.training.data import ImageSet, random_patches
from rdpcodec.weights.architecture import SIZES, Architecture

# Enough to order 768 variances; more would change a few of the last rows that are kept.
BASIS_PATCHES = 40_000


def first_model(
    init: Path | None, size: str | None, images: ImageSet, generator: torch.Generator
) -> RdpModel:
    """The model to start from, on the device of the images: that of `init`, or a new one.

    Raises `UsageError` when `init` does not fit or does not have the size that is asked for.
    """
    if init is None:
        return haar_model(SIZES[size or "fast"], images, generator)
    start = load_start(init)
    if size and start.architecture != SIZES[size]:
        raise UsageError(f"{init}: these weights are not of size {size!r}: leave --size out")
    return start.to(images.pixels.device)


def haar_model(architecture: Architecture, images: ImageSet, generator: torch.Generator) -> RdpModel:
    """Make a new model, on the device of the images, whose bypass is a Haar transform of their patches."""
    model = RdpModel(architecture).to(images.pixels.device)
    patches = random_patches(images, BASIS_PATCHES, PATCH, generator)
    mean, basis = haar_basis(patches.cpu().double().numpy(), architecture.latents)
    start_from_basis(model.analysis, model.synthesis, mean, basis)
    return model
