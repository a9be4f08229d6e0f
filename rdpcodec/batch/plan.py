"""The plan of a run: which output comes from which source, known before anything starts."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rdpcodec.batch.left_out import LeftOut
from rdpcodec.batch.names import output_names
from rdpcodec.batch.search import Place, Search
from rdpcodec.errors import UsageError
from rdpcodec.file_type import EXTENSION


@dataclass(frozen=True)
class Task:
    """One image: where its file is, and where its output goes. Absolute paths, or URLs with host and login:
    they mean the same in every process.
    """

    source: str
    output: str


@dataclass
class Plan:
    """The tasks of a run, and what it leaves out."""

    tasks: list[Task]
    left_out: LeftOut


def plan(
    sources: Sequence[str | os.PathLike[str]],
    destination: str | os.PathLike[str],
    *,
    extensions: Collection[str],
    suffix: str,
    recursive: bool = False,
    manifest: str | os.PathLike[str] | None = None,
) -> Plan:
    """The plan of a run.

    sources: folders, globs, files and lists; all may be URLs that fsspec knows, but not chains of them with
    `::`. Files in a folder are taken if they have one of the `extensions`, and keep their place below the
    folder. Files of a glob keep theirs below its last folder without a wildcard; its `*` follows links to
    folders, its `**` does not. A list, `@list.txt` or `@-` for standard input, has one path or URL a line,
    which keeps its folders (an absolute path those from the root). Hidden files in folders and globs are left
    out, and so are .rdpc files, unless `extensions` has theirs. destination: a folder; if it lies within a
    folder or glob, its files are not taken. suffix: that of the outputs, such as ".rdpc", see `output_names`.
    recursive: whether folders are taken with all that is below them, and also those that a glob matches.
    manifest: the run's own, which is neither taken nor counted.

    Raises `UsageError` when `sources` is a single name, a name is empty, a source is missing, nothing is
    found, an output would lie outside the destination, or two images would share one, and `OutputError` when
    a list or a store cannot be read.
    """
    if isinstance(sources, (str, os.PathLike)):
        raise UsageError(f"sources {os.fspath(sources)!r}: give a list, such as {[os.fspath(sources)]}")
    names = [os.fspath(source) for source in sources]
    root = Place.of(os.fspath(destination))
    coded = EXTENSION in extensions
    left_out = LeftOut.of_run(coded=coded)
    search = Search(
        extensions, recursive, root, left_out, Place.of(os.fspath(manifest)).path if manifest else None
    )
    found = dict.fromkeys(pair for name in names for pair in search.found(name))
    for location, relative in found:
        if ".." in relative.parts:
            fix = "give the absolute path, or a URL without '..'"
            raise UsageError(f"{location}: {relative} could lead out of {destination}: {fix}")
    if not found:
        there = f"; left out: {left_out}" if left_out.counts else ""
        there += "".join(f"; {folder}: cannot be read: permission denied" for folder in left_out.closed)
        raise UsageError(f"{' '.join(names)}: no {EXTENSION if coded else 'image'} files there{there}")
    locations, places = [location for location, _ in found], [relative for _, relative in found]
    outputs = map(root.location_of, output_names(places, suffix, extensions.__contains__, locations))
    return Plan(list(map(Task, locations, outputs)), left_out)
