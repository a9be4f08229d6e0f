"""How many threads the networks may use in this process, with any engine."""

from __future__ import annotations

import os
from numbers import Integral

from rdpcodec.errors import UsageError

_chosen: int | None = None
# Threads that a runtime is asked for: with far more it hangs, and the system may have no room for them.
MOST_THREADS = 1024


def use_threads(count: int) -> None:
    """Let networks use `count` threads. Applies to networks that are loaded afterwards: ONNX Runtime loads
    each when it is first used. Raises `UsageError` unless `count` is a whole number from 1 to 1024.
    """
    global _chosen
    if isinstance(count, bool) or not isinstance(count, Integral) or not 1 <= count <= MOST_THREADS:
        raise UsageError(f"{count!r} threads: give a whole number from 1 to {MOST_THREADS}")
    _chosen = int(count)


def chosen_threads() -> int | None:
    """The count given to `use_threads`, otherwise in the variable `OMP_NUM_THREADS`; None without either.

    That variable may hold a list, for threads that start threads: the first count is ours.
    """
    if _chosen is not None:
        return _chosen
    told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if not told.isdecimal():
        return None
    return min(int(told[:9]), MOST_THREADS) or None  # nine digits are far over `MOST_THREADS`


def wait_briefly() -> None:
    """Let torch's threads sleep soon while they wait for each other, unless the environment says how long.

    For our own programs, before torch is imported. By default these threads look 300 000 times (libgomp), and
    take the cores from whatever else runs: beside other work, effort 1 then took five to ten times as long.
    With 1000 looks an idle machine is as fast as before.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "1000"


def cores() -> int:
    """The processor cores that this process may use, 1024 at most."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, MOST_THREADS)
