"""The weights as browsers load them: of each model only what decodes, in parts that are fetched when needed.

A part holds stretches of the release's safetensors file. The decoder puts them where they lie in that file,
since that is where the graphs look. File names hold the CRC-32 of the contents, so that caches may keep them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import Any

from rdpcodec.errors import WeightsError
from rdpcodec.weights.manifest import ModelEntry
from rdpcodec.weights.release import ReleasedModel
from rdpcodec.weights.stored import StoredTensor, stored_tensors
from rdpcodec.weights.tensors import CONTEXT_PREFIX, REALISM_PREFIX

# What each part holds, by the prefixes of tensors' names.
_PARTS = {
    "integers": ("scale.", "tables.", CONTEXT_PREFIX),
    "means": ("mean_network.",),
    "synthesis": ("synthesis.",),
    "realism": (REALISM_PREFIX,),
}
# The graphs that decode.
_GRAPHS = ("first_means", "second_means", "synthesis", "realism")


def weights_files(models: Iterable[ModelEntry]) -> dict[str, bytes]:
    """The files of models by name, with `models.json`, which lists them by fingerprint.

    Raises `WeightsError` for weights that are damaged or have no graphs.
    """
    files: dict[str, bytes] = {}
    records = {}
    for entry in models:
        records[entry.fingerprint.hex()] = _add_model(files, entry)
    files["models.json"] = json.dumps(records, separators=(",", ":")).encode()
    return files


def _add_model(files: dict[str, bytes], entry: ModelEntry) -> dict[str, Any]:
    """Add a model's files. Returns its record in `models.json`."""
    released = ReleasedModel.load(entry)
    if not released.has_graphs:
        raise WeightsError(
            f"model {entry.name!r} was exported without the graphs that a browser needs: "
            "`rdpcodec train graphs FOLDER` adds them"
        )
    blob = entry.path.read_bytes()
    tensors = stored_tensors(blob)
    parts: dict[str, dict[str, Any]] = {}
    for part, prefixes in _PARTS.items():
        ranges = _ranges(tensor for name, tensor in tensors.items() if name.startswith(prefixes))
        if ranges:
            data = b"".join(blob[start : start + length] for start, length in ranges)
            parts[part] = {"file": _add(files, f"{entry.path.stem}.{part}", "bin", data), "ranges": ranges}
    graphs = {
        name: _add(files, f"{entry.path.stem}.{name}", "onnx", path.read_bytes())
        for name, path in released.graphs.items()
        if name in _GRAPHS
    }
    size = released.architecture
    return {
        "name": entry.name,
        "latents": size.latents,
        "hyper_latents": size.hyper_latents,
        "context": released.context is not None,
        "margin": size.synthesis_margin,
        "file": entry.path.name,
        "bytes": len(blob),
        "integers": {
            name: tensor._asdict() for name, tensor in tensors.items() if name.startswith(_PARTS["integers"])
        },
        "parts": parts,
        "graphs": graphs,
    }


def _add(files: dict[str, bytes], stem: str, suffix: str, data: bytes) -> str:
    """Add a file. Returns its name."""
    name = f"{stem}.{zlib.crc32(data):08x}.{suffix}"
    files[name] = data
    return name


def _ranges(tensors: Iterable[StoredTensor]) -> list[list[int]]:
    """The stretches of a file that tensors fill: start and length of each."""
    ranges: list[list[int]] = []
    for tensor in sorted(tensors, key=lambda tensor: tensor.start):
        if ranges and sum(ranges[-1]) == tensor.start:
            ranges[-1][1] += tensor.length
        else:
            ranges.append([tensor.start, tensor.length])
    return ranges
