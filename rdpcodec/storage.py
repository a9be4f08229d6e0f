"""Reads files on disk, or behind any URL that fsspec knows, and writes them whole or not at all.

Locations are strings: a path or a URL. A file that is being written, a partial, has another name until it is
complete. A process that is killed, or loses its connection to a store, leaves its partial behind, and
`remove_partials` removes it. A partial that a running process of this machine is writing is locked, and
stays.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rdpcodec.errors import OutputError, RdpError, UsageError, reason

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_PARTIAL = re.compile(r"\.(.+)\.[0-9a-f]{8}\.partial", re.DOTALL)
_LONGEST_NAME = 255  # bytes, on every file system in common use
_LONGEST_STEM = _LONGEST_NAME - len("..01234567.partial")
# Before a partial is locked, and once it is closed, another run may take it for one left behind.
_ATTEMPTS = 5


def filesystem(location: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a path or URL, and the absolute path in it.

    Raises `UsageError` for a URL that the installed fsspec does not know, one whose store cannot be reached,
    and a chain of URLs, since files below a chain have no URLs of their own.
    """
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    if not is_url(location):
        return LocalFileSystem(), _absolute(location)
    if "::" in location:
        fix = "unpack the archive, or rename the file"
        raise UsageError(f"{location}: '::' makes a chain of URLs, which cannot be used: {fix}")
    try:
        system, path = url_to_fs(location)
    except Exception as error:  # stores raise their own kinds
        raise UsageError(f"{location}: cannot be opened: {reason(error)}") from error
    return system, _absolute(path) if is_local(system) else str(path)


def _absolute(path: str) -> str:
    """An absolute path of this machine with "/" between its parts: fsspec writes them so on Windows too."""
    return Path(os.path.abspath(path)).as_posix()


def is_url(location: str) -> bool:
    """Whether a location is a URL rather than a path."""
    return "://" in location


def is_local(system: AbstractFileSystem) -> bool:
    """Whether a file system is this machine's."""
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(system, LocalFileSystem)


@contextmanager
def failures(location: str, what: str) -> Iterator[None]:
    """Raise what a file system raises as `OutputError`: that a location "cannot be read", say, and why.
    Behind a URL that is any exception, since stores raise their own kinds.
    """
    try:
        yield
    except RdpError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and not is_url(location):
            raise
        raise OutputError(f"{location}: cannot be {what}: {reason(error)}") from error


def read_file(location: str, limit: int | None = None) -> bytes:
    """The bytes of a file, or its first `limit`. Raises `OutputError` with the system's reason."""
    system, path = filesystem(location)
    with failures(location, "read"):
        if is_local(system):
            with open(path, "rb") as file:
                return file.read(-1 if limit is None else limit)
        return system.cat_file(path, 0, limit)


def size(location: str) -> int:
    """A file's size in bytes. Raises `OutputError`."""
    system, path = filesystem(location)
    with failures(location, "read"):
        return int(system.size(path))


def exists(location: str) -> bool:
    """Whether there is a file, folder or link of that name. A link that leads nowhere counts. Raises
    `OutputError` if a store does not say.
    """
    system, path = filesystem(location)
    with failures(location, "checked"):
        return os.path.lexists(path) if is_local(system) else bool(system.exists(path))


def refuse_empty(name: str) -> None:
    """Raise `UsageError` for an empty name, as unset variables of a shell give it. To `os.path.abspath`,
    `Path` and fsspec it is the current folder, also as an empty URL.
    """
    if name in ("", "file://", "local://"):
        raise UsageError(f"{name!r} names no file or folder: is a variable of the shell not set?")


def make_folder(location: str) -> None:
    """Make a folder and its parents, unless they exist. Raises `OutputError`.

    Behind a URL nothing is made, since many stores have no folders without files.
    """
    if not is_url(location):
        with failures(location, "created"):
            os.makedirs(location, exist_ok=True)


def write_file(location: str, data: bytes, *, overwrite: bool = True) -> bool:
    """Write a file, and make the folders it is in. Returns whether it was written: without `overwrite`, what
    has its name stays as it is. Raises `OutputError`.

    Of several runs that write one file of this machine without `overwrite`, only one does.
    """
    if not overwrite and exists(location):
        return False
    system, path = filesystem(location)
    with failures(location, "written"):
        if not is_local(system):
            system.makedirs(os.path.dirname(path), exist_ok=True)
            _upload(system, path, data)
            return True
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if overwrite:
            replace_file(Path(path), data)
            return True
        try:
            create_file(Path(path), data)
        except FileExistsError:
            return False
        return True


def _upload(system: AbstractFileSystem, path: str, data: bytes) -> None:
    """Write a file in a store, in an existing folder: under another name first, then renamed."""
    partial = _partial(path)
    try:
        system.pipe_file(partial, data)
        system.mv(partial, path)
    except BaseException:
        with suppress(Exception):  # what went wrong first is what counts
            system.rm_file(partial)
        raise


def replace_file(path: Path, data: bytes) -> None:
    """Write a file of this machine in an existing folder: under another name first, then renamed.

    A link is followed to the file it leads to. A file that exists keeps its mode and owner. Raises `OSError`,
    also for a pipe, a device or a folder: those are never replaced.
    """
    replace_files({path: data})


def create_file(path: Path, data: bytes) -> None:
    """Write a file of this machine as `replace_file` does, but never over another. Raises `OSError`:
    `FileExistsError` if there is anything of that name, even if it appears while this one is being written.
    """
    if os.path.lexists(path):
        raise _taken(path)
    partial = _Partial(path, data)
    try:
        partial.rename(overwrite=False)
    finally:
        partial.remove()


def replace_files(files: Mapping[Path, bytes]) -> None:
    """Write files of this machine in existing folders: all under other names first, then renamed in order.
    Raises `OSError`, as `replace_file` does; then no file is replaced, unless it was renaming that failed.
    """
    with ExitStack() as stack:
        partials = []
        for path, data in files.items():
            partials.append(partial := _Partial(path, data))
            stack.callback(partial.remove)
        for partial in partials:
            partial.rename()


class _Partial:
    """What is to replace a file of this machine: on the disk under another name, and locked until renamed."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._before, self._target, self._data = replaceable(path), os.path.realpath(path), data
        self._write()

    def _write(self) -> None:
        self._path = Path(_partial(self._target))
        self._file = self._path.open("xb")
        try:
            _lock(self._file)
            if self._before is not None:
                _own_as(self._file, self._before)
            self._file.write(self._data)
            self._file.flush()
            os.fsync(self._file.fileno())
        except BaseException:
            self.remove()
            raise

    def rename(self, *, overwrite: bool = True) -> None:
        """Give it the file's name. If another run has removed it, it is written again. Raises `OSError`:
        without `overwrite`, `FileExistsError` for a name that is taken.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            self._file.close()  # Windows renames no open files
            try:
                if overwrite:
                    os.replace(self._path, self._target)
                else:
                    _link(self._path, self._target)
                return
            except FileNotFoundError:
                if attempt == _ATTEMPTS:
                    raise
            self._write()

    def remove(self) -> None:
        """Remove its own name, unless that was exchanged for the file's."""
        try:
            self._file.close()
        finally:  # on a full disk, closing fails too
            self._path.unlink(missing_ok=True)


def _link(partial: Path, target: str) -> None:
    """Give a partial a second name. Raises `FileExistsError` if that is taken: checking before renaming would
    overwrite what appears in between. Only where there are no hard links, as on FAT, that is all one can do.
    """
    try:
        os.link(partial, target)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:  # systems give different ones
        if os.path.lexists(target):
            raise _taken(target) from None
        os.replace(partial, target)


def _taken(path: str | Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


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
    """The files among these that exist. Lists each folder once, however many files it has. Raises
    `OutputError`.
    """
    return {wanted[name] for _, wanted, present in _folders(locations) for name in wanted.keys() & present}


def remove_partials(locations: Iterable[str]) -> None:
    """Remove partials of these files that killed processes left behind, but none that is being written.
    Raises `OutputError`.
    """
    for system, wanted, present in _folders(locations):
        stems = set(map(_stem, wanted))
        for name, path in present.items():
            match = _PARTIAL.fullmatch(name)
            if match and match[1] in stems:
                with suppress(Exception):  # another run was faster, or is writing it
                    _remove_partial(system, path)


def _remove_partial(system: AbstractFileSystem, path: str) -> None:
    if not is_local(system):
        system.rm_file(path)
        return
    with open(path, "r+b") as file:
        left_behind = _lock(file)
    if left_behind:
        os.unlink(path)


def _folders(
    locations: Iterable[str],
) -> Iterator[tuple[AbstractFileSystem, dict[str, str], dict[str, str]]]:
    """For each folder: its file system, the locations in it by name, and the paths that are there by name."""
    folders: dict[tuple[AbstractFileSystem, str], dict[str, str]] = {}
    for location in locations:
        system, path = filesystem(location)
        folder, name = os.path.split(path)
        folders.setdefault((system, folder), {})[name] = location
    for (system, folder), wanted in folders.items():
        with failures(next(iter(wanted.values())), "checked"):
            paths = system.ls(folder, detail=False) if system.isdir(folder) else []
        yield system, wanted, {os.path.basename(path): path for path in paths}


def _partial(path: str) -> str:
    name = os.path.basename(path)
    return f"{path.removesuffix(name)}.{_stem(name)}.{secrets.token_hex(4)}.partial"


def _stem(name: str) -> str:
    """The name that a file's partials are named after: its own, unless their names would be too long."""
    encoded = os.fsencode(name)
    return name if len(encoded) <= _LONGEST_STEM else hashlib.sha256(encoded).hexdigest()
