"""What comes with the repository: released weights, and the photograph of its pages. Also other weights,
installed elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from rdpcodec import codec as codec_module
from rdpcodec.weights import manifest as weights
from rdpcodec.weights.architecture import Architecture, architecture_from
from rdpcodec.weights.manifest import ModelEntry, find_model
from rdpcodec.weights.tensors import REALISM_PREFIX, graph_path, open_tensors

PHOTOGRAPH = Path(__file__).parent.parent / "docs" / "demo" / "coffee.png"


@contextmanager
def weights_read_anew() -> Iterator[None]:
    """As in a new process: nothing loaded before is used, and nothing loaded here is left behind."""
    caches = (weights.manifest, codec_module.loaded_codec)
    try:
        for cache in caches:
            cache.cache_clear()
        yield
    finally:
        for cache in caches:
            cache.cache_clear()


def load_tensors(entry: ModelEntry) -> dict[str, np.ndarray]:
    """The tensors of a model, all in memory, for a test to change."""
    return dict(open_tensors(entry))


def install(folder: Path, tensors: dict[str, np.ndarray]) -> ModelEntry:
    """Write weights of the size `fast`, under that name, to an empty folder, with graphs and manifest."""
    entry = find_model("fast")
    path = folder / entry.path.name
    path.write_bytes(save(tensors))
    record = {
        **entry.record,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "dials": ["quality", "realism"] if any(map(is_realism, tensors)) else ["quality"],
        "graphs": write_graphs(path, architecture_from(entry.record["architecture"])),
    }
    (folder / "manifest.json").write_text(json.dumps({"models": {"fast": record}}))
    return ModelEntry("fast", path, record)


def write_graphs(weights: Path, size: Architecture) -> dict[str, str]:
    """Write the graphs of a release beside its safetensors file. Returns the SHA-256 of each by name."""
    from rdpcodec.training.export.graphs import digests, graphs  # which need onnx

    made = graphs(weights.name, weights.read_bytes(), size)
    for name, graph in made.items():
        graph_path(weights, name).write_bytes(graph)
    return digests(made)


def is_realism(name: str) -> bool:
    """Whether a tensor of a release belongs to its second synthesis."""
    return name.startswith(REALISM_PREFIX)


def brighter(tensors: dict[str, np.ndarray], amount: float) -> dict[str, np.ndarray]:
    """The tensors of a release with another second synthesis: the first one, brighter by `amount` (of 1)."""
    from rdpcodec.model.transforms import PATCH_VALUES, STEP_MIDDLE  # which needs torch

    found = {name: tensor for name, tensor in tensors.items() if not is_realism(name)}
    for name, tensor in tensors.items():
        if name.startswith("synthesis."):
            found[REALISM_PREFIX + name.removeprefix("synthesis.")] = tensor
    name = f"{REALISM_PREFIX}bypass.bias"
    step = amount / (STEP_MIDDLE / 255 * PATCH_VALUES**-0.5)
    found[name] = (found[name].astype(np.float32) + step).astype(found[name].dtype)
    return found
