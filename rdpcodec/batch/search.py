"""Where the files of a run are: in folders, globs and lists, on this machine or behind URLs."""

from __future__ import annotations

import codecs
import glob
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING

from rdpcodec.batch.left_out import BROKEN, CLOSED, FOLDER, HIDDEN, LINKED, PLAIN, SPECIAL, LeftOut
from rdpcodec.errors import UsageError, reason
from rdpcodec.file_type import EXTENSION
from rdpcodec.files import storage
from rdpcodec.files.source import standard_input

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_WILDCARD = re.compile(r"[*?[]")


@dataclass(frozen=True)
class Place:
    """A path in a file system, and the URL that was given for it, which counts in stores only. A store alone
    could not tell it, since it may keep host and login apart from its paths.
    """

    system: AbstractFileSystem
    path: str
    url: str

    @classmethod
    def of(cls, location: str) -> Place:
        """The place of a path or URL. Raises `UsageError`, also for an empty name: it would be the current
        folder.
        """
        storage.refuse_empty(location)
        return cls(*storage.filesystem(location), location)

    @property
    def location(self) -> str:
        """An absolute path of this machine, or the URL."""
        return self.path if storage.is_local(self.system) else self.url

    def location_of(self, relative: object) -> str:
        """The location of a path below this one."""
        if storage.is_local(self.system):
            return f"{self.path.rstrip('/')}/{relative}"
        protocol, _, rest = self.url.partition("://")
        return f"{protocol}://{rest.rstrip('/')}/{relative}"

    def file(self, name: str) -> tuple[str, PurePosixPath]:
        """The location of a file below this one, and its path from here. name: that in the file system."""
        exact = name.removeprefix(self.path).removeprefix("/")  # stores tell a//b from a/b
        return self.location_of(exact), PurePosixPath(name).relative_to(self.path)

    def holds(self, path: str) -> bool:
        """Whether a path in the same file system is this one, or below it."""
        return f"{path}/".startswith(f"{self.path.rstrip('/')}/")


@dataclass
class Search:
    """Searches sources, and counts what is left out."""

    extensions: Collection[str]
    recursive: bool
    destination: Place
    left_out: LeftOut
    manifest: str | None

    def found(self, source: str) -> Iterator[tuple[str, PurePosixPath]]:
        """Files of a source, each with its path below the destination."""
        if source.startswith("@"):
            yield from _in_list(source)
            return
        place = Place.of(source)
        with storage.failures(source, "read"):
            if place.system.isdir(place.path):
                yield from self._in_folder(place)
            elif place.system.exists(place.path):
                yield place.location, PurePosixPath(PurePosixPath(place.path).name)
            else:
                yield from self._in_glob(source, place)

    def _in_folder(self, folder: Place) -> Iterator[tuple[str, PurePosixPath]]:
        system, path = folder.system, folder.path
        _refuse_closed(system, path)
        entries = system.find(path, maxdepth=None if self.recursive else 1, withdirs=True, detail=True)
        for name in sorted(entries):
            location, relative = folder.file(name)
            kind = _kind(system, name, entries[name]["type"])
            if kind == CLOSED and not self.recursive:
                kind = FOLDER
            if self._is_output(name, folder) or not relative.parts or (kind == FOLDER and self.recursive):
                continue
            if _hidden(relative):
                self.left_out.counts[HIDDEN] += 1
            elif kind == CLOSED:
                self.left_out.closed.append(location)
            elif kind is None and relative.suffix.lower() in self.extensions:
                yield location, relative
            else:
                self.left_out.counts[kind or relative.suffix or PLAIN] += 1

    def _in_glob(self, source: str, place: Place) -> Iterator[tuple[str, PurePosixPath]]:
        root, pattern = _split_at_wildcard(source, place)
        if pattern and root.system.isdir(root.path):
            _refuse_closed(root.system, root.path.rstrip("/") or "/")
        try:
            kinds = _matches(root.system, root.path, pattern) if pattern else {}
        except ValueError as error:
            raise UsageError(f"{source}: {reason(error)}") from error
        if not kinds:
            raise UsageError(f"{source}: no such file or folder, and no glob that matches any")
        for name, kind in sorted(kinds.items()):
            location, relative = root.file(name)
            if self._is_output(name, root):
                continue
            coded = relative.suffix.lower() == EXTENSION and EXTENSION not in self.extensions
            if _hidden(relative):
                self.left_out.counts[HIDDEN] += 1
            elif kind == CLOSED or (kind == FOLDER and self.recursive and _closed(root.system, name)):
                self.left_out.closed.append(location)
            elif kind == FOLDER and self.recursive:
                for file, below in self._in_folder(Place(root.system, name, location)):
                    yield file, relative / below
            elif kind or coded:
                self.left_out.counts[kind or relative.suffix] += 1
            else:
                yield location, relative

    def _is_output(self, name: str, root: Place) -> bool:
        """Whether a file below `root` is the manifest, or lies in the destination, and that below `root`: an
        earlier run may have made it.
        """
        if name == self.manifest and storage.is_local(root.system):
            return True
        within = root.system == self.destination.system and not self.destination.holds(root.path)
        return within and self.destination.holds(name)


def _matches(system: AbstractFileSystem, folder: str, pattern: str) -> dict[str, str | None]:
    """What a glob takes below a folder, with None, and the folders that it matches or in which it cannot or
    does not search, each with its kind. A glob with `**` matches folders only on the way to their files.

    Links to folders are followed as shells do: by names, `*` and `?`, but not by `**`, which links could lead
    in circles.
    """

    def found(pattern: str) -> dict[str, str | None]:
        # Before the first wildcard, a sign that could be one is a part of a name.
        matches = system.glob(glob.escape(folder) + pattern, detail=True).values()
        types = {match["name"]: match["type"] for match in matches}
        types.pop(folder.rstrip("/"), None)  # which `**` matches too
        return {name: _kind(system, name, listed) for name, listed in types.items()}

    parts = pattern.split("/")
    kinds: dict[str, str | None] = {}
    for name, kind in found(pattern).items():
        if kind not in (FOLDER, CLOSED):
            kinds[name] = LINKED if kind == LINKED else None
        elif "**" not in parts:
            kinds[name] = FOLDER
    if not storage.is_local(system):
        return kinds
    for end, part in enumerate(parts, 1):
        if end == len(parts) and part != "**":
            break
        for name, kind in found("/".join(parts[:end])).items():
            if kind == CLOSED or (kind == LINKED and _closed(system, name)):
                kinds[name] = CLOSED
            elif kind == LINKED and part != "**":
                kinds |= _matches(system, f"{name}/", "/".join(parts[end:]))
            elif kind == LINKED:
                kinds[name] = LINKED
        if part == "**":
            break
    return kinds


def _kind(system: AbstractFileSystem, name: str, listed: str) -> str | None:
    """What an entry of a folder is, or None if it is a file. listed: its type in a listing, which is "other"
    for links.
    """
    if storage.is_local(system) and os.path.islink(name):
        if os.path.isfile(name):
            return None
        return LINKED if os.path.isdir(name) else SPECIAL if os.path.exists(name) else BROKEN
    if listed == "directory":
        return CLOSED if _closed(system, name) else FOLDER
    return SPECIAL if listed == "other" else None


def _closed(system: AbstractFileSystem, folder: str) -> bool:
    """Whether a folder may not be read: listings silently show such folders as empty."""
    return storage.is_local(system) and not os.access(folder, os.R_OK | os.X_OK)


def _refuse_closed(system: AbstractFileSystem, folder: str) -> None:
    """Raise `UsageError` for a folder that may not be read."""
    if _closed(system, folder):
        raise UsageError(f"{folder}: the folder cannot be read: permission denied")


def _hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _split_at_wildcard(source: str, place: Place) -> tuple[Place, str]:
    """The folder where a glob begins to search, and its part from there on: empty if there is no wildcard.

    Only a source's own signs are wildcards, not those in the name of the current folder.
    """
    given = place.path if storage.is_url(source) else _normal(source)
    wildcard = _WILDCARD.search(given)
    if wildcard is None:
        return place, ""
    pattern = given[given.rfind("/", 0, wildcard.start()) + 1 :]
    url = source.rstrip("/").rsplit("/", pattern.count("/") + 1)[0]
    return Place(place.system, place.path.removesuffix(pattern), f"{url}/"), pattern


def _in_list(source: str) -> Iterator[tuple[str, PurePosixPath]]:
    """Files of a list, `@list.txt` or `@-`, each with its path below the destination."""
    storage.refuse_empty(source[1:])
    listed = standard_input().read() if source == "@-" else storage.read_file(source[1:])
    if b"\0" in listed:
        raise UsageError(f"{source}: is not a list of paths: give a text file with one path per line")
    lines = os.fsdecode(listed.removeprefix(codecs.BOM_UTF8)).replace("\r\n", "\n").split("\n")
    return (_listed(line) for line in lines if line.strip())


def _normal(path: str) -> str:
    """A path without "." and needless "..", with "/" between its parts on every system."""
    return PurePath(os.path.normpath(path)).as_posix()


def _listed(line: str) -> tuple[str, PurePosixPath]:
    """A line of a list, and its path below the destination."""
    place = Place.of(line)
    relative = place.path if storage.is_url(line) else os.path.splitdrive(_normal(line))[1]
    if not PurePosixPath(relative).name:
        raise UsageError(f"{line}: a list names files, and this is a folder")
    return place.location, PurePosixPath(relative.lstrip("/"))
