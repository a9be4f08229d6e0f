"""Reads files on disk, or behind any URL that fsspec knows, and writes them whole or not at all.

Locations are strings: a path or a URL. `whole_files` writes those of this machine. A process that is killed,
or loses its connection to a store, leaves a partial behind, and `remove_partials` removes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rdpcodec.errors import OutputError, RdpError, UsageError, reason
from rdpcodec.files.whole_files import (
    create_file,
    partial_name,
    remove_left_behind,
    replace_file,
    stem,
    stem_of_partial,
)

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


_LOCAL = ("file", "local")  # protocols of paths of this machine


def filesystem(location: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a path or URL, and the absolute path in it.

    Raises `UsageError` for a URL that the installed fsspec does not know, one whose store cannot be reached,
    a path of another machine, and a chain of URLs, since files below a chain have no URLs of their own.
    """
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    if not is_url(location):
        return LocalFileSystem(), _absolute(location)
    if "::" in location:
        fix = "unpack the archive, or rename the file"
        raise UsageError(f"{location}: '::' makes a chain of URLs, which cannot be used: {fix}")
    try:
        system, path = url_to_fs(_without_host(location))
    except RdpError:
        raise
    except Exception as error:  # stores raise their own kinds
        raise UsageError(f"{location}: cannot be opened: {reason(error)}") from error
    return system, _absolute(path) if is_local(system) else str(path)


def _without_host(url: str) -> str:
    """A URL without the name of this machine: fsspec takes "file://localhost/a" for the path "localhost/a".
    Raises `UsageError` if it is a file of another machine.
    """
    protocol, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if protocol not in _LOCAL or not host or os.path.splitdrive(rest)[0] == host:  # a drive of Windows
        return url
    if host.lower() != "localhost":
        raise UsageError(
            f"{url}: {host} would be another machine: give a path, or {protocol}:///absolute/path"
        )
    return f"{protocol}://{slash}{path}"


def _absolute(path: str) -> str:
    """An absolute path of this machine with "/" between its parts: fsspec writes them so on Windows too.

    A ".." after a link leads out of the folder that the link leads to, as it does for the system.
    """
    parts = Path(path).parts
    if ".." in parts:
        end = len(parts) - parts[::-1].index("..")
        given = os.path.join(*parts[:end])
        folder, real = os.path.abspath(given), os.path.realpath(given)
        path = os.path.join(folder if os.path.realpath(folder) == real else real, *parts[end:])
    return Path(os.path.abspath(path)).as_posix()


def is_url(location: str) -> bool:
    """Whether a location is a URL rather than a path."""
    return "://" in location


def is_local(system: AbstractFileSystem) -> bool:
    """Whether a file system is this machine's."""
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(system, LocalFileSystem)


def is_in_memory(location: str) -> bool:
    """Whether a location is in the memory of this process, where no other finds it."""
    return location.startswith("memory://")


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
    if name == "" or name in [f"{protocol}://{host}" for protocol in _LOCAL for host in ("", "localhost")]:
        raise UsageError(f"{name!r} names no file or folder: is a variable of the shell not set?")


def refuse_same_file(source: str, output: str) -> None:
    """Raise `OutputError` for an output that is its own source, also through links: writing it would destroy
    the source. Both are paths; URLs of stores pass.
    """
    try:
        same = os.path.samefile(source, output)
    except OSError:  # one of them is not there
        return
    if same:
        raise OutputError(f"{output}: is the same file as its input {source}: name another output")


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
    partial = partial_name(path)
    try:
        system.pipe_file(partial, data)
        system.mv(partial, path)
    except BaseException:
        with suppress(Exception):  # what went wrong first is what counts
            system.rm_file(partial)
        raise


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
        stems = set(map(stem, wanted))
        remove = remove_left_behind if is_local(system) else system.rm_file
        for name, path in present.items():
            if stem_of_partial(name) in stems:
                with suppress(Exception):  # another run was faster, or is writing it
                    remove(path)


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
