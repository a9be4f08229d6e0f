"""The plan of a run: which output comes from which source, known before anything starts."""

from __future__ import annotations

import codecs
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from rdpcodec import storage
from rdpcodec.batch.names import output_names
from rdpcodec.container import EXTENSION
from rdpcodec.errors import UsageError
from rdpcodec.source import standard_input

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


@dataclass(frozen=True)
class Task:
    """One image: where its file is, and where its output goes. Absolute paths, or URLs."""

    source: str
    output: str


_HIDDEN, _FOLDER, _PLAIN, _SPECIAL = "hidden", "folder", "without extension", "pipe or device"
_LINKED, _BROKEN, _CLOSED = "linked folder", "broken link", "unreadable folder"
_COUNTED = (_FOLDER, _LINKED, _BROKEN)
_RAW = (
    ".3fr",
    ".arw",
    ".cr2",
    ".cr3",
    ".dng",
    ".erf",
    ".nef",
    ".nrw",
    ".orf",
    ".pef",
    ".raf",
    ".rw2",
    ".srw",
)
_PLUGIN = "pip install 'rdpcodec[formats]'"
_OF_ANY_RUN = {
    _FOLDER: "--recursive takes them",
    _SPECIAL: "read where it is named",
    _LINKED: "links are not followed to folders: name it",
    _BROKEN: "it leads nowhere",
}
_REASONS = {
    **_OF_ANY_RUN,
    EXTENSION: "coded already",
    **dict.fromkeys((".heic", ".heif", ".hif"), _PLUGIN),
    ".jxl": _PLUGIN,
    **dict.fromkeys(_RAW, "camera raw: develop it to TIFF or JPEG"),
}


@dataclass
class LeftOut:
    """What a run does not take from folders and globs: counted by extension, or as hidden or folders."""

    reasons: dict[str, str]
    otherwise: str  # the reason for all other extensions
    counts: Counter[str] = field(default_factory=Counter)
    closed: list[str] = field(default_factory=list)  # folders that may not be read

    @property
    def missed(self) -> int:
        """How many a caller may miss: all but hidden ones, and files that are already coded."""
        return sum(count for kind, count in self.counts.items() if kind not in (_HIDDEN, EXTENSION))

    def __str__(self) -> str:
        """How many of each kind, and why or what to do, in words."""
        kinds = sorted(self.counts.items())
        return ", ".join(
            f"{count} {kind}{'s' * (kind in _COUNTED and count > 1)}"
            + ("" if kind == _HIDDEN else f" ({self.reasons.get(kind.lower(), self.otherwise)})")
            for kind, count in kinds
        )


@dataclass
class Plan:
    """The tasks of a run, and what it leaves out."""

    tasks: list[Task]
    left_out: LeftOut


def plan(
    sources: Sequence[str],
    destination: str,
    *,
    extensions: Collection[str],
    suffix: str,
    recursive: bool = False,
) -> Plan:
    """The plan of a run.

    sources: folders, globs, files and lists; all may be URLs that fsspec knows. Files in a folder are taken
    if they have one of the `extensions`, and keep their place below the folder. Files of a glob keep theirs
    below its last folder without a wildcard. A list, `@list.txt` or `@-` for standard input, has one path or
    URL a line, which keeps its folders (an absolute path those from the root). Hidden files in folders and
    globs are left out. destination: a folder; if it lies within a source, its files are not taken. suffix:
    that of the outputs, such as ".rdpc", see `output_names`. recursive: whether folders are taken with all
    that is below them.

    Raises `UsageError` when a source is missing, nothing is found, or two images would share an output, and
    `OutputError` when a list cannot be read.
    """
    root = _location(*storage.filesystem(destination)).rstrip("/")
    coded = EXTENSION in extensions
    left_out = LeftOut(_OF_ANY_RUN if coded else _REASONS, _otherwise(coded))
    search = _Search(extensions, recursive, root, left_out)
    found = dict.fromkeys(pair for source in sources for pair in search.found(source))
    if not found:
        there = f"; left out: {left_out}" if left_out.counts else ""
        there += "".join(f"; {folder}: cannot be read: permission denied" for folder in left_out.closed)
        raise UsageError(f"{' '.join(sources)}: no {EXTENSION if coded else 'image'} files there{there}")
    outputs = output_names([relative for _, relative in found], suffix, extensions.__contains__)
    pairs = zip(found, outputs, strict=True)
    return Plan([Task(location, f"{root}/{output}") for (location, _), output in pairs], left_out)


def _otherwise(coded: bool) -> str:
    return f"not {EXTENSION}" if coded else "not a format that Pillow reads here"


@dataclass
class _Search:
    """Searches sources, and counts what is left out."""

    extensions: Collection[str]
    recursive: bool
    destination: str
    left_out: LeftOut

    def found(self, source: str) -> Iterator[tuple[str, PurePosixPath]]:
        """Files of a source, each with its path below the destination."""
        if source.startswith("@"):
            listed = standard_input().read() if source == "@-" else storage.read_file(source[1:])
            listed = listed.removeprefix(codecs.BOM_UTF8)
            if b"\0" in listed:
                raise UsageError(f"{source}: is not a list of paths: give a text file with one path per line")
            lines = os.fsdecode(listed).replace("\r\n", "\n").split("\n")
            yield from (_listed(line) for line in lines if line.strip())
            return
        system, path = storage.filesystem(source)
        if system.isdir(path):
            yield from self._in_folder(system, path)
        elif system.exists(path):
            yield _location(system, path), PurePosixPath(PurePosixPath(path).name)
        else:
            yield from self._in_glob(source, system, path)

    def _in_folder(self, system: AbstractFileSystem, path: str) -> Iterator[tuple[str, PurePosixPath]]:
        if _closed(system, path):
            raise UsageError(f"{path}: the folder cannot be read: permission denied")
        entries = system.find(path, maxdepth=None if self.recursive else 1, withdirs=True, detail=True)
        own = (
            f"{self.destination}/" if not f"{_location(system, path)}/".startswith(self.destination) else "//"
        )
        for name in sorted(entries):
            relative, location = PurePosixPath(name).relative_to(path), _location(system, name)
            kind = _kind(system, name, entries[name]["type"])
            if f"{location}/".startswith(own) or not relative.parts or (kind == _FOLDER and self.recursive):
                continue
            if kind is None and relative.suffix.lower() in self.extensions and not _hidden(relative):
                yield location, relative
            else:
                kind = _HIDDEN if _hidden(relative) else kind or relative.suffix or _PLAIN
                if kind == _CLOSED:
                    self.left_out.closed.append(location)
                else:
                    self.left_out.counts[kind] += 1

    def _in_glob(
        self, source: str, system: AbstractFileSystem, path: str
    ) -> Iterator[tuple[str, PurePosixPath]]:
        root = PurePosixPath(path)
        while set("*?[") & set(str(root)):
            root = root.parent
        matches = [] if str(root) == path else system.glob(path, detail=True).values()
        names = sorted(match["name"] for match in matches if match["type"] != "directory")
        if not names:
            raise UsageError(f"{source}: no such file or folder, and no glob that matches any")
        for name in names:
            relative = PurePosixPath(name).relative_to(root)
            if _hidden(relative):
                self.left_out.counts[_HIDDEN] += 1
            else:
                yield _location(system, name), relative


def _kind(system: AbstractFileSystem, name: str, listed: str) -> str | None:
    """What an entry of a folder is, or None if it is a file. listed: its type in a listing, which is "other"
    for links.
    """
    if storage.is_local(system) and os.path.islink(name):
        if os.path.isfile(name):
            return None
        return _LINKED if os.path.isdir(name) else _SPECIAL if os.path.exists(name) else _BROKEN
    if listed == "directory":
        return _CLOSED if _closed(system, name) else _FOLDER
    return _SPECIAL if listed == "other" else None


def _closed(system: AbstractFileSystem, folder: str) -> bool:
    """Whether a folder may not be read: listings silently show such folders as empty."""
    return storage.is_local(system) and not os.access(folder, os.R_OK | os.X_OK)


def _hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _listed(line: str) -> tuple[str, PurePosixPath]:
    """A line of a list, and its path below the destination."""
    system, path = storage.filesystem(line)
    relative = path if storage.is_url(line) else os.path.normpath(line)
    if relative == ".." or relative.startswith("../"):
        raise UsageError(f"{line}: lies outside the current folder; give its absolute path")
    if not PurePosixPath(relative).name:
        raise UsageError(f"{line}: a list names files, and this is a folder")
    return _location(system, path), PurePosixPath(relative.lstrip("/"))


def _location(system: AbstractFileSystem, path: str) -> str:
    """A URL, or an absolute path: it means the same in every process."""
    return path if storage.is_local(system) else str(system.unstrip_protocol(path))
