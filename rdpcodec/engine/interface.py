"""What an engine is: the networks of one model, NumPy arrays in and out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from rdpcodec.format.symbols import Symbols

Features = Any
"""What an engine's `features` returns. Only the engine knows what it is."""


class Engine(Protocol):
    """Runs the networks of one released model. Holds no state between calls."""

    latents: int
    """Channels N of the latents."""
    hyper_latents: int
    """Channels M of the hyper-latents."""
    analysis_margin: int
    """How far the analysis sees beyond a latent, in pixels, a multiple of 16."""
    synthesis_margin: int
    """How far the synthesis sees beyond a latent, in pixels, a multiple of 16."""

    def prepare(self, realism: float) -> None:
        """Begin to load the networks that turn symbols into pixels at a realism, and return at once."""

    def features(self, pixels: np.ndarray) -> Features:
        """Pixels, uint8 `[B, H, W, 3]` → the part of the analysis that all qualities share."""

    def analyse(self, features: Features, quality: float) -> np.ndarray:
        """`features` → latents, float32 `[B, N, ⌈H/16⌉, ⌈W/16⌉]`, at a quality 0..100."""

    def to_symbols(self, latents: np.ndarray, quality: float) -> list[Symbols]:
        """Latents `[B, N, h, w]` → the symbols of each tile."""

    def tables(self, hyper: np.ndarray, quality: float, size: tuple[int, int]) -> np.ndarray:
        """Hyper-latents, int32 `[B, M, ⌈h/4⌉, ⌈w/4⌉]` → the table of every residual, uint8 `[B, N, h, w]`,
        for `size` (h, w). The same on every machine, to the last bit.
        """

    def from_symbols(self, symbols: Sequence[Symbols], quality: float) -> np.ndarray:
        """Symbols of B tiles → latents, float32 `[B, N, h, w]`."""

    def synthesise(self, latents: np.ndarray, quality: float, realism: float) -> np.ndarray:
        """Latents `[B, N, h, w]` → pixels, uint8 `[B, 16·h, 16·w, 3]`, at a realism 0..1."""

    def with_gradients(self) -> Any:
        """A `TorchEngine` of the same weights. Raises `UsageError` where torch is not installed."""
