"""The files of a model: tensors and graphs, verified, and the fingerprint of tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rdpcodec.errors import WeightsError, reason
from rdpcodec.weights.manifest import ModelEntry

if TYPE_CHECKING:
    import numpy as np

# A context network and its tables, in models that code hyper-latents in context.
CONTEXT_PREFIX = "context."
# Whatever decides how symbols are read or what the encoder subtracted from the latents. Changing any of it
# makes old files unreadable; the rest of the decoder may be improved at any time.
BITSTREAM_PREFIXES = (CONTEXT_PREFIX, "scale.", "tables.", "mean_network.")
SYNTHESIS_PREFIXES = ("synthesis.",)
# A second synthesis, in models that have a realism setting.
REALISM_PREFIX = "realism."
# What only encoding or training needs; models of earlier versions may lack it.
ENCODER_PREFIXES = ("analysis.", "hyper_analysis.", "hyper_prior.", "residual_density.")


class LazyTensors(Mapping[str, "np.ndarray"]):
    """The tensors of a safetensors file. Each is read when it is asked for; pickling reads all."""

    def __init__(self, path: Path, without: tuple[str, ...] = ()) -> None:
        """without: the prefixes of names that are left out."""
        from safetensors import safe_open

        self._file = safe_open(path, "numpy")
        self._names = [name for name in list(self._file.keys()) if not name.startswith(without)]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        tensor: np.ndarray = self._file.get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __reduce__(self) -> tuple[object, ...]:
        return dict, (dict(self),)


def open_tensors(entry: ModelEntry) -> LazyTensors:
    """The tensors of a model, as stored: without torch, coding needs few of them.

    Raises `WeightsError` when the file is missing or not what the manifest says.
    """
    _verify(entry.path, entry.record["sha256"])
    try:
        return LazyTensors(entry.path, without=() if entry.has_context else (CONTEXT_PREFIX,))
    except Exception as error:  # safetensors raises a kind of its own, and passes on others
        raise WeightsError(f"{entry.path}: are not weights: {reason(error)}; reinstall rdpcodec") from error


def verified_graphs(entry: ModelEntry) -> dict[str, Path]:
    """The files of a model's ONNX graphs by name; none for weights that were exported without.

    Raises `WeightsError` when one is missing or not what the manifest says.
    """
    graphs = {}
    for name, digest in entry.record.get("graphs", {}).items():
        graphs[name] = graph_path(entry.path, name)
        _verify(graphs[name], digest)
    return graphs


def graph_path(weights: Path, name: str) -> Path:
    """The path of a graph: beside the weights that it reads, as ONNX requires for external data."""
    return weights.with_suffix(f".{name}.onnx")


def _verify(path: Path, digest: str) -> None:
    """Raise `WeightsError` unless a file has its SHA-256 from the manifest."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}; reinstall rdpcodec") from error
    if found != digest:
        raise WeightsError(f"{path}: damaged (its SHA-256 is not the manifest's); reinstall rdpcodec")


def fingerprint(tensors: Mapping[str, np.ndarray], prefixes: tuple[str, ...]) -> str:
    """SHA-256, hexadecimal, over name, type, shape and little-endian bytes of the tensors whose names begin
    with a prefix.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        if name.startswith(prefixes):
            array = tensors[name]
            digest.update(f"{name} {array.dtype.name} {array.shape}\n".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()
