"""The schedule of `large`: parts of half an hour on a GPU of 80 GB, each of which can be the last.

Nothing here imports torch: the command line shows these values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rdpcodec.training.recipes import FidelityRun, RealismRun

# Of a machine's half hour, what is left after it has started and read the images.
MINUTES = 24.0


@dataclass(frozen=True)
class Part:
    """One part: what it does, in words, and the run that it is but for its budget."""

    what: str
    run: FidelityRun | RealismRun
    # Whether it takes over weights and averages as they are. Otherwise it starts from the averages alone.
    goes_on: bool = False
    # Whether it ends with a look at what the weights are worth.
    judged: bool = False


# On large batches in bfloat16, for squared error and eyes; the second synthesis comes later.
_FIDELITY = FidelityRun(bfloat16=True, learning_rate=2e-3)


PARTS = {
    1: Part(
        "from scratch, at a rate that stays",
        replace(_FIDELITY, seed=1, batch=64, crop=256, decay=0, size="large"),
    ),
    2: Part(
        "the same, then judged",
        replace(_FIDELITY, seed=2, batch=64, crop=256, decay=0),
        goes_on=True,
        judged=True,
    ),
    3: Part(
        "larger crops, at a rate that falls",
        replace(_FIDELITY, seed=3, batch=16, crop=512, decay=1),
        goes_on=True,
    ),
    4: Part(
        "encoder frozen: prior, and both syntheses",
        replace(_FIDELITY, seed=4, batch=32, crop=256, decay=1, trains="decoder", perception=0.5),
    ),
    5: Part("adversary", RealismRun(seed=5, bfloat16=True, batch=32, crop=256)),
}
