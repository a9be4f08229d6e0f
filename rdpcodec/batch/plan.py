"""The plan of a run: which file comes from which, known before anything starts."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from rdpcodec import storage
from rdpcodec.errors import UsageError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


@dataclass(frozen=True)
class Task:
    """One image: where its file is, and where the other is to be. Absolute paths, or URLs."""

    source: str
    output: str


def plan(
    sources: Sequence[str],
    destination: str,
    *,
    extensions: Collection[str],
    suffix: str,
    recursive: bool = False,
) -> list[Task]:
    """The tasks of a run.

    sources: folders, whose files of fitting `extensions` are taken and keep their place below the folder;
    globs, below the last folder without a wildcard; files; and `@list.txt`, one path or URL a line, which
    keeps its folders (an absolute path those from the root). All may be URLs that fsspec knows. What folders
    and globs find hidden is left out. destination: a folder; suffix: of the outputs, ".rdpc" say; recursive:
    whether folders are taken with all that is below them.

    Raises `UsageError` when a source is missing, nothing is found, or two images would share an output, and
    `OutputError` when a list cannot be read.
    """
    root = _location(*storage.filesystem(destination)).rstrip("/")
    origins: dict[str, str] = {}
    for source in sources:
        for found, relative in _found(source, extensions, recursive):
            output = f"{root}/{relative.with_suffix(suffix)}"
            if origins.setdefault(output, found) != found:
                raise UsageError(
                    f"{output} would be written twice, from {origins[output]} and {found}: rename one"
                )
    if not origins:
        raise UsageError(f"{' '.join(sources)}: no {' or '.join(sorted(extensions))} files there")
    return [Task(found, output) for output, found in origins.items()]


def _found(source: str, extensions: Collection[str], recursive: bool) -> Iterator[tuple[str, PurePosixPath]]:
    """Files of a source, each with its path below the destination."""
    if source.startswith("@"):
        lines = os.fsdecode(storage.read_file(source[1:])).replace("\r\n", "\n").split("\n")
        yield from (_listed(line) for line in lines if line.strip())
        return
    system, path = storage.filesystem(source)
    root = PurePosixPath(path)
    if system.isdir(path):
        for name in sorted(system.find(path, maxdepth=None if recursive else 1)):
            relative = PurePosixPath(name).relative_to(root)
            if relative.suffix.lower() in extensions and not _hidden(relative):
                yield _location(system, name), relative
    elif system.exists(path):
        yield _location(system, path), PurePosixPath(root.name)
    else:
        while set("*?[") & set(str(root)):
            root = root.parent
        matches = [] if str(root) == path else system.glob(path, detail=True).values()
        names = sorted(match["name"] for match in matches if match["type"] != "directory")
        if not names:
            raise UsageError(f"{source}: no such file or folder, and a glob that matches none")
        for name in names:
            relative = PurePosixPath(name).relative_to(root)
            if not _hidden(relative):
                yield _location(system, name), relative


def _hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _listed(line: str) -> tuple[str, PurePosixPath]:
    """A line of a list, and its path below the destination."""
    system, path = storage.filesystem(line)
    relative = path if storage.is_url(line) else os.path.normpath(line)
    if relative.startswith(".."):
        raise UsageError(f"{line}: lies outside of the current folder; give its absolute path")
    return _location(system, path), PurePosixPath(relative.lstrip("/"))


def _location(system: AbstractFileSystem, path: str) -> str:
    """A URL, or an absolute path: it means the same in every process."""
    return path if storage.is_local(system) else str(system.unstrip_protocol(path))
