"""Retires a release in favour of another: what its files need stays, under the name that they use."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file, save

from rdpcodec.errors import UsageError
from rdpcodec.training.export.graphs import digests, graphs
from rdpcodec.training.export.weights_folder import read_manifest, sharing, write_models
from rdpcodec.weights.architecture import architecture_from
from rdpcodec.weights.tensors import ENCODER_PREFIXES, graph_path

# What a record keeps of a model that only decodes: nothing about training or results, which would suggest
# that it is still in use.
_KEPT = (
    *("file", "size", "architecture", "bitstream_fingerprint", "synthesis_fingerprint"),
    *("dtype", "parameters", "dials", "sha256", "bytes"),
)


def decoding_record(record: Mapping[str, Any], made: Mapping[str, bytes]) -> dict[str, Any]:
    """The manifest's entry for a model that decodes what another one does.

    record: the other's entry. made: its graphs by name.
    """
    kept = {key: record[key] for key in _KEPT}
    return {**kept, "encodes": False, "graphs": digests(made, encodes=False)}


def keep_in_step(manifest: dict[str, Any], name: str, made: Mapping[str, bytes]) -> None:
    """Renew the entries of the models that have their weights in the same file as the model `name`.

    Each keeps its own bitstream fingerprint. made: the model's graphs by name.
    """
    entries = manifest["models"]
    renewed = decoding_record(entries[name], made)
    del renewed["bitstream_fingerprint"]
    for shared in sharing(manifest, name):
        entries[shared] |= renewed


def retire(name: str, folder: Path, *, whole: bool = False) -> str:
    """Turn the model `name` of a folder of weights into one that only decodes. Returns its new name.

    The new name is its size and its fingerprint, as in `fast-3f12d2bd`: its files ask for it by that name.
    whole: keep the encoder's tensors, too, and so the exact bytes that a repository already has. Raises
    `UsageError` when the folder has no such model, or the model already only decodes.
    """
    manifest = read_manifest(folder)
    record = manifest["models"].get(name)
    if record is None or not record.get("encodes", True):
        raise UsageError(f"{folder}: has no model {name!r} that makes files")
    before = record.get("graphs", ())
    retired = f"{record['size']}-{record['bitstream_fingerprint'][:8]}"
    old, new = folder / record["file"], folder / f"{retired}.safetensors"
    blob = old.read_bytes() if whole else _without_encoder(old)
    made = graphs(new.name, blob, architecture_from(record["architecture"]), encodes=False)
    record = {**record, "file": new.name, "sha256": hashlib.sha256(blob).hexdigest(), "bytes": len(blob)}
    shared = sharing(manifest, name)
    manifest["models"] = {key: other for key, other in manifest["models"].items() if key != name}
    manifest["models"][retired] = decoding_record(record, made)
    for other in shared:
        manifest["models"][other]["file"] = new.name
    keep_in_step(manifest, retired, made)
    files = {new: blob, **{graph_path(new, graph): x for graph, x in made.items()}}
    # A model may already have had the name that its files use. Then its old files are the new ones.
    write_models(folder, manifest, files, [old, *(graph_path(old, graph) for graph in before)])
    return retired


def _without_encoder(path: Path) -> bytes:
    tensors = load_file(path)
    return save({key: array for key, array in tensors.items() if not key.startswith(ENCODER_PREFIXES)})
