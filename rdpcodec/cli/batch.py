"""`rdpcodec batch`: many files at once, from a plan to a report."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rdpcodec.cli.options import (
    COMPRESSION_ONLY,
    compression_options,
    device_option,
    flag,
    force_option,
    format_option,
    wish,
)
from rdpcodec.errors import OutputError, RdpError, UsageError

if TYPE_CHECKING:
    from rdpcodec.batch.local import Outcome, Work

_INTERRUPTED = 130  # as shells have it: 128 + SIGINT


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SRC...")
@click.argument("destination", metavar="DST")
@click.option("-d", "--decompress", is_flag=True, help="Decompress .rdpc files instead.")
@click.option("-r", "--recursive", is_flag=True, help="Folders with all that is below them.")
@click.option(
    "-w",
    "--workers",
    type=click.IntRange(1),
    show_default="one per core",
    help="Processes, which share the cores among them.",
)
@click.option("--resume", is_flag=True, help="Skip images whose output exists: none is ever left in part.")
@click.option(
    "--manifest",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Append a line of JSON to this file for every finished image.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Processes of this machine, or a Ray cluster.",
)
@compression_options
@format_option
@force_option
@device_option
def batch(
    sources: tuple[str, ...],
    destination: str,
    decompress: bool,
    recursive: bool,
    workers: int | None,
    resume: bool,
    manifest: Path | None,
    engine: str,
    realism: float | None,
    model: str,
    keep_metadata: bool,
    extension: str,
    force: bool,
    device: str,
    **chosen: Any,
) -> None:
    """Compress or decompress many files, into the folder DST.

    \b
    rdpcodec batch photos/ compressed/ --recursive -q 40
    rdpcodec batch photos/ compressed/ --target-size 50kB
    rdpcodec batch 'photos/**/*.jpg' compressed/
    rdpcodec batch @list.txt compressed/ --manifest done.jsonl --resume
    rdpcodec batch compressed/ pictures/ --decompress --format webp
    rdpcodec batch s3://bucket/photos s3://bucket/compressed --engine ray --workers 64

    SRC is a folder, a glob, a file, or @ and a file with one path a line. What lies below a folder, or
    below the part of a glob without wildcards, keeps its place below DST. All may be URLs that fsspec knows.

    An image that cannot be coded does not stop the others: failures are listed at the end, and the exit
    status is 1.
    """
    from rdpcodec import storage
    from rdpcodec.batch.local import (
        Compression,
        Decompression,
        cores,
        done_before,
        exists_already,
        plan,
        run_local,
        run_ray,
    )

    def given(name: str) -> bool:
        return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE

    if resume and force:
        raise UsageError("--resume keeps outputs that exist, --force overwrites them: give one of the two")
    work: Work
    if decompress:
        if wrong := next(filter(given, COMPRESSION_ONLY), None):
            raise UsageError(f"{flag(wrong)} has no meaning with --decompress: leave it out")
        from rdpcodec.image import writable_format

        work = Decompression("." + extension.lstrip(".").lower(), realism, device)
        writable_format(work.suffix)
    else:
        if given("extension"):
            raise UsageError("--format is for decompression: give --decompress, or leave it out")
        point, target = wish(model, realism=realism, **chosen)
        work = Compression(point, target, model, keep_metadata, device)

    tasks = plan(sources, destination, work, recursive=recursive)
    there = set() if force else storage.existing(task.output for task in tasks)
    missing = [task for task in tasks if task.output not in there]
    present = [task for task in tasks if task.output in there]
    tally = _Tally(total=len(missing) if resume else len(tasks))
    run = {"local": run_local, "ray": run_ray}[engine]
    with _manifest(manifest) as (recorded, record), _bar(tally) as show:
        if resume:
            storage.remove_partials(task.output for task in missing)
            for task in present:
                if manifest and task.output not in recorded:
                    try:
                        record(done_before(task, work))
                    except RdpError as error:
                        tally.errors.append(str(error))
        # A worker that outlived a killed run may still finish its image: not a conflict, but the same file.
        overwrite = force or resume
        refused = [] if resume else [exists_already(task) for task in present]
        try:
            with closing(run(missing, work, workers=workers or cores(), force=overwrite)) as finished:
                for outcome in chain(refused, finished):
                    record(outcome)
                    tally.add(outcome)
                    for warning in outcome.warnings:
                        click.echo(f"warning: {outcome.source}: {warning}", err=True)
                    show()
        except KeyboardInterrupt:
            tally.interrupted = True
    for line in tally.errors:
        click.echo(f"error: {line}", err=True)
    skipped = f"; {len(present)} were there already" if resume and present else ""
    click.echo(f"{tally.summary()}{skipped}")
    if tally.interrupted:
        click.echo("interrupted: the same command with --resume goes on", err=True)
        sys.exit(_INTERRUPTED)
    if tally.errors:
        click.echo(f"error: {len(tally.errors)} of {tally.total} failed", err=True)
        sys.exit(1)


@dataclass
class _Tally:
    """What became of the images so far."""

    total: int
    done: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    errors: list[str] = field(default_factory=list)
    interrupted: bool = False
    started: float = field(default_factory=time.monotonic)

    def add(self, outcome: Outcome) -> None:
        if outcome.error is not None:
            self.errors.append(outcome.error)
            return
        self.done += 1
        self.bytes_before += outcome.bytes_before or 0
        self.bytes_after += outcome.bytes_after or 0

    def rate(self) -> str:
        """Pictures a second since the start."""
        return f"{self.done / max(time.monotonic() - self.started, 1e-3):.1f} pictures/s"

    def saved(self) -> str:
        """How much smaller the outputs are than their sources."""
        megabytes = (self.bytes_before - self.bytes_after) / 1e6
        return f"{abs(megabytes):.1f} MB {'saved' if megabytes >= 0 else 'added'}"

    def summary(self) -> str:
        """All of it in one line."""
        seconds = time.monotonic() - self.started
        sizes = f"{self.bytes_before / 1e6:.1f} → {self.bytes_after / 1e6:.1f} MB"
        return (
            f"{self.done} of {self.total} images in {seconds:.0f} s, {self.rate()}, {sizes}, {self.saved()}"
        )


@contextmanager
def _bar(tally: _Tally) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error, if that is a terminal. Yields the function that redraws it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}, {task.fields[saved]},"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=tally.total, rate=tally.rate(), saved=tally.saved())

        def show() -> None:
            finished = tally.done + len(tally.errors)
            bar.update(task, completed=finished, rate=tally.rate(), saved=tally.saved())

        yield show


@contextmanager
def _manifest(path: Path | None) -> Iterator[tuple[set[str], Callable[[Outcome], None]]]:
    """The outputs that a manifest has as done, and the function that appends an outcome to it at once.

    Raises `OutputError` when it cannot be written.
    """
    if path is None:
        yield set(), lambda outcome: None
        return
    try:
        file = path.open("a+", encoding="utf-8")
        file.seek(0)
        lines = file.read().split("\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OutputError(f"{path}: is no manifest; name another file") from error

    def append(text: str) -> None:
        try:
            file.write(text + "\n")
            file.flush()
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error

    with file:
        if lines[-1]:  # a run was killed while it wrote
            append("")
        yield _outputs(lines), lambda outcome: append(outcome.to_json())


def _outputs(lines: list[str]) -> set[str]:
    """The outputs of a manifest's lines that tell of success."""
    outputs: set[str] = set()
    for line in lines:
        with suppress(ValueError):  # half a line
            record = json.loads(line)
            if isinstance(record, dict) and "error" not in record:
                outputs.add(str(record.get("output")))
    return outputs
