"""Random numbers of a run: every process starts from equal weights and draws its own crops."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rdpcodec.training.loop import process_rank


def own_seed(seed: int, rank: int, steps: int = 0) -> int:
    """A seed for one process of a run, which goes on after `steps` steps. The first process begins with the
    run's own seed; no two others draw the same numbers.
    """
    if rank == steps == 0:
        return seed
    (drawn,) = np.random.SeedSequence([seed, rank, steps]).generate_state(1, np.uint64)
    return int(drawn) >> 1  # torch takes 63 bits


class Randomness:
    """Two generators from one seed: one for crops and qualities, and torch's own for weights and noise."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.generator = torch.Generator()
        self._begin(seed)

    def seed_per_rank(self) -> None:
        """Let every process draw its own numbers from here on."""
        self._begin(own_seed(self.seed, process_rank()))

    def state(self) -> dict[str, Any]:
        """This process's state, for a checkpoint."""
        generators = {"generator": self.generator.get_state(), "torch_generator": torch.get_rng_state()}
        return {**generators, "seed": self.seed}

    def load(self, state: dict[str, Any], steps: int) -> None:
        """Go on after `steps` steps.

        The state is that of the first process. The others draw anew, and all do if the seed has changed.
        """
        if process_rank() == 0 and state.get("seed", self.seed) == self.seed:
            self.generator.set_state(state["generator"].cpu())
            torch.set_rng_state(state["torch_generator"].cpu())
        else:
            self._begin(own_seed(self.seed, process_rank(), steps))

    def _begin(self, seed: int) -> None:
        self.generator.manual_seed(seed)
        torch.manual_seed(seed)
