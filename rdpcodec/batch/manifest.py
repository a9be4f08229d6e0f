"""The manifest of a run: a file with a line of JSON for every outcome, written as soon as it is known.

A run that resumes a killed one continues its manifest too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

from rdpcodec.batch.plan import Task
from rdpcodec.batch.work import Outcome, Work, done_before, failed
from rdpcodec.errors import OutputError, RdpError
from rdpcodec.files.whole_files import replaceable

_START = '{"source": "'  # of every line, also of the half that a killed run leaves


class Manifest:
    """A manifest that is open for appending, in a `with` block."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it and its folder. Raises `OutputError` if it cannot be written or is not a
        manifest.
        """
        self.path = path
        try:
            replaceable(path)  # a device could be read for ever
            path.parent.mkdir(parents=True, exist_ok=True)  # perhaps that of the outputs, which is made later
            self._file = path.open("a+", encoding="utf-8")
            self._file.seek(0)
            lines = self._file.read().split("\n")
            self.outputs = _outputs(lines)  # written already, according to the file
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise OutputError(f"{path}: is not a manifest; name another file") from error
        if lines[-1]:  # a run was killed while it wrote
            self._write("")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(OSError):  # a full disk, say: writing the line has already met it
            self._file.close()

    def append(self, outcome: Outcome) -> None:
        """Write an outcome at once. Raises `OutputError`."""
        self._write(outcome.to_json())

    def complete(self, tasks: Iterable[Task], work: Work) -> list[Outcome]:
        """Append the outcomes that an earlier run did not get to write, for tasks whose outputs all exist.
        Returns those of the tasks whose output turns out to be something else, which are left to the caller.
        """
        damaged = []
        for task in tasks:
            if task.output in self.outputs:
                continue
            try:
                outcome = done_before(task, work)
            except RdpError as error:
                named = str(error)
                damaged.append(failed(task, named if task.output in named else f"{task.output}: {named}"))
            else:
                self.append(outcome)
        return damaged

    def _write(self, line: str) -> None:
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from error


def _outputs(lines: Iterable[str]) -> set[str]:
    """The outputs of a manifest's lines that report success. Raises `ValueError` for a line that is none."""
    outputs: set[str] = set()
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            if line.startswith(_START[: len(line)]):  # half a line, or none
                continue
            raise
        if not isinstance(record, dict) or "output" not in record:
            raise ValueError(line)
        if "error" not in record:
            outputs.add(str(record["output"]))
    return outputs
