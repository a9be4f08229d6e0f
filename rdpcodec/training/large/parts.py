"""The schedule of `large`: half-hour parts on a GPU with 80 GB, each of which can be the last.

Nothing here imports torch: the command line shows these values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rdpcodec.training.settings import FidelitySettings, RealismSettings

# What is left of a machine's half hour after it has started and read the images.
MINUTES = 24.0


@dataclass(frozen=True)
class Part:
    """One part: what it does, in words, and its settings without the budget."""

    what: str
    settings: FidelitySettings | RealismSettings
    # Whether it takes over weights and averages as they are. Otherwise it starts from the averages alone.
    goes_on: bool = False
    # Whether its weights are judged at the end.
    judged: bool = False


# Trains on large batches in bfloat16, for squared error and eyes; the second synthesis comes later.
_FIDELITY = FidelitySettings(bfloat16=True, learning_rate=2e-3)


PARTS = {
    1: Part(
        "from scratch, at a constant learning rate",
        replace(_FIDELITY, seed=1, batch=64, crop=256, decay=0, size="large"),
    ),
    2: Part(
        "the same, then judged",
        replace(_FIDELITY, seed=2, batch=64, crop=256, decay=0),
        goes_on=True,
        judged=True,
    ),
    3: Part(
        "larger crops, at a learning rate that falls to zero",
        replace(_FIDELITY, seed=3, batch=16, crop=512, decay=1),
        goes_on=True,
    ),
    4: Part(
        "encoder frozen: prior, and both syntheses",
        replace(_FIDELITY, seed=4, batch=32, crop=256, decay=1, trains="decoder", perception=0.5),
    ),
    5: Part("adversary", RealismSettings(seed=5, bfloat16=True, batch=32, crop=256)),
}
