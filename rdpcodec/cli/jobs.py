"""Pairs inputs and outputs of `rdpcodec compress` and `decompress`, and works through the pairs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from os.path import isdir, lexists
from pathlib import Path
from typing import NamedTuple

import click

from rdpcodec.batch.names import output_names
from rdpcodec.batch.work import Outcome
from rdpcodec.cli.options import (
    LocalPath,
    device_option,
    force_option,
    max_pixels_option,
    max_side_option,
    process_options,
    report_options,
    together,
)
from rdpcodec.cli.output import (
    STANDARD,
    check_output,
    end,
    named_warnings,
    write_output,
)
from rdpcodec.cli.progress import Bar, progress
from rdpcodec.errors import UsageError, in_a_line
from rdpcodec.files.storage import make_folder, refuse_same_file

_output_option = click.option(
    "-o",
    "--output",
    "--output-dir",
    type=LocalPath(),
    metavar="OUT|DIR",
    help="Output for a single input, or folder for the outputs of several.",
)
job_options = together(
    max_side_option,
    max_pixels_option,
    _output_option,
    force_option,
    report_options,
    device_option,
    process_options,
)
Job = tuple[Path, Path]
"""An input and its output."""


class Done(NamedTuple):
    """A job that was done: the bytes to write, the outcome, and the outcome in words."""

    data: bytes
    outcome: Outcome
    text: str


@dataclass(frozen=True)
class Names:
    """Which extensions a command reads and writes, in lower case.

    They are functions, since Pillow knows all extensions only after importing all its plugins.
    """

    command: str
    suffix: str  # of outputs that are not named
    is_read: Callable[[str], bool]  # extensions of inputs, replaced by `suffix`
    is_written: Callable[[str], bool]
    outputs: str  # what is written, in words

    def is_output(self, path: Path) -> bool:
        """Whether a path can only be an output."""
        return path == STANDARD or self.is_written(path.suffix.lower())


def jobs_of(paths: tuple[Path, ...], output: Path | None, names: Names) -> list[Job]:
    """Jobs from the arguments: `IN`, `IN OUT`, `IN -o OUT` or `IN… -o DIR`. Makes the folder. Raises
    `UsageError` for anything else, `OutputError` if the folder cannot be made.
    """
    if output is None and len(paths) == 2 and _ends_with_output(paths, names):
        output, paths = _second_name(paths[1], names), paths[:1]
    _refuse_folders(paths, names)
    if output is not None and (output == STANDARD or not isdir(output)):
        if names.is_output(output):
            if len(paths) > 1:
                raise UsageError(f"{output} is one output, for {len(paths)} inputs: give a folder")
            return [(paths[0], output)]
        _check_new_folder(output, len(paths), names)
    return _named_after_inputs(paths, output, names)


def _second_name(output: Path, names: Names) -> Path:
    """The second of two names, which is meant as an output. Raises `UsageError` where it is no output's."""
    if not names.is_output(output):
        _refuse_missing_plugin(output, names)
        folder = "" if lexists(output) else f", and a folder is given as -o {output}"
        raise UsageError(f"{output}: an output's name must end in {names.outputs}, or be -{folder}")
    return output


def _check_new_folder(output: Path, inputs: int, names: Names) -> None:
    """Raise `UsageError` unless the outputs of so many inputs may go into a folder that is not there yet."""
    _refuse_missing_plugin(output, names)
    if lexists(output):
        raise UsageError(f"{output}: not a folder, nor a name that ends in {names.outputs}")
    if inputs == 1 and output.suffix[1:].isalpha():  # a misspelt extension: a date is none
        raise UsageError(
            f"{output}: an output's name must end in {names.outputs}; "
            "for a folder of that name, make it first"
        )


def _named_after_inputs(paths: tuple[Path, ...], folder: Path | None, names: Names) -> list[Job]:
    """Jobs whose outputs are named after their inputs: in a folder, which is made, or beside the input."""
    if folder is None and len(paths) > 1:
        raise UsageError(
            f"{len(paths)} inputs need a folder for their outputs: -o DIR, or -o . for the current folder"
        )
    if folder is None and paths[0] == STANDARD:
        return [(STANDARD, STANDARD)]
    if folder is not None and STANDARD in paths:
        raise UsageError(f"standard input has no name for its output in {folder}: give one, or -")
    places = [folder / path.name if folder else path for path in paths]
    outputs = output_names(places, names.suffix, names.is_read, paths)
    if folder is not None:
        make_folder(str(folder))
    return list(zip(paths, outputs, strict=True))


def _ends_with_output(paths: tuple[Path, ...], names: Names) -> bool:
    """Whether the second of two paths can be no input, or is not meant as one."""
    source, path = paths
    if names.is_output(path) or not lexists(path):
        return True
    return not isdir(path) and (source == STANDARD or not names.is_read(path.suffix.lower()))


def _refuse_missing_plugin(output: Path, names: Names) -> None:
    """Raise `UsageError` for an image that could be written if a plugin were installed."""
    from rdpcodec.image import missing_plugin

    if names.command == "decompress" and (missing := missing_plugin(output.suffix.lower())):
        raise UsageError(f"{output}: {missing}")


def _refuse_folders(paths: tuple[Path, ...], names: Names) -> None:
    """Raise `UsageError` if a folder is given in place of a file. - is a file, whatever has that name."""
    for path in paths:
        if path != STANDARD and isdir(path):
            if path == paths[-1] and len(paths) > 1:
                raise UsageError(f"{path}: is a folder: give it as -o {path}")
            option = "" if names.command == "compress" else "--decompress "
            raise UsageError(f"{path}: is a folder: rdpcodec batch {option}{path} OUT")


def run_all(
    jobs: list[Job],
    run: Callable[[Path, Path], Done],
    label: str,
    *,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run every job, and write its output; one that fails is reported and does not stop the others. Exit
    status 1 if any failed.

    run: what to do for an input and its output.
    """
    errors = 0
    with progress(label, len(jobs), shown=not quiet) as bar:
        for source, output in jobs:
            outcome, text = _outcome(source, output, run, force, bar)
            errors += outcome.error is not None
            if outcome.error is not None:
                bar.echo(f"error: {outcome.error}", err=True)
            if as_json:
                bar.echo(outcome.to_json(), err=output == STANDARD)
            elif text and not quiet:
                bar.echo(text, err=output == STANDARD)
            bar.step()
    end(errors, len(jobs))


def _outcome(
    source: Path, output: Path, run: Callable[[Path, Path], Done], force: bool, bar: Bar
) -> tuple[Outcome, str]:
    """Run one job and write its output. Returns the outcome, whatever it raises, and what to print of it.
    Warnings are shown.
    """
    started = time.perf_counter()
    try:
        check_output(output, force)
        if STANDARD not in (source, output):
            refuse_same_file(str(source), str(output))
        with named_warnings(source, bar.echo) as messages:
            data, outcome, text = run(source, output)
            write_output(output, data, force)
        for note in outcome.warnings:
            bar.echo(f"warning: {source}: {note}", err=True)
        seconds = round(time.perf_counter() - started, 3)
        return replace(outcome, seconds=seconds, warnings=(*messages, *outcome.warnings)), text
    except Exception as error:  # from a decoder, say: one bad image never stops the rest
        return Outcome(str(source), str(output), error=in_a_line(error, source)), ""
