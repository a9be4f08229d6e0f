"""A lock that a forked process finds open, whoever held it: other threads do not survive the fork."""

from __future__ import annotations

import os
import threading


class ForkLock:
    """A `threading.Lock` for `with` blocks, made anew in every forked process."""

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()
