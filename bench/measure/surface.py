"""`python -m bench measure surface` and `… peers`: every codec, every setting, every metric.

Both write into one folder. `cache/` holds one file per codec and image, with all metrics and what distances
between distributions need; a killed run loses only the images in progress. `<codec>.json` sums up a codec:
metrics per image and point, means, and distances with their errors. If the images have ImageNet labels, a
frozen classifier answers too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import wraps
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn

from bench.analysis.measured import MEASURES
from bench.codecs import OURS, bench_codec, weights_identity
from bench.folder import data_option, open_rgb
from bench.measure.cache import Job, Point, load_cached, save_cached
from bench.measure.setup import Setup, metrics_of
from bench.measure.summary import summary
from bench.metrics.image_metrics import MetricOptions
from bench.options import (
    Command,
    lpips_option,
    numbers_option,
    qualities_option,
    with_options,
    workers_option,
)
from bench.record import machine, rounded, write_record
from bench.threads import threads_a_process
from rdpcodec import Codec
from rdpcodec.errors import UsageError
from rdpcodec.metrics.lpips import MINIMUM_SIDE
from rdpcodec.peers import PEERS, Unavailable
from rdpcodec.training.speed.allocator import keep_all_memory
from rdpcodec.weights.manifest import DEFAULT_MODEL

QUALITIES = (5.0, 15.0, 25.0, 35.0, 45.0, 60.0, 75.0, 90.0)
REALISMS = (0.0, 0.25, 0.5, 0.75, 1.0)
ORIGINAL = "original"


def coded(
    codec: str, image: Image.Image, points: tuple[Point, ...], device: str
) -> Iterator[tuple[Point, dict[str, float], np.ndarray]]:
    """Code an image at points sorted by quality: yields bytes and seconds, and the decoded image."""
    if codec == ORIGINAL:
        for point in points:
            yield point, {}, np.asarray(image)
        return
    subject = bench_codec(codec, device)
    subject.decode(subject.encode(image.crop((0, 0, 64, 64)), points[0].quality))  # loads what is loaded once
    quality, data, encoding = None, b"", 0.0
    for point in points:
        if point.quality != quality:
            started = time.perf_counter()
            data = subject.encode(image, point.quality)
            encoding, quality = time.perf_counter() - started, point.quality
        started = time.perf_counter()
        if point.realism is None:
            decoded = subject.decode(data)
        else:
            assert subject.decode_at is not None
            decoded = subject.decode_at(data, point.realism)
        seconds = time.perf_counter() - started
        facts = {
            "bytes": len(data),
            "bpp": len(data) * 8 / (image.width * image.height),
            "encode_seconds": encoding,
            "decode_seconds": seconds,
        }
        yield point, facts, np.asarray(decoded)


def measure(job: Job) -> str:
    """Measure the points of one image that the cache lacks; returns the image's name.

    Raises `UsageError` for an image that is too small for LPIPS.
    """
    known = load_cached(job)
    missing = tuple(point for point in job.points if point.key not in known)
    if missing:
        image = open_rgb(job.path)
        if min(image.size) < MINIMUM_SIDE:
            raise UsageError(
                f"{job.path}: too small for LPIPS, which needs {MINIMUM_SIDE} pixels a side: leave it out"
            )
        original = np.asarray(image)
        metrics = metrics_of(job.metric_options)
        reference = metrics.reference(original) if job.codec != ORIGINAL else None
        for point, facts, decoded in coded(job.codec, image, missing, job.metric_options.device):
            if reference:
                facts |= metrics.distortion(reference, decoded)
                if job.label is not None:
                    facts |= metrics.classification(original, decoded, job.label)
            known[point.key] = (facts, metrics.set_features(decoded))
        save_cached(job, known)
    return job.name


def prepare(threads: int) -> None:
    """Set up a worker's process."""
    keep_all_memory()
    torch.set_num_threads(threads)


def run_jobs(jobs: list[Job], workers: int, console: Console) -> None:
    """Measure all jobs in `workers` processes; a single worker is this process."""
    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("images", total=len(jobs))
        for name in _measured(jobs, workers):
            progress.update(task, advance=1, description=name)


def _measured(jobs: list[Job], workers: int) -> Iterator[str]:
    """Names of images, each as soon as it is measured."""
    threads = threads_a_process(workers)
    if workers == 1:
        prepare(threads)
        yield from map(measure, jobs)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), prepare, (threads,)) as pool:
        running = [pool.submit(measure, job) for job in jobs]
        try:
            for done in as_completed(running):
                yield done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class Traced(NamedTuple):
    """A codec's name and description in its summary, and the points at which it is measured."""

    name: str
    description: str
    points: tuple[Point, ...]


def write_summary(traced: Traced, jobs: list[Job], originals: list[Job], setup: Setup) -> Path:
    """Write `<name>.json` and return its path."""
    record = {
        "name": traced.name,
        "description": traced.description,
        "data": setup.data.name,
        "measures": MEASURES,
        "machine": machine(),
        **summary(jobs, originals),
    }
    path = setup.out / f"{traced.name}.json"
    write_record(path, rounded(record, nulls=False))
    return path


def trace(codecs: dict[str, Traced], setup: Setup, workers: int) -> None:
    """Measure codecs, given by what `bench_codec` takes, and write their summaries."""
    console = Console()
    for note in setup.metrics.notes:
        console.print(note, markup=False)
    originals = setup.jobs(ORIGINAL, ORIGINAL, (Point(0),))
    jobs = {name: setup.jobs(name, traced.description, traced.points) for name, traced in codecs.items()}
    run_jobs([*originals, *(job for group in jobs.values() for job in group)], workers, console)
    for name, traced in codecs.items():
        path = write_summary(traced, jobs[name], originals, setup)
        console.print(f"written: {path}")


_options = [
    data_option,
    click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        required=True,
        help="Folder of the results.",
    ),
    workers_option,
    lpips_option,
    click.option(
        "--butteraugli",
        type=click.Path(path_type=Path),
        help="libjxl's butteraugli_main, where it is not on the path.",
    ),
    click.option("--device", default="cpu", show_default=True, help="Where networks run."),
]


def _shared_options(command: Command) -> Command:
    """Give a command the number of workers, and the set-up that the other options ask for."""

    @wraps(command)
    def with_setup(
        data: Path, out: Path, lpips_weights: Path | None, device: str, butteraugli: Path | None, **rest: Any
    ) -> None:
        command(setup=Setup(data, out, MetricOptions(lpips_weights, device, butteraugli)), **rest)

    return with_options(with_setup, _options)


@click.command()
@_shared_options
@qualities_option(QUALITIES, count=2)
@numbers_option("--realisms", REALISMS, most=1)
@click.option(
    "--model",
    default=DEFAULT_MODEL,
    show_default=True,
    help="Model to measure; each needs a folder of its own.",
)
def surface(
    setup: Setup, workers: int, qualities: tuple[float, ...], realisms: tuple[float, ...], model: str
) -> None:
    """Trace our rate-distortion-perception surface on a folder of images."""
    codec = Codec(model)
    usable = realisms if codec.weights.has_realism else (0.0,)
    points = tuple(Point(q, b) for q in qualities for b in usable)
    description = f"{weights_identity(codec)}, {setup.metric_options.device}"
    trace({f"{OURS}:{model}": Traced(OURS, description, points)}, setup, workers)


@click.command()
@_shared_options
@click.option(
    "--codecs",
    default=",".join(PEERS),
    show_default=True,
    help="Names, or FILE.json of your own codecs (docs/measuring.md).",
)
@click.option(
    "--smallest",
    type=click.IntRange(2),  # for a curve
    help="How many settings of each codec, from the smallest files on; by default all.",
)
def peers(setup: Setup, workers: int, codecs: str, smallest: int | None) -> None:
    """Measure, in the same way, the codecs that a user would otherwise pick."""
    chosen = {}
    for name in codecs.split(","):
        try:
            subject = bench_codec(name)
        except Unavailable as error:
            click.echo(f"left out: {error}")
            continue
        points = tuple(Point(q) for q in subject.settings[:smallest])
        chosen[name] = Traced(subject.name, subject.description, points)
    trace(chosen, setup, workers)
