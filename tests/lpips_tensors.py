"""Random weights in the form of LPIPS's networks, named as the lpips package names them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

ALEX = {
    "1.0": (64, 3, 11),
    "2.3": (192, 64, 5),
    "3.6": (384, 192, 3),
    "4.8": (256, 384, 3),
    "5.10": (256, 256, 3),
}
# SqueezeNet 1.1: position in the lpips package, input, squeezed and expanded channels of each fire module.
FIRES = {
    "1.3": (64, 16, 64),
    "1.4": (128, 16, 64),
    "2.6": (128, 32, 128),
    "2.7": (256, 32, 128),
    "3.9": (256, 48, 192),
    "4.10": (384, 48, 192),
    "5.11": (384, 64, 256),
    "6.12": (512, 64, 256),
}


def alex_tensors() -> dict[str, Tensor]:
    """Random weights of the AlexNet form, named as the lpips package names them."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for i, (name, (out, inputs, side)) in enumerate(ALEX.items()):
        weight = torch.randn(out, inputs, side, side, generator=generator)
        tensors[f"net.slice{name}.weight"] = weight / (inputs * side**2) ** 0.5
        tensors[f"net.slice{name}.bias"] = torch.randn(out, generator=generator) / 10
        tensors[f"lin{i}.model.1.weight"] = torch.rand(1, out, 1, 1, generator=generator)
    return tensors


def squeeze_tensors() -> dict[str, Tensor]:
    """Random weights of LPIPS-squeeze's form."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}

    def conv(name: str, out: int, inputs: int, side: int) -> None:
        weight = torch.randn(out, inputs, side, side, generator=generator)
        tensors[f"net.slices.{name}.weight"] = weight * (2 / (inputs * side**2)) ** 0.5
        tensors[f"net.slices.{name}.bias"] = torch.zeros(out)

    conv("0.0", 64, 3, 3)
    for name, (inputs, narrow, wide) in FIRES.items():
        conv(f"{name}.squeeze", narrow, inputs, 1)
        conv(f"{name}.expand1x1", wide, narrow, 1)
        conv(f"{name}.expand3x3", wide, narrow, 3)
    for i, channels in enumerate((64, 128, 256, 384, 384, 512, 512)):
        tensors[f"lin{i}.model.1.weight"] = torch.rand(1, channels, 1, 1, generator=generator)
    return tensors


def save_networks(folder: Path) -> Path:
    """Save both networks where `load_lpips` looks for them in a folder."""
    save_file(alex_tensors(), folder / "lpips-alex.safetensors")
    save_file(squeeze_tensors(), folder / "lpips-squeeze.safetensors")
    return folder
