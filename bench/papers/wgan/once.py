"""What was trained and measured is not trained again: records kept in a folder of checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.record import write_record
from rdpcodec.errors import UsageError


def once(path: Path, settings: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The record in `path`, or what `make` returns, which is then kept there with its settings.

    Raises `UsageError` where the record was made with other settings, or is damaged.
    """
    if path.exists():
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            found = record["settings"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path}: not a record of a training: {error}; remove it") from error
        if found != settings:
            raise UsageError(f"{path}: is of another plan; remove it, or name another folder with --runs")
        return record
    record = {**make(), "settings": settings}
    write_record(path, record)
    return record
