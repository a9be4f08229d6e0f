"""Tasks of a run, and images that keep it waiting."""

from __future__ import annotations

import os
import time
from pathlib import Path

from rdpcodec.batch.plan import Task, plan
from rdpcodec.batch.work import Work

DEADLINE = 180  # seconds; nothing here takes as long, however busy the machine is


def tasks_for(
    sources: list[object], destination: object, work: Work, *, recursive: bool = False
) -> list[Task]:
    return plan(
        list(map(str, sources)),
        str(destination),
        extensions=work.extensions(),
        suffix=work.suffix,
        recursive=recursive,
    ).tasks


def slow_image(path: Path) -> Path:
    """An image whose reader has to wait until the descriptor from `reader_of` is closed."""
    os.mkfifo(path)
    return path


def reader_of(path: Path) -> int:
    """Wait until somebody reads a slow image; returns the descriptor that keeps the reader waiting."""
    end = time.monotonic() + DEADLINE
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody yet
            assert time.monotonic() < end
            time.sleep(0.02)
