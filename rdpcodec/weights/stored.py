"""Where tensors lie in a safetensors file, for code that reads or shares it without loading all of it."""

from __future__ import annotations

import json
from typing import NamedTuple


class StoredTensor(NamedTuple):
    """Where a safetensors file keeps a tensor. start: where its bytes begin, from the start of the file."""

    kind: str
    shape: tuple[int, ...]
    start: int
    length: int


def stored_tensors(blob: bytes) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file by name."""
    size = int.from_bytes(blob[:8], "little")
    stored = {}
    for name, entry in json.loads(blob[8 : 8 + size]).items():
        if name != "__metadata__":
            first, end = entry["data_offsets"]
            stored[name] = StoredTensor(entry["dtype"], tuple(entry["shape"]), 8 + size + first, end - first)
    return stored
