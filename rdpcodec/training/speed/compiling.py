"""Compiles what is trained if there is a compiler. It is never needed, and never makes a run fail."""

from __future__ import annotations

import torch
from torch import nn

from rdpcodec.errors import RdpWarning, reason, warn
from rdpcodec.model.blocks import ConvBlock, GatedBlock

# A block is compiled anew for each number of channels, resolution and batch that it meets; the default of 8
# would leave some of them uncompiled.
_VARIANTS = 64


class NotCompiled(RdpWarning):
    """Compiling was asked for but is not possible here: the run goes on without it, more slowly."""


def compiles(device: torch.device) -> bool:
    """Whether torch can compile a block, and its gradients, for a device. Warns with the reason if not."""
    with torch.random.fork_rng(devices=[]):  # a run draws the same numbers with and without
        block = GatedBlock(16).to(device)
    try:
        block.compile(dynamic=False)
        block(torch.zeros(1, 16, 8, 8, device=device)).sum().backward()
    except Exception as error:  # no compiler, no Triton, too old a device: each raises its own kind
        warn(f"not compiled, which is slower: {reason(error)[:200]}", NotCompiled)
        return False
    return True


def compile_blocks(module: nn.Module) -> int:
    """Compile every block of a module in place: each chain of elementwise steps becomes one kernel.

    Equal blocks share what is compiled, so a deep model takes as long as a shallow one. Parameters keep their
    names. Returns the number of blocks.
    """
    from torch._dynamo import config  # takes seconds to import

    config.cache_size_limit = max(config.cache_size_limit, _VARIANTS)
    found = [part for part in module.modules() if isinstance(part, ConvBlock | GatedBlock)]
    for block in found:
        block.compile(dynamic=False)
    return len(found)
