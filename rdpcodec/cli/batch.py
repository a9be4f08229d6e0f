"""`rdpcodec batch`: many files at once, from a plan to a report. `rdpcodec.batch` does the work."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from os.path import splitext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rdpcodec.cli.options import (
    COMPRESSION_ONLY,
    LocalPath,
    background_option,
    compression,
    compression_options,
    device_option,
    flag,
    force_option,
    format_option,
    max_pixels_option,
    max_side_option,
    report_options,
)
from rdpcodec.cli.output import STANDARD
from rdpcodec.cli.tally import Tally, tally_bar
from rdpcodec.command_line import INTERRUPTED
from rdpcodec.errors import UsageError
from rdpcodec.file_type import EXTENSION

if TYPE_CHECKING:
    from rdpcodec.batch.left_out import LeftOut
    from rdpcodec.batch.plan import Task
    from rdpcodec.batch.run import RunOptions
    from rdpcodec.batch.work import Compression, Decompression, Work

_location = click.Path(readable=False)  # or a URL, a glob, a list: not checked, but Tab completes file names


@click.command()
@click.argument("sources", nargs=-1, required=True, type=_location, metavar="SRC...")
@click.argument("destination", type=_location, metavar="DST")
@click.option("-d", "--decompress", is_flag=True, help="Decompress .rdpc files instead.")
@click.option("-r", "--recursive", is_flag=True, help="Include subfolders, and folders that a glob matches.")
@click.option(
    "-w",
    "--workers",
    type=click.IntRange(1),
    show_default="one per core",
    help="Number of processes; they share the cores.",
)
@click.option("--strict", is_flag=True, help="Exit with status 1 if folders hold files that are not images.")
@click.option("--resume", is_flag=True, help="Skip images whose output exists; no output is ever partial.")
@click.option(
    "--manifest",
    type=LocalPath(),
    help="Append one line of JSON per finished image to this file.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Run on processes of this machine, or on a Ray cluster.",
)
@compression_options
@max_side_option
@max_pixels_option
@format_option
@background_option
@force_option
@report_options
@device_option
def batch(
    sources: tuple[str, ...],
    destination: str,
    decompress: bool,
    recursive: bool,
    workers: int | None,
    strict: bool,
    resume: bool,
    manifest: Path | None,
    engine: str,
    force: bool,
    quiet: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Compress or decompress many files, into the folder DST.

    \b
    rdpcodec batch photos/ compressed/ --recursive -q 40
    rdpcodec batch photos/ compressed/ --target-size 50kB
    rdpcodec batch 'photos/**/*.jpg' compressed/
    rdpcodec batch @list.txt compressed/ --manifest done.jsonl --resume
    rdpcodec batch compressed/ images/ --decompress --format webp
    rdpcodec batch s3://bucket/photos s3://bucket/compressed --engine ray --workers 64

    SRC is a folder, a glob, a file, or @ and a file with one path per line (@- reads standard input). Files
    below a folder, or below the part of a glob without wildcards, keep their place below DST. All may be
    URLs that fsspec knows, but not chains of them with "::".
    Images with the same name, a.jpg and a.png, become a.jpg.rdpc and a.png.rdpc. If a.png is
    added after a run, --resume codes a.jpg again, under its new name.

    An image that cannot be coded does not stop the others: failures are listed at the end, and the exit
    status is 1. Files in a folder that are not images are left out, and counted at the end of the run.
    """
    from rdpcodec.batch.plan import plan
    from rdpcodec.batch.run import RunOptions

    if resume and force:
        raise UsageError("--resume keeps outputs that exist, --force overwrites them: give one of the two")
    if manifest == STANDARD:
        raise UsageError("--manifest - would be standard output: name a file, or ./- for one of that name")
    _check_is_folder(destination)
    work: Work = _decompression(**chosen) if decompress else _compression(**chosen)
    planned = plan(
        sources,
        destination,
        extensions=work.extensions(),
        suffix=work.suffix,
        recursive=recursive,
        manifest=str(manifest) if manifest else None,
    )
    options = RunOptions(engine, workers, resume=resume, force=force, manifest=manifest)
    tally = _run(planned.tasks, work, destination, options, quiet=quiet)
    _report(tally, planned.left_out, force=force, strict=strict, quiet=quiet, as_json=as_json)


def _check_is_folder(destination: str) -> None:
    """Raise `UsageError` for a destination that is a file, or is not there and named like one."""
    from rdpcodec.files import storage
    from rdpcodec.image import is_readable

    fix = "give a folder for the outputs as the last argument"
    if destination == "-":
        raise UsageError(f"- would be standard output, which takes one file: {fix}")
    ending = splitext(destination)[1].lower()
    like_a_file = bool(ending) and (ending == EXTENSION or is_readable(ending))
    if storage.is_url(destination) and not like_a_file:
        return  # stores are slow to ask
    system, path = storage.filesystem(destination)
    with storage.failures(destination, "checked"):
        if system.isdir(path):
            return
        if system.exists(path):
            raise UsageError(f"{destination} is a file: {fix}")
    if like_a_file:
        raise UsageError(f"{destination} is named like a file: {fix}, or make this one first")


def _given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def _compression(*, suffix: str, background: str | None, **chosen: Any) -> Compression:
    """The work that the options ask for. Raises `UsageError`."""
    for name, option in (("suffix", "--format"), ("background", "--background")):
        if _given(name):
            raise UsageError(f"{option} is for decompression: give --decompress, or leave it out")
    return compression(**chosen)


def _decompression(
    *,
    suffix: str,
    realism: float | None,
    device: str,
    max_side: int | None,
    max_pixels: int,
    background: str | None,
    **_: Any,
) -> Decompression:
    """The work that the options ask for. Raises `UsageError`."""
    from rdpcodec.batch.work import Decompression
    from rdpcodec.image import writable_format

    if wrong := next(filter(_given, COMPRESSION_ONLY), None):
        raise UsageError(f"{flag(wrong)} has no meaning with --decompress: leave it out")
    work = Decompression(suffix, realism, device, max_side, max_pixels, background=background)
    writable_format(suffix)
    return work


def _run(tasks: Sequence[Task], work: Work, destination: str, options: RunOptions, *, quiet: bool) -> Tally:
    """Work through the tasks, and show how far it is."""
    from rdpcodec.batch.run import begun

    with begun(tasks, work, destination, options) as run:
        tally = Tally(run.total, present=run.present)
        with tally_bar(tally, shown=not quiet) as bar:
            try:
                for outcome in run:
                    tally.add(outcome)
                    for warning in outcome.warnings:
                        bar.echo(f"warning: {outcome.source}: {warning}", err=True)
                    bar.update(**tally.shown())
            except KeyboardInterrupt:
                tally.interrupted = True
    return tally


def _report(
    tally: Tally, left_out: LeftOut, *, force: bool, strict: bool, quiet: bool, as_json: bool
) -> None:
    """Print the result of a run, and end with its exit status if that is not 0."""
    for line in tally.errors:
        click.echo(f"error: {line}", err=True)
    for folder in left_out.closed:
        click.echo(f"error: {folder}: the folder cannot be read: permission denied", err=True)
    if left_out.missed or (left_out.counts and not quiet):
        click.echo(f"left out: {left_out}", err=True)
    if as_json:
        click.echo(json.dumps(tally.record() | {"left_out": left_out.counts, "unreadable": left_out.closed}))
    elif not quiet:
        click.echo(tally.summary())
    if tally.interrupted:
        again = "again: --force starts over" if force else "with --resume to continue"
        click.echo(f"interrupted: run the same command {again}", err=True)
        sys.exit(INTERRUPTED)
    if tally.errors:
        click.echo(f"error: {len(tally.errors)} of {tally.total} failed", err=True)
    missed = left_out.missed if strict else 0
    if missed:
        click.echo(f"error: --strict, and {missed} files or folders were left out", err=True)
    if tally.errors or left_out.closed or missed:
        sys.exit(1)
