"""Records of measurements: JSON, and the machine they were made on. Files are written whole or not at all."""

from __future__ import annotations

import json
import math
import platform
from pathlib import Path
from typing import Any

import numpy as np

from rdpcodec.errors import OutputError, UsageError, reason
from rdpcodec.files.whole_files import replace_file


def rounded(value: Any, nulls: bool = True) -> Any:
    """A value in a form that JSON accepts: numbers to six digits, arrays as lists.

    nulls: whether numbers that are not finite become null, as browsers need, or stay.
    """
    if isinstance(value, dict):
        return {key: rounded(item, nulls) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [rounded(item, nulls) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return None if nulls and not math.isfinite(value) else float(f"{value:.6g}")
    return value


def number_text(number: float) -> str:
    """A number with all of its digits, and no more: 5, 0.25, 1234567."""
    return str(int(number)) if float(number).is_integer() else repr(float(number))


def read_record(path: Path) -> Any:
    """The content of a JSON file. Raises `UsageError` if it cannot be read, or is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {reason(error)}") from error
    except ValueError as error:
        raise UsageError(f"{path}: no JSON: {error}") from error


def write_record(path: Path, record: Any, indent: int | None = None) -> None:
    """Write a record as JSON and create its folders; without an indent it takes a single line.

    Raises `OutputError`.
    """
    separators = (",", ":") if indent is None else None
    text = json.dumps(record, indent=indent, separators=separators, ensure_ascii=False)
    write_file(path, f"{text}\n".encode())


def write_file(path: Path, data: bytes) -> None:
    """Write a file and create its folders. Raises `OutputError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {reason(error)}") from error


def machine() -> dict[str, Any]:
    """The versions and threads that timings and other formats' files depend on."""
    import PIL
    import torch
    from PIL import features

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "pillow": PIL.__version__,
        "libavif": features.version("avif"),
    }
