"""What defines a training run besides its images and its start, and how it is launched.

The defaults are the recipe of the released weights, as far as all their runs agree. Nothing here imports
torch: the command line shows these values.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rdpcodec.errors import UsageError

# What a fidelity run may train, and the parts of `RdpModel` that are frozen in each case. The decoder is
# everything that the bitstream and the image depend on.
FROZEN: dict[str, tuple[str, ...]] = {
    "everything": (),
    "decoder": ("analysis", "hyper_analysis"),
    "synthesis": (
        "analysis",
        "hyper_analysis",
        "hyper_prior",
        "scale_network",
        "mean_network",
        "residual_density",
    ),
}
TRAINS = tuple(FROZEN)


@dataclass(frozen=True)
class RunSettings:
    """What every run has: its budget, crops, schedule and arithmetic. One of `minutes` and `gigapixels` is
    given.
    """

    # The budget: of wall-clock time, or of crops.
    minutes: float | None = None
    gigapixels: float | None = None
    # Crops a step and process, and their side in pixels.
    batch: int = 16
    crop: int = 128
    # At its peak.
    learning_rate: float = 1e-3
    # The share of the budget, at its end, in which the learning rate falls to zero, 0..1. The usual range is
    # 20-40 %; short runs want the longer end.
    decay: float = 0.35
    # The share of the realism synthesis's distortion that gives way to one of texture, 0..1.
    texture: float = 0.5
    # The lowest and the highest quality that crops are coded at, 0..100.
    qualities: tuple[float, float] = (0.0, 100.0)
    seed: int = 0
    bfloat16: bool = False

    def __post_init__(self) -> None:
        """Raises `UsageError` when there are no such qualities."""
        low, high = self.qualities
        if not 0 <= low < high <= 100:
            raise UsageError(f"--qualities {low:g} {high:g}: give a lower and a higher one, within 0..100")


@dataclass(frozen=True)
class FidelitySettings(RunSettings):
    """What defines a fidelity run besides its images and its start."""

    trains: str = "everything"
    # The share of the crops whose distortion is that of the realism synthesis, 0..1.
    perception: float = 0.0
    # The share of the fidelity synthesis's squared error that gives way to SSIMULACRA2, 0..1.
    eyes: float = 0.5
    # The share of it that gives way to errors of means over 2 to 16 pixels, 0..1.
    coarse: float = 0.3
    # The share of the crops that are drawn graphics, 0..1.
    graphics: float = 0.08
    # The size of a new model, a name in `SIZES`. None: that of the start, or "fast".
    size: str | None = None

    def __post_init__(self) -> None:
        """Raises `UsageError` when squared error would have a negative weight, or when `perception` is no
        whole number of crops.
        """
        super().__post_init__()
        if self.eyes + self.coarse > 1:
            raise UsageError(
                f"--eyes {self.eyes:g} and --coarse {self.coarse:g} are shares of one squared error: "
                "together at most 1"
            )
        crops = self.perception * self.batch
        if abs(crops - round(crops)) > 1e-6:
            raise UsageError(
                f"--perception {self.perception:g} of --batch {self.batch} is {crops:g} crops: "
                "it must be a whole number"
            )

    @property
    def perceived(self) -> int:
        """How many crops of a batch are judged by what the realism synthesis makes of them."""
        return round(self.perception * self.batch)

    @property
    def by_rate(self) -> bool:
        """Whether latents are rounded, and their bits counted, as in the encoder, without noise."""
        return self.trains != "everything"


@dataclass(frozen=True)
class RealismSettings(RunSettings):
    """What defines a realism run besides its images and its start."""

    batch: int = 8
    learning_rate: float = 7e-4
    # The strength of the adversary's gradient, as a multiple of the distortion's.
    adversary: float = 1.0
    # The share of the distortion that gives way to one of the discriminator's frozen features, 0..1.
    features: float = 0.0
    # The share of the budget before the adversary joins, 0..1.
    warmup: float = 0.25


@dataclass(frozen=True)
class Launch:
    """Where and how a run is trained, which may differ when it is resumed."""

    # The folder of the run: checkpoint and log.
    out: Path
    # None: a GPU if there is one.
    device: str | None = None
    # Whether to go on from the folder's checkpoint.
    resume: bool = False
    checkpoint_minutes: float = 4.0
