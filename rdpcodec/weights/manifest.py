"""The manifest: which models are installed, under which names, and which of them a file needs.

Importing this module, and reading the manifest, does not import NumPy.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from rdpcodec.errors import UsageError, WeightsError, reason
from rdpcodec.format.container import Header
from rdpcodec.operating_point import AUTO, OperatingPoint
from rdpcodec.weights.architecture import architecture_from, size_name

# A folder of weights and manifest, as `rdpcodec export` writes it, in place of the released ones.
WEIGHTS_VARIABLE = "RDPCODEC_WEIGHTS"
# In an installed package the weights lie inside it, in a checkout beside it.
_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (_PACKAGE / "released_weights", _PACKAGE.parent / "weights")
DEFAULT_MODEL = "fast"

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
    def has_context(self) -> bool:
        """Whether files of the model use the weights' context network. A record may stand for the files of a
        time before the weights had one.
        """
        return bool(self.record.get("context", True))

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
            except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
                raise WeightsError(f"{path}: is not a manifest of weights: {reason(error)}") from error
    raise WeightsError(
        f"{own}: {WEIGHTS_VARIABLE} names a folder without a manifest.json"
        if own
        else "no weights are installed: reinstall rdpcodec"
    )


def _models_of(path: Path) -> dict[str, ModelEntry]:
    """The models of a manifest. Raises `ValueError`, `LookupError`, `TypeError`, `AttributeError` or
    `RecursionError` when the file is not a manifest.
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
    installed = ", ".join(str(entry.weights) for entry in manifest().values())
    raise WeightsError(
        f"the file needs weights {header.weights}, but installed are {installed}: a newer rdpcodec may have "
        f"them; for weights that you trained, set {WEIGHTS_VARIABLE} to their folder"
    )


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
