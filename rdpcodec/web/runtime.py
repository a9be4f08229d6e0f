"""ONNX Runtime for browsers: the files of the npm package onnxruntime-web that the decoder loads.

Two of its builds are taken, 14 and 17 MB of WebAssembly: a plain one, and one with WebGPU. They are not part
of this package. Users bring them: the folder that `npm install` makes, or the archive from `npm pack`.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

from rdpcodec.errors import UsageError, reason

VERSION = "1.30.0"
"""The version that the decoder was tested with."""
_PLAIN = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_WITH_GPU = ("ort.jspi.min.mjs", "ort-wasm-simd-threaded.jspi.mjs", "ort-wasm-simd-threaded.jspi.wasm")
FILES = _PLAIN + _WITH_GPU
HOW = (
    f"get it with `npm pack onnxruntime-web@{VERSION}` and give "
    f"--onnxruntime-web onnxruntime-web-{VERSION}.tgz, or give the folder node_modules/onnxruntime-web"
)


def runtime_files(source: Path) -> dict[str, bytes]:
    """The files by name. source: a folder or an archive of the package. Raises `UsageError` for any other."""
    try:
        if source.is_dir():
            return _read(lambda name: (source / "dist" / name).read_bytes())
        with tarfile.open(source) as archive:
            return _read(lambda name: _member(archive, f"package/dist/{name}"))
    except tarfile.ReadError as error:  # which lists what each kind of compression says
        raise UsageError(f"{source}: is neither a folder nor an archive; {HOW}") from error
    except (OSError, KeyError, EOFError, tarfile.TarError) as error:
        raise UsageError(
            f"{source}: is not the npm package onnxruntime-web ({reason(error)}); {HOW}"
        ) from error


def _read(read: Callable[[str], bytes]) -> dict[str, bytes]:
    return {name: read(name) for name in FILES}


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    """A plain file of an archive. Raises `KeyError` where there is none."""
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(f"{name} is not a file")
    return file.read()
