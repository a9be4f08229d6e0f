"""A new model, which begins as a Haar transform of the training images' patches."""

from __future__ import annotations

import torch

from rdpcodec.format.tiles import PATCH
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.transforms import haar_basis, start_from_basis
from rdpcodec.training.images.image_set import ImageSet, random_patches
from rdpcodec.weights.architecture import Architecture

# Enough to order 768 variances; more would change a few of the last rows that are kept.
BASIS_PATCHES = 40_000


def haar_model(architecture: Architecture, images: ImageSet, generator: torch.Generator) -> RdpModel:
    """Make a new model, on the device of the images, whose bypass is a Haar transform of their patches."""
    model = RdpModel(architecture).to(images.pixels.device)
    patches = random_patches(images, BASIS_PATCHES, PATCH, generator)
    mean, basis = haar_basis(patches.cpu().double().numpy(), architecture.latents)
    start_from_basis(model.analysis, model.synthesis, mean, basis)
    return model
