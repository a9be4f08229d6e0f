"""How many threads each of several parallel processes may use."""

from __future__ import annotations

import torch


def threads_a_process(processes: int) -> int:
    """An equal share, at least 1, of the threads that torch may use here, which `OMP_NUM_THREADS` sets."""
    return max(1, torch.get_num_threads() // processes)
