"""The entropy of latents' symbols, and a new start for latents that have none left."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.papers.digits.codec import Codecs
from bench.papers.wgan.data import Bytes
from bench.papers.wgan.networks import GroupedLinear

DEAD = 0.1  # bits: 99 of 100 images get the same symbol
_BATCH = 1000


def entropies(codecs: Codecs, images: Bytes, device: torch.device) -> Tensor:
    """Bits of each latent's symbols, coded with their own frequencies over uint8 images `[N, 1, 28, 28]`:
    float64 `[M, dimension]` on the CPU.
    """
    levels = codecs.bottleneck.levels
    rng = torch.Generator().manual_seed(7)
    counts: Tensor | float = 0.0
    was = codecs.standardise.training
    codecs.standardise.eval()
    for start in range(0, len(images), _BATCH):
        x = torch.tensor(images[start : start + _BATCH]).to(device).float() / 255
        draw = codecs.draw(len(x), rng)
        condition = None if draw.condition is None else draw.condition.to(device)
        with torch.no_grad():
            symbols = codecs.encode(x, draw.noise[0].to(device), condition)
        counts = counts + nn.functional.one_hot(symbols.long(), levels).sum(0).double()
    codecs.standardise.train(was)
    counts = torch.as_tensor(counts).cpu()
    shares = counts / counts.sum(-1, keepdim=True)
    return -(shares * shares.clamp(min=1e-12).log2()).sum(2)


def revive(
    codecs: Codecs, optimiser: torch.optim.Optimizer, images: Bytes, device: torch.device, seed: int
) -> int:
    """Give latents under `DEAD` bits new weights and a fresh state of Adam's; returns how many there were.

    optimiser: that of the codecs' parameters.
    """
    dead = (entropies(codecs, images, device) < DEAD).nonzero().tolist()
    last = codecs.encoder.layers[-1]
    assert isinstance(last, GroupedLinear)
    rng = torch.Generator().manual_seed(seed)
    inputs = last.weight.shape[1]
    for model, latent in dead:
        fresh = torch.randn(inputs, generator=rng) / inputs**0.5
        last.weight.data[model, :, latent] = fresh.to(last.weight.device)
        for name in ("exp_avg", "exp_avg_sq"):
            if name in optimiser.state[last.weight]:
                optimiser.state[last.weight][name][model, :, latent] = 0
    return len(dead)
