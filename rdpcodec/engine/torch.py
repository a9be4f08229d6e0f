"""The networks of a released model, run by torch on a processor or a GPU.

Arrays go in and come out; tensors stay inside. The search for better symbols (`rdpcodec.encoder.refine`)
needs gradients and reaches through to `network`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rdpcodec.engine.threads import chosen_threads
from rdpcodec.entropy.tables import ESCAPE_LIMIT
from rdpcodec.format import container
from rdpcodec.format.symbols import Symbols, hyper_reach
from rdpcodec.format.tiles import PATCH
from rdpcodec.model.integer_scales import IntegerScaleNetwork
from rdpcodec.model.released import networks
from rdpcodec.model.rounding import TableBits, round_by_rate
from rdpcodec.model.transforms import AnalysisFeatures, Synthesis
from rdpcodec.weights.release import ReleasedModel

Method = TypeVar("Method", bound=Callable[..., Any])


def _alone(method: Method) -> Method:
    """A method that computes alike whatever its caller asks of torch. Under a caller's autocast, bfloat16
    would round the sums of the integer path, and no decoder would find the tables again.
    """

    @wraps(method)
    def alone(self: TorchEngine, *args: Any, **kwargs: Any) -> Any:
        with torch.inference_mode(), torch.autocast(self.device.type, enabled=False):
            return method(self, *args, **kwargs)

    return cast(Method, alone)


class TorchEngine:
    """See `rdpcodec.engine.interface.Engine`. Holds no state between calls; may be shared between threads."""

    @torch.inference_mode(False)  # a caller's would forbid gradients for good
    def __init__(self, released: ReleasedModel, device: torch.device) -> None:
        """Put the networks on `device`. Raises `WeightsError` when the tensors do not fit together."""
        _survive_forks()
        if threads := chosen_threads():
            torch.set_num_threads(threads)
        self.device, size = device, released.architecture
        self.network, self.realism_synthesis = networks(released, device)
        self.shares = released.shares  # of the distortion, for searches that minimise it
        self.latents, self.hyper_latents = size.latents, size.hyper_latents
        self.analysis_margin, self.synthesis_margin = size.analysis_margin, size.synthesis_margin
        self.scale_network = IntegerScaleNetwork(released.scale, device)
        # The cost of residuals, elementwise and on the device, for the encoder to weigh.
        self.residual_bits = TableBits(torch.from_numpy(released.latent_tables.costs()).to(device))
        self._hyper_tables = released.hyper_tables

    def prepare(self, realism: float) -> None:
        """See `Engine.prepare`. Everything is loaded already."""

    @_alone
    def features(self, pixels: np.ndarray) -> AnalysisFeatures:
        """See `Engine.features`."""
        return self.network.analysis.features(self.padded(pixels))

    @_alone
    def analyse(self, features: AnalysisFeatures, quality: float) -> np.ndarray:
        """See `Engine.analyse`."""
        y = self.network.analysis.latents(features, self.quality(quality, len(features.bypass)))
        return y.cpu().numpy()

    @_alone
    def to_symbols(self, latents: np.ndarray, quality: float) -> list[Symbols]:
        """See `Engine.to_symbols`."""
        y, q = self.batch(latents), self.quality(quality, len(latents))
        z = torch.floor(self.network.hyper_latents(y) + 0.5)
        reach = torch.from_numpy(hyper_reach(self._hyper_tables, z.shape[1:], quality)).to(z)
        z = torch.maximum(torch.minimum(z, reach), -reach)
        tables = self._tables(z, quality, y.shape[2:])
        limit = float(ESCAPE_LIMIT)

        def rounded(mean: Tensor) -> Tensor:
            return round_by_rate(y - mean, tables, q, self.residual_bits).clamp_(-limit, limit)

        passed = self.network.mean_network.two_pass(self._mean_features(z, q, y.shape[2:]), rounded)
        integers = (z.int(), tables, passed.residual.int())
        return [Symbols(*parts) for parts in zip(*(part.cpu().numpy() for part in integers), strict=True)]

    @_alone
    def tables(self, hyper: np.ndarray, quality: float, size: tuple[int, int]) -> np.ndarray:
        """See `Engine.tables`."""
        return self._tables(torch.from_numpy(hyper).to(self.device), quality, size).cpu().numpy()

    @_alone
    def from_symbols(self, symbols: Sequence[Symbols], quality: float) -> np.ndarray:
        """See `Engine.from_symbols`."""
        z = self.batch(np.stack([s.hyper for s in symbols]))
        residual = self.batch(np.stack([s.residual for s in symbols]))
        q = self.quality(quality, len(symbols))
        features = self._mean_features(z, q, residual.shape[2:])
        return self.network.mean_network.two_pass(features, lambda _: residual).latents.cpu().numpy()

    @_alone
    def synthesise(self, latents: np.ndarray, quality: float, realism: float) -> np.ndarray:
        """See `Engine.synthesise`."""
        syntheses = self.network.synthesis, self.realism_synthesis
        x = mixed(*syntheses, self.batch(latents), self.quality(quality, len(latents)), realism)
        pixels = x.clamp_(0, 1).mul_(255).round_().to(torch.uint8)
        return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def with_gradients(self) -> TorchEngine:
        """See `Engine.with_gradients`."""
        return self

    def _tables(self, z: Tensor, quality: float, size: Sequence[int]) -> Tensor:
        tables = self.scale_network.tables(z, container.stored_quality(quality))
        return tables[:, :, : size[0], : size[1]]

    def _mean_features(self, z: Tensor, q: Tensor, size: Sequence[int]) -> Tensor:
        return self.network.mean_network.features(z, q)[:, :, : size[0], : size[1]]

    def padded(self, pixels: np.ndarray) -> Tensor:
        """Pixels, uint8 `[B, H, W, 3]`, as the networks take them: float32 `[B, 3, H, W]` in [0, 1], edges
        repeated up to multiples of 16.
        """
        x = self.batch(pixels.transpose(0, 3, 1, 2)).div_(255)
        x = F.pad(x, (0, -x.shape[3] % PATCH, 0, -x.shape[2] % PATCH), mode="replicate")
        return x.contiguous(memory_format=torch.channels_last)

    def batch(self, array: np.ndarray) -> Tensor:
        """An array `[B, C, H, W]` as a float tensor on the device, channels last, for 1×1 convolutions."""
        tensor = torch.from_numpy(array).to(self.device).float()
        return tensor.contiguous(memory_format=torch.channels_last)

    def quality(self, quality: float, count: int) -> Tensor:
        """The quality exactly as the file stores it, once per image."""
        rounded = container.rounded_quality(quality)
        return torch.full((count,), rounded, device=self.device, dtype=torch.float32)


def mixed(fidelity: Synthesis, realistic: Synthesis | None, y: Tensor, q: Tensor, realism: float) -> Tensor:
    """x(β) = x_fidelity + β · (x_realism - x_fidelity), one synthesis where β is 0 or 1.

    Mixtures reach every point between the two decoders (Yan, Wen & Liu 2022; Freirich, Michaeli & Meir 2021).
    """
    if realism == 0 or realistic is None:
        return fidelity(y, q)
    if realism == 1:
        return realistic(y, q)
    return torch.lerp(fidelity(y, q), realistic(y, q), realism)


@cache
def _survive_forks() -> None:
    """Let processes forked from now on work with one thread. They inherit OpenMP's record of its other
    threads but not the threads themselves, and would wait for them for ever.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
