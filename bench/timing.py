"""How long something takes."""

from __future__ import annotations

import time
from collections.abc import Callable


def seconds(action: Callable[[], object], repeats: int) -> float:
    """The shortest of several runs: the time that the work takes when nothing disturbs it."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)
