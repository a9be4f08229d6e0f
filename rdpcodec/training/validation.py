"""The held-out crops and the qualities on which every run is validated."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from rdpcodec.training.data import ImageSet, load_images

QUALITIES = (5.0, 25.0, 45.0, 65.0, 85.0)
# One size for all runs, so that their validation losses can be compared.
SIDE = 256
CROPS = 24


def load_training_and_validation(data: Path, crop: int, device: torch.device) -> tuple[ImageSet, Tensor]:
    """Load the images below `data`: those to train on, and crops `[CROPS, 3, SIDE, SIDE]` of the rest.

    crop: side of the crops to train on, in pixels. Raises `UsageError` when there are too few images.
    """
    training, held_out = load_images(data, max(crop, SIDE), device, held_out_side=SIDE)
    return training, held_out.crops(CROPS, SIDE, torch.Generator().manual_seed(1))
