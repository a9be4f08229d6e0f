"""A larger model that starts as exactly the function that a smaller one has learnt.

After Net2Net (Chen, Goodfellow & Shlens, ICLR 2016), by silence instead of copies: new channels are computed
from the first step on but read with weight zero, and new blocks add zero to what passes them.
"""

from __future__ import annotations

import copy
from dataclasses import asdict

import torch
from torch import Tensor, nn

from rdpcodec.errors import UsageError
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.transforms import Architecture, Synthesis

# What may grow; the rest belongs to latents and prior, where new channels would not be silent.
_GROWING = ("eighth", "sixteenth", "analysis_blocks", "synthesis_blocks")
# The last layers of the two halves of a block, whose output is added to what passes.
_LAST_LAYERS = (".spatial_out.", ".narrow.")


def grown(model: RdpModel, architecture: Architecture) -> RdpModel:
    """A model of `architecture` that codes and decodes as `model` does.

    Raises `UsageError` where a stack would lose blocks or channels, or anything else differ.
    """
    check_growth(model.architecture, architecture)
    larger = RdpModel(architecture)
    _start_as(larger, model)
    return larger


def grown_synthesis(
    synthesis: Synthesis, old: Architecture, architecture: Architecture, fresh: Synthesis | None = None
) -> Synthesis:
    """`grown` for a realism synthesis, which is of the `old` architecture.

    fresh: of the new one; its new channels are taken, silent as they are here, in place of random ones.
    """
    check_growth(old, architecture)
    larger = copy.deepcopy(fresh) if fresh else Synthesis(architecture)
    _start_as(larger, synthesis)
    return larger


def check_growth(old: Architecture, new: Architecture) -> None:
    """Raise `UsageError` unless `new` is `old`, or larger where it may grow."""
    before, after = asdict(old), asdict(new)
    for name, value in before.items():
        fits = after[name] == value
        if name in _GROWING:
            pairs = (
                zip(value, after[name], strict=True) if isinstance(value, tuple) else [(value, after[name])]
            )
            fits = all(large >= small for small, large in pairs)
        if not fits:
            raise UsageError(f"a model with {name} = {value} cannot grow into one with {after[name]}")


@torch.no_grad()
def _start_as(larger: nn.Module, smaller: nn.Module) -> None:
    known = dict(smaller.named_parameters())
    for name, parameter in larger.named_parameters():
        if name in known and known[name].shape == parameter.shape:
            parameter.copy_(known[name])
        elif name in known:
            # The layer that widens has four quarters, each of which grows.
            quarters = 4 if ".widen." in name else 1
            _embed(parameter.unflatten(0, (quarters, -1)), known[name].unflatten(0, (quarters, -1)))
        elif any(layer in name for layer in _LAST_LAYERS):
            parameter.zero_()


def _embed(new: Tensor, old: Tensor) -> None:
    """Put `old` first along every axis of `new`; what it says of old channels must not depend on new ones."""
    if old.ndim == 3:  # matrices, by quarters
        new[:, : old.shape[1], old.shape[2] :] = 0
    new[tuple(slice(size) for size in old.shape)] = old
