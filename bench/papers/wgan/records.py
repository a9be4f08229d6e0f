"""Keeps trainings from being repeated: their records are in a folder of checkpoints, or in results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bench.record import write_record
from rdpcodec.errors import UsageError


def kept_or_made(path: Path, settings: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The record in `path`, or what `make` returns, which is then kept there with its settings.

    Raises `UsageError` if the record was made with other settings, or is damaged.
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


def kept_results(path: Path) -> dict[str, Any]:
    """The results of an earlier run, as a command wrote them; empty if there is no file.

    Raises `UsageError` if the file is damaged.
    """
    if not path.exists():
        return {}
    try:
        results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not a file of results: {error}; remove it, or leave out --keep") from error
    return results


def restore_record(path: Path, record: dict[str, Any]) -> None:
    """Write a record to the folder of checkpoints where `kept_or_made` finds it, unless there is another."""
    if not path.exists():
        write_record(path, record)


def first_images(paths: Iterable[Path]) -> np.ndarray | None:
    """The images in the first of these files that exists, or None: kept results have theirs where they were
    trained.
    """
    return next((np.load(path) for path in paths if path.exists()), None)
