"""Files on disk, or behind any URL that fsspec knows: read, and written whole or not at all.

Locations are strings, a path or a URL. What is being written has another name until it is complete; a process
that is killed leaves that behind, and `remove_partials` takes it away.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rdpcodec.errors import OutputError, UsageError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_PARTIAL = re.compile(r"(.*/)\.([^/]+)\.[0-9a-f]{8}\.partial")


def filesystem(location: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a path or URL, and the absolute path in it.

    Raises `UsageError` for a URL that fsspec, as installed, does not know.
    """
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    if not is_url(location):
        return LocalFileSystem(), os.path.abspath(location)
    try:
        system, path = fsspec.url_to_fs(location)
    except (ValueError, ImportError) as error:
        raise UsageError(f"{location}: {error}") from error
    return system, str(path)


def is_url(location: str) -> bool:
    """Whether a location is a URL rather than a path."""
    return "://" in location


def is_local(system: AbstractFileSystem) -> bool:
    """Whether a file system is this machine's."""
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(system, LocalFileSystem)


def read_file(location: str, limit: int | None = None) -> bytes:
    """The bytes of a file, or its first `limit`. Raises `OutputError` with the system's reason."""
    system, path = filesystem(location)
    try:
        if is_local(system):
            with open(path, "rb") as file:
                return file.read(-1 if limit is None else limit)
        return system.cat_file(path, 0, limit)
    except OSError as error:
        raise OutputError(f"{location}: cannot be read: {_reason(error)}") from error


def size(location: str) -> int:
    """A file's size in bytes. Raises `OutputError`."""
    system, path = filesystem(location)
    try:
        return int(system.size(path))
    except OSError as error:
        raise OutputError(f"{location}: cannot be read: {_reason(error)}") from error


def exists(location: str) -> bool:
    """Whether there is a file or folder."""
    system, path = filesystem(location)
    return bool(system.exists(path))


def write_file(location: str, data: bytes) -> None:
    """Write a file and the folders it is in, over what may be there. Raises `OutputError`."""
    system, path = filesystem(location)
    try:
        if is_local(system):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            replace_file(Path(path), data)
        else:
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            system.pipe_file(partial := _partial(path), data)
            system.mv(partial, path)
    except OSError as error:
        raise OutputError(f"{location}: cannot be written: {_reason(error)}") from error


def replace_file(path: Path, data: bytes) -> None:
    """Write a file of this machine in an existing folder: to another name, then renamed. Raises `OSError`."""
    partial = Path(_partial(str(path)))
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def existing(locations: Iterable[str]) -> set[str]:
    """Those of the files that are there. Lists each folder once, however many files it has."""
    return {wanted[path] for _, wanted, present in _folders(locations) for path in present if path in wanted}


def remove_partials(locations: Iterable[str]) -> None:
    """Remove what killed processes left of writing these files."""
    for system, wanted, present in _folders(locations):
        for path in present:
            partial = _PARTIAL.fullmatch(path)
            if partial and partial[1] + partial[2] in wanted:
                system.rm_file(path)


def _folders(
    locations: Iterable[str],
) -> Iterator[tuple[AbstractFileSystem, dict[str, str], list[str]]]:
    """For each folder: its file system, the locations in it by path, and the paths that are there."""
    folders: dict[tuple[AbstractFileSystem, str], dict[str, str]] = {}
    for location in locations:
        system, path = filesystem(location)
        folders.setdefault((system, path.rpartition("/")[0]), {})[path] = location
    for (system, folder), wanted in folders.items():
        if system.isdir(folder):
            yield system, wanted, system.ls(folder, detail=False)


def _partial(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}.{secrets.token_hex(4)}.partial"


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
