"""Writes files of this machine whole or not at all.

A file that is being written, a partial, has another name until it is complete. A process that is killed
leaves its partial behind. A partial that a running process is writing is locked.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO

_PARTIAL = re.compile(r"\.(.+)\.[0-9a-f]{8}\.partial", re.DOTALL)
_LONGEST_NAME = 255  # bytes, on every file system in common use
_LONGEST_STEM = _LONGEST_NAME - len("..01234567.partial")
# Before a partial is locked, and once it is closed, another run may take it for one left behind.
_ATTEMPTS = 20


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
        self._path = Path(partial_name(self._target))
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


def partial_name(path: str) -> str:
    """A new name beside a path, or within a store, for what is to get its name."""
    name = os.path.basename(path)
    return f"{path.removesuffix(name)}.{stem(name)}.{secrets.token_hex(4)}.partial"


def stem(name: str) -> str:
    """The name that a file's partials are named after: its own, unless their names would be too long."""
    encoded = os.fsencode(name)
    return name if len(encoded) <= _LONGEST_STEM else hashlib.sha256(encoded).hexdigest()


def stem_of_partial(name: str) -> str | None:
    """The `stem` of the file that a partial is for; None for the name of anything else."""
    match = _PARTIAL.fullmatch(name)
    return match[1] if match else None


def remove_left_behind(partial: str) -> None:
    """Remove a partial of this machine, unless a running process is writing it. Raises `OSError`."""
    with open(partial, "r+b") as file:
        left_behind = _lock(file)
    if left_behind:
        os.unlink(partial)
