"""What the formulas of blocks are made of, written out."""

from __future__ import annotations

import torch

from rdpcodec.model.blocks import Pointwise


def wsilu(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(4 * x)


def mixed(x: torch.Tensor, layer: Pointwise) -> torch.Tensor:
    """A 1×1 convolution with the layer's weight and bias, without its gain."""
    product = torch.einsum("oi,bihw->bohw", layer.weight, x)
    return product if layer.bias is None else product + layer.bias[:, None, None]
