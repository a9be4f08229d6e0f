"""A folder of weights as training writes it: a manifest, and files that change together or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rdpcodec.errors import UsageError, reason
from rdpcodec.files.whole_files import replace_files

MANIFEST = "manifest.json"


def read_manifest(folder: Path) -> dict[str, Any]:
    """A folder's manifest, or one without models if it has none. Raises `UsageError` when it is damaged."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"models": {}}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: is not a manifest of weights: {reason(error)}") from error
    models = manifest.get("models") if isinstance(manifest, dict) else None
    if not isinstance(models, dict) or not all(isinstance(record, dict) for record in models.values()):
        raise UsageError(f"{path}: is not a manifest of weights: it lists no models")
    return dict(manifest)


def sharing(manifest: dict[str, Any], name: str) -> list[str]:
    """The other models of a manifest that have their weights in the same file as the model `name`."""
    models = manifest["models"]
    file = models[name]["file"]
    return [other for other, record in models.items() if other != name and record.get("file") == file]


def write_models(
    folder: Path, manifest: dict[str, Any], files: Mapping[Path, bytes], old: Iterable[Path]
) -> None:
    """Write files of weights and graphs, and then the manifest that names them.

    Nothing is replaced until everything is on disk. old: files that an earlier manifest named, to be removed
    unless they have just been written.
    """
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    replace_files({**files, folder / MANIFEST: text.encode()})
    for path in set(old) - files.keys():
        path.unlink(missing_ok=True)
