"""How many threads each of some processes side by side may use."""

from __future__ import annotations

import torch


def threads_a_process(processes: int) -> int:
    """An equal share of this process's threads, at least 1: `OMP_NUM_THREADS`, or the machine's cores."""
    return max(1, torch.get_num_threads() // processes)
