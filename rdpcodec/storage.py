"""Reads files on disk, or behind any URL that fsspec knows, and writes them whole or not at all.

Locations are strings: a path or a URL. A file that is being written, a partial, has another name until it is
complete. A killed process leaves its partial behind, and `remove_partials` removes it. A partial that a
running process of this machine is writing is locked, and stays.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rdpcodec.errors import OutputError, UsageError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_PARTIAL = re.compile(r"(.*/)\.([^/]+)\.[0-9a-f]{8}\.partial")
_LONGEST_NAME = 255  # bytes, on every file system in common use
_LONGEST_STEM = _LONGEST_NAME - len("..01234567.partial")
# Until a partial is locked, another run may take it for one left behind.
_ATTEMPTS = 5


def filesystem(location: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a path or URL, and the absolute path in it.

    Raises `UsageError` for a URL that the installed fsspec does not know.
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
    """Whether there is a file, folder or link of that name. A link that leads nowhere counts."""
    system, path = filesystem(location)
    return os.path.lexists(path) if is_local(system) else bool(system.exists(path))


def make_folder(location: str) -> None:
    """Make a folder and its parents, unless they exist. Raises `OutputError`.

    Behind a URL nothing is made, since many stores have no folders without files.
    """
    if not is_url(location):
        try:
            os.makedirs(location, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{location}: cannot be created: {_reason(error)}") from error


def write_file(location: str, data: bytes) -> None:
    """Write a file, over an existing one, and make the folders it is in. Raises `OutputError`."""
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
    """Write a file of this machine in an existing folder: under another name first, then renamed.

    A link is followed to the file it leads to. A file that exists keeps its mode and owner. Raises `OSError`,
    also for a pipe, a device or a folder: those are never replaced.
    """
    before = replaceable(path)
    target = os.path.realpath(path)
    for attempt in range(1, _ATTEMPTS + 1):
        partial = Path(_partial(target))
        try:
            with partial.open("xb") as file:
                _lock(file)
                if before is not None:
                    _own_as(file, before)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, target)
            return
        except FileNotFoundError:
            if attempt == _ATTEMPTS or not partial.parent.is_dir():
                raise
        finally:
            partial.unlink(missing_ok=True)


def replace_files(files: Mapping[Path, bytes]) -> None:
    """Write files of this machine in existing folders: all under other names first, then renamed in order.
    Raises `OSError`, as `replace_file` does; then no file is replaced, unless it was renaming that failed.
    """
    with ExitStack() as partials:
        written = []
        for path, data in files.items():
            before, target = replaceable(path), os.path.realpath(path)
            partial = Path(_partial(target))
            file = partials.enter_context(partial.open("xb"))
            partials.callback(partial.unlink, missing_ok=True)
            _lock(file)
            if before is not None:
                _own_as(file, before)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            written.append((partial, target))
        for partial, target in written:
            os.replace(partial, target)


def replaceable(path: Path) -> os.stat_result | None:
    """The status of the file at a path, links followed; None if there is no file yet. Raises `OSError`
    unless it is a file that may be replaced.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(None, "it is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(None, "it is a pipe or a device, and those are never replaced")
    return found


def _own_as(file: IO[bytes], before: os.stat_result) -> None:
    """Give an open file the mode and owner of another, if the system has them. Raises `PermissionError`."""
    if not hasattr(os, "fchown"):
        return
    now = os.fstat(file.fileno())
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        try:
            os.fchown(file.fileno(), before.st_uid, before.st_gid)
        except PermissionError as error:
            reason = "it belongs to another user or group, and would be yours: delete it first"
            raise PermissionError(error.errno, reason) from error
    os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))


def _lock(file: IO[bytes]) -> bool:
    """Lock an open file for as long as it is open. Returns whether nobody else had locked it. On Windows open
    files cannot be removed, which is lock enough.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def existing(locations: Iterable[str]) -> set[str]:
    """The files among these that exist. Lists each folder once, however many files it has."""
    return {wanted[path] for _, wanted, present in _folders(locations) for path in present if path in wanted}


def remove_partials(locations: Iterable[str]) -> None:
    """Remove partials of these files that killed processes left behind, but none that is being written."""
    for system, wanted, present in _folders(locations):
        stems = {_stem(path) for path in wanted}
        for path in present:
            match = _PARTIAL.fullmatch(path)
            if match and match[1] + match[2] in stems:
                with suppress(OSError):  # another run was faster, or is writing it
                    _remove_partial(system, path)


def _remove_partial(system: AbstractFileSystem, path: str) -> None:
    if not is_local(system):
        system.rm_file(path)
        return
    with open(path, "r+b") as file:
        if _lock(file):
            os.unlink(path)


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
    folder, slash, name = _stem(path).rpartition("/")
    return f"{folder}{slash}.{name}.{secrets.token_hex(4)}.partial"


def _stem(path: str) -> str:
    """The path that a file's partials are named after: its own, unless their names would be too long."""
    folder, slash, name = path.rpartition("/")
    encoded = os.fsencode(name)
    return path if len(encoded) <= _LONGEST_STEM else folder + slash + hashlib.sha256(encoded).hexdigest()


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
