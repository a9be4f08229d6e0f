"""A folder to put on a web server: the decoder's modules, a page to try it, weights, and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rdpcodec.errors import OutputError
from rdpcodec.files.storage import exists, write_file
from rdpcodec.web.parts import weights_files
from rdpcodec.web.runtime import runtime_files
from rdpcodec.weights.manifest import ModelEntry, manifest

_HERE = Path(__file__).parent
_SUFFIXES = (".js", ".html", ".css")


def own_files() -> dict[str, bytes]:
    """Modules and page by their paths in the folder."""
    paths = (path for path in sorted(_HERE.rglob("*.*")) if path.suffix in _SUFFIXES)
    return {path.relative_to(_HERE).as_posix(): path.read_bytes() for path in paths}


def site_files(runtime: Path, models: Iterable[ModelEntry]) -> dict[str, bytes]:
    """All files of the decoder, by their paths.

    runtime: the npm package onnxruntime-web, a folder or an archive. Raises `UsageError` for anything else,
    and `WeightsError`.
    """
    files = own_files()
    files |= {f"onnxruntime-web/{name}": data for name, data in runtime_files(runtime).items()}
    files |= {f"weights/{name}": data for name, data in weights_files(models).items()}
    return files


def write_folder(folder: Path, runtime: Path, force: bool = False) -> dict[str, int]:
    """Write everything into `folder`, which is made if missing; other files in it stay. Returns the size of
    each file in bytes, by its path.

    runtime: see `site_files`; force: replace files that are there. Raises `UsageError`, `WeightsError` and
    `OutputError`.
    """
    files = site_files(runtime, manifest().values())
    targets = {name: str(folder / name) for name in files}
    present = [] if force else [target for target in targets.values() if exists(target)]
    for name, data in files.items() if not present else ():
        if not write_file(targets[name], data, overwrite=force):
            present.append(targets[name])
    if present:
        raise OutputError(f"{present[0]}: already exists; use --force to overwrite it")
    return {name: len(data) for name, data in files.items()}
