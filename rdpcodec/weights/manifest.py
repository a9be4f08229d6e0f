"""Manifest → verified tensors: the weights that ship with the package, and the two fingerprints that tell
them apart.

Importing this module, and reading the manifest, does not import NumPy.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rdpcodec.container import Header
from rdpcodec.errors import UsageError, WeightsError, reason
from rdpcodec.operating_point import AUTO, OperatingPoint
from rdpcodec.weights.architecture import architecture_from, size_name

if TYPE_CHECKING:
    import numpy as np

# A folder of weights and manifest, as `rdpcodec export` writes it, in place of the released ones.
WEIGHTS_VARIABLE = "RDPCODEC_WEIGHTS"
# In an installed package the weights lie inside it, in a checkout beside it.
_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (_PACKAGE / "released_weights", _PACKAGE.parent / "weights")
DEFAULT_MODEL = "fast"

# Whatever decides how symbols are read or what the encoder subtracted from the latents. Changing any of it
# makes old files unreadable; the rest of the decoder may be improved at any time.
BITSTREAM_PREFIXES = ("scale.", "tables.", "mean_network.")
SYNTHESIS_PREFIXES = ("synthesis.",)
# A second synthesis, in models that have a realism setting.
REALISM_PREFIX = "realism."
# What only encoding or training needs; models of earlier versions may lack it.
ENCODER_PREFIXES = ("analysis.", "hyper_analysis.", "hyper_prior.", "residual_density.")


# What coding needs from a model's record.
_NEEDED = {"file": str, "sha256": str, "bitstream_fingerprint": str, "architecture": dict, "dials": list}


class Identity(NamedTuple):
    """What identifies weights, and what they can do."""

    name: str  # of the model, for messages
    size: str  # of the networks, a name in `container.SIZE_NUMBERS`
    fingerprint: bytes  # of the bitstream-defining weights, 4 bytes
    has_realism: bool  # whether they have the realism setting
    encodes: bool  # whether they make files, see `ModelEntry.encodes`

    def __str__(self) -> str:
        fingerprint = self.fingerprint.hex()
        return self.name if self.name.endswith(fingerprint) else f"{self.name}-{fingerprint}"

    def check_file(self, header: Header) -> None:
        """Raise `WeightsError` for a file made with other weights."""
        if header.fingerprint != self.fingerprint:
            own = f"{self.size}-{self.fingerprint.hex()}"
            raise WeightsError(f"the file needs weights {header.weights}, this codec holds {own}")

    def check_encodes(self) -> None:
        """Raise `WeightsError` when weights of an earlier version are asked for a file."""
        if not self.encodes:
            raise WeightsError(
                f"model {self.name!r} decodes files of an earlier version and makes none: "
                f"{', '.join(encoders())} does"
            )

    def check_point(self, point: OperatingPoint) -> None:
        """Raise `UsageError` when a point has a realism and the weights lack that setting. They take "auto"
        for 0.
        """
        if point.realism not in (0, AUTO) and not self.has_realism:
            raise UsageError(
                f"realism {point.realism}: the weights of model {self.name!r} have no realism setting: "
                "leave it at 0"
            )


class ModelEntry(NamedTuple):
    """One model of the manifest."""

    name: str
    path: Path
    record: dict[str, Any]

    @property
    def fingerprint(self) -> bytes:
        """The fingerprint of the bitstream-defining weights that a file stores, 4 bytes."""
        return bytes.fromhex(self.record["bitstream_fingerprint"])[:4]

    @property
    def encodes(self) -> bool:
        """Whether the model makes files. One of an earlier version only decodes those that it made."""
        return bool(self.record.get("encodes", True))

    @property
    def weights(self) -> Identity:
        """What tells the model's weights apart, and what they can do."""
        size = size_name(architecture_from(self.record["architecture"]))
        return Identity(self.name, size, self.fingerprint, "realism" in self.record["dials"], self.encodes)


@cache
def manifest() -> dict[str, ModelEntry]:
    """The installed models by name, or those of the folder that `RDPCODEC_WEIGHTS` names.

    Raises `WeightsError` if there are none, or the manifest is damaged.
    """
    own = os.environ.get(WEIGHTS_VARIABLE)
    for folder in (Path(own),) if own else _FOLDERS:
        path = folder / "manifest.json"
        if path.is_file():
            try:
                return _models_of(path)
            except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
                raise WeightsError(f"{path}: is not a manifest of weights: {reason(error)}") from error
    raise WeightsError(
        f"{own}: {WEIGHTS_VARIABLE} names a folder without a manifest.json"
        if own
        else "no weights are installed: reinstall rdpcodec"
    )


def _models_of(path: Path) -> dict[str, ModelEntry]:
    """The models of a manifest. Raises `ValueError`, `LookupError`, `TypeError` or `AttributeError` when the
    file is not a manifest.
    """
    models: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["models"]
    entries = {}
    for name, record in models.items():
        for key, kind in _NEEDED.items():
            if not isinstance(record.get(key), kind):
                raise ValueError(f"model {name} has no {key}")
        entries[name] = entry = ModelEntry(name, path.parent / record["file"], record)
        if len(entry.fingerprint) != 4:
            raise ValueError(f"the fingerprint of model {name} is too short")
    return entries


def encoders() -> list[str]:
    """The names of the installed models that make files."""
    return [name for name, entry in manifest().items() if entry.encodes]


def find_model(name: str) -> ModelEntry:
    """The manifest's entry for a model, by its name or as files name it, with its fingerprint. Raises
    `WeightsError` for an unknown name, or what is not a name.
    """
    named = {f"{entry.name}-{entry.fingerprint.hex()}": entry for entry in manifest().values()} | manifest()
    try:
        return named[name]
    except (KeyError, TypeError):
        raise WeightsError(f"there is no model {name!r}; installed: {', '.join(encoders())}") from None


def model_for_file(header: Header) -> ModelEntry:
    """The installed model whose weights a file needs, whatever its name. Raises `WeightsError` if there is
    none.
    """
    for entry in manifest().values():
        if entry.fingerprint == header.fingerprint:
            return entry
    installed = ", ".join(f"{entry.name}-{entry.fingerprint.hex()}" for entry in manifest().values())
    raise WeightsError(f"the file needs weights {header.weights}; installed: {installed}")


def model_name(header: Header) -> str:
    """The name here of the weights that a file needs, or the size of their networks where they are not
    installed.
    """
    try:
        return model_for_file(header).name
    except WeightsError:
        return header.size


def hours_by_device(training: dict[str, Any]) -> str:
    """How long the training behind weights took on each kind of device, in words."""
    return " and ".join(f"{hours:.2g} hours on {device}" for device, hours in training["hours"].items())


class LazyTensors(Mapping[str, "np.ndarray"]):
    """The tensors of a safetensors file. Each is read when it is asked for; pickling reads all."""

    def __init__(self, path: Path) -> None:
        from safetensors import safe_open

        self._file = safe_open(path, "numpy")
        self._names = list(self._file.keys())

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
        return LazyTensors(entry.path)
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
