"""A lock that a forked process finds open, whoever held it: other threads do not survive the fork."""

from __future__ import annotations

import os
import threading


class ForkLock:
    """A `threading.Lock`, made anew in every forked process. Take it as `with fork_lock.lock:`.

    The lock itself is given out, because an interrupt within an `__enter__` or `__exit__` that is written in
    Python would leave it locked for ever.
    """

    lock: threading.Lock

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self.lock = threading.Lock()
