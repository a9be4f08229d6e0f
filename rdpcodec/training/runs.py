"""What defines a training run besides its images and its start. The defaults are the recipe of the release.

Nothing here imports torch: the command line shows these values.
"""

from __future__ import annotations

from dataclasses import dataclass

from rdpcodec.training.schedule import DECAY_SHARE

# What a fidelity run may train. The decoder is all that bitstream and image depend on.
TRAINS = ("everything", "decoder", "synthesis")


@dataclass(frozen=True)
class FidelityRun:
    """What defines a run besides its images and its start."""

    minutes: float | None = None
    gigapixels: float | None = None
    batch: int = 16
    crop: int = 128
    learning_rate: float = 1e-3
    decay: float = DECAY_SHARE
    seed: int = 0
    bfloat16: bool = False
    trains: str = "everything"
    # The realism synthesis's share of the distortion, 0..1.
    perception: float = 0.0
    # The share of the fidelity synthesis's squared error that gives way to SSIMULACRA2, 0..1.
    eyes: float = 0.0
    # The share of the crops that are made graphics, 0..1.
    graphics: float = 0.0
    # Of a new model, a name in `SIZES`; None for that of the start, or "fast".
    size: str | None = None

    @property
    def by_rate(self) -> bool:
        """Whether latents are rounded as the encoder rounds them, and counted so, which needs no noise."""
        return self.trains != "everything"


@dataclass(frozen=True)
class RealismRun:
    """What defines a run besides its images and its start."""

    minutes: float | None = None
    gigapixels: float | None = None
    batch: int = 8
    crop: int = 192
    learning_rate: float = 1e-3
    decay: float = DECAY_SHARE
    adversary: float = 0.3
    seed: int = 0
    bfloat16: bool = False
