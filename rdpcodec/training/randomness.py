"""Random numbers of a run: equal weights at the start everywhere, other crops in every process."""

from __future__ import annotations

from typing import Any

import torch

from rdpcodec.training.loop import process_rank


class Randomness:
    """A generator for crops and qualities, beside torch's own for weights and noise, both from one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.generator = torch.Generator()
        self._begin(seed)

    def seed_per_rank(self) -> None:
        """From here on every process draws its own numbers."""
        self._begin(self.seed + 1000 * process_rank())

    def state(self) -> dict[str, Any]:
        """This process's state, for a checkpoint."""
        generators = {"generator": self.generator.get_state(), "torch_generator": torch.get_rng_state()}
        return {**generators, "seed": self.seed}

    def load(self, state: dict[str, Any], steps: int) -> None:
        """Go on after `steps` steps. The state is the first process's: the others draw anew, and all do where
        the seed is another.
        """
        if process_rank() == 0 and state.get("seed", self.seed) == self.seed:
            self.generator.set_state(state["generator"].cpu())
            torch.set_rng_state(state["torch_generator"].cpu())
        else:
            self._begin(self.seed + 1000 * process_rank() + steps)

    def _begin(self, seed: int) -> None:
        self.generator.manual_seed(seed)
        torch.manual_seed(seed)
