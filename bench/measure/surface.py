"""`python -m bench surface` and `python -m bench peers`: every codec, every setting, every metric.

Both write into one folder. `cache/` holds one file per codec and image, with all metrics and what distances
between distributions need; a run that is killed loses the images in work and no more. `<codec>.json` sums a
codec up: per image and point, means, and distances with their errors. Where the images have ImageNet
labels, a frozen classifier answers too.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn

from bench.codecs import OURS, bench_codec, weights_identity
from bench.folder import data_option, load_folder
from bench.measure.judge import Judge, Traits, distances
from bench.record import machine, rounded, write_record
from rdpcodec import Codec
from rdpcodec.errors import RdpError
from rdpcodec.peers import PEERS, Unavailable
from rdpcodec.training.allocator import keep_freed_memory
from rdpcodec.weights.manifest import DEFAULT_MODEL

QUALITIES = (5.0, 15.0, 25.0, 35.0, 45.0, 60.0, 75.0, 90.0)
REALISMS = (0.0, 0.25, 0.5, 0.75, 1.0)
ORIGINAL = "original"
# Resamplings of the images for error bars: their own error is then 3 % of the bar.
BOOTSTRAPS = 200
# At most so many groups of images are left out in turn for the errors of distances: the errors are then
# known to a quarter.
JACKKNIFE_GROUPS = 8


@dataclass(frozen=True)
class Point:
    """One setting of a codec: for ours quality and realism, for others what they call quality."""

    quality: float
    realism: float | None = None

    @property
    def key(self) -> str:
        """The point's name in files."""
        return f"{self.quality:g}" if self.realism is None else f"{self.quality:g}/{self.realism:g}"


@dataclass(frozen=True)
class Job:
    """One image through one codec."""

    codec: str
    name: str
    path: Path
    points: tuple[Point, ...]
    cache: Path
    identity: str  # of codec and image: what is cached under another one is measured again
    lpips: Path | None
    device: str
    label: int | None = None  # ImageNet class, where the folder says


@cache
def judge_of(lpips: Path | None, device: str) -> Judge:
    """The metrics' networks, loaded once in each process."""
    return Judge(lpips, device)


def coded(
    codec: str, image: Image.Image, points: tuple[Point, ...], device: str
) -> Iterator[tuple[Point, dict[str, float], np.ndarray]]:
    """Code an image at points sorted by quality: bytes and seconds, and what comes back."""
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
    """Measure what the cache lacks of one image; returns the image's name."""
    known = load_cached(job)
    missing = tuple(point for point in job.points if point.key not in known)
    if missing:
        image = Image.open(job.path).convert("RGB")
        original = np.asarray(image)
        judge = judge_of(job.lpips, job.device)
        reference = judge.reference(original) if job.codec != ORIGINAL else None
        for point, facts, decoded in coded(job.codec, image, missing, job.device):
            if reference:
                facts |= judge.distortion(reference, decoded)
                if job.label is not None:
                    facts |= judge.classification(original, decoded, job.label)
            known[point.key] = (facts, judge.traits(decoded))
        save_cached(job, known)
    return job.name


Measured = dict[str, tuple[dict[str, float], Traits]]


def load_cached(job: Job) -> Measured:
    """What is cached of an image by point; nothing if it was measured with another codec."""
    if not job.cache.exists():
        return {}
    with np.load(job.cache) as file:
        if str(file["identity"]) != job.identity:
            return {}
        measured: Measured = {}
        for number, (key, facts) in enumerate(json.loads(str(file["points"])).items()):
            levels = tuple(file[f"{number}.level{i}"] for i in range(int(file[f"{number}.levels"])))
            measured[key] = (facts, Traits(file[f"{number}.features"], levels))
        return measured


def save_cached(job: Job, measured: Measured) -> None:
    """Write the cache of an image, whole or not at all."""
    arrays: dict[str, Any] = {
        "identity": np.array(job.identity),
        "points": np.array(json.dumps({key: facts for key, (facts, _) in measured.items()})),
    }
    for number, (_, traits) in enumerate(measured.values()):
        arrays[f"{number}.features"] = traits.features
        arrays[f"{number}.levels"] = np.array(len(traits.neighbourhoods))
        for i, level in enumerate(traits.neighbourhoods):
            arrays[f"{number}.level{i}"] = level
    job.cache.parent.mkdir(parents=True, exist_ok=True)
    partial = job.cache.with_name(job.cache.name + ".partial")
    with partial.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(partial, job.cache)


def prepare(threads: int) -> None:
    """Set a worker's process up."""
    keep_freed_memory()
    torch.set_num_threads(threads)


def run_jobs(jobs: list[Job], workers: int, console: Console) -> None:
    """Measure all jobs in `workers` processes."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
    with (
        Progress(*columns, console=console, transient=True) as progress,
        ProcessPoolExecutor(workers, get_context("spawn"), prepare, (threads,)) as pool,
    ):
        task = progress.add_task("pictures", total=len(jobs))
        running = [pool.submit(measure, job) for job in jobs]
        try:
            for done in as_completed(running):
                progress.update(task, advance=1, description=done.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def summary(jobs: list[Job], originals: list[Job]) -> dict[str, Any]:
    """A codec's points: per image, means, and distances between distributions with standard errors."""
    measured = [load_cached(job) for job in jobs]
    references = [load_cached(job)[Point(0).key][1] for job in originals]
    points = {}
    for point in jobs[0].points:
        facts = [picture[point.key][0] for picture in measured]
        traits = [picture[point.key][1] for picture in measured]
        points[point.key] = {
            "quality": point.quality,
            **({} if point.realism is None else {"realism": point.realism}),
            **{name: float(np.mean([f[name] for f in facts])) for name in facts[0]},
            **distances(references, traits),
            "standard_errors": standard_errors(facts, references, traits),
        }
    pictures = {
        job.name: {key: facts for key, (facts, _) in picture.items() if key in points}
        for job, picture in zip(jobs, measured, strict=True)
    }
    return {"points": points, "pictures": pictures}


def standard_errors(
    facts: list[dict[str, float]], references: list[Traits], traits: list[Traits]
) -> dict[str, float]:
    """What other images of the same kind would change, as one standard deviation.

    Means: bootstrap over images. Distances: jackknife over groups of images, since repeated images make
    distributions look further apart than they are.
    """
    generator = np.random.default_rng(0)
    chosen = generator.integers(len(facts), size=(BOOTSTRAPS, len(facts)))
    errors = {}
    for name in facts[0]:
        values = np.array([f[name] for f in facts])
        errors[name] = float(values[chosen].mean(axis=1).std())
    groups = min(len(traits), JACKKNIFE_GROUPS)
    if groups > 2:
        left_out = []
        for group in range(groups):
            kept = [i for i in range(len(traits)) if i % groups != group]
            left_out.append(distances([references[i] for i in kept], [traits[i] for i in kept]))
        scale = (groups - 1) ** 0.5
        errors |= {name: scale * float(np.std([d[name] for d in left_out])) for name in left_out[0]}
    return errors


@dataclass(frozen=True)
class Setup:
    """What all measurements of one run share."""

    data: Path
    out: Path
    lpips: Path | None
    device: str

    def jobs(self, codec: str, identity: str, points: tuple[Point, ...]) -> list[Job]:
        """One job for each image of the folder."""
        folder = self.out / "cache" / codec.replace(":", "-")
        labels = read_labels(self.data)
        return [
            Job(
                codec,
                name,
                self.data / name,
                points,
                folder / f"{name}.npz",
                f"{identity} {_digest(self.data / name)}",
                self.lpips,
                self.device,
                labels.get(name),
            )
            for name in load_folder(self.data)
        ]


def read_labels(data: Path) -> dict[str, int]:
    """The ImageNet class of each image, from a `classes.tsv` with the columns `index` and `probe_file`."""
    path = data / "classes.tsv"
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["probe_file"]: int(row["index"]) for row in csv.DictReader(file, delimiter="\t")}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def write_summary(name: str, description: str, jobs: list[Job], originals: list[Job], setup: Setup) -> Path:
    """`<name>.json`, whose path is returned."""
    record = {
        "name": name,
        "description": description,
        "data": setup.data.name,
        "machine": machine(),
        **summary(jobs, originals),
    }
    path = setup.out / f"{name}.json"
    write_record(path, rounded(record, nulls=False))
    return path


def trace(
    codecs: dict[str, tuple[str, tuple[Point, ...]]], setup: Setup, workers: int, name: str | None = None
) -> None:
    """Measure codecs, given by name as description and points, and write their summaries.

    name: what a single codec is called there, if not by its own name.
    """
    console = Console()
    originals = setup.jobs(ORIGINAL, ORIGINAL, (Point(0),))
    jobs = {codec: setup.jobs(codec, text, points) for codec, (text, points) in codecs.items()}
    try:
        run_jobs([*originals, *(job for group in jobs.values() for job in group)], workers, console)
    except RdpError as error:
        raise click.ClickException(str(error)) from error
    for codec, (text, _) in codecs.items():
        path = write_summary(name or codec, text, jobs[codec], originals, setup)
        console.print(f"written: {path}")


_options = [
    data_option,
    click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        required=True,
        help="Folder of the results.",
    ),
    click.option("--workers", default=os.cpu_count(), show_default=True, help="Processes."),
    click.option(
        "--lpips-weights",
        type=click.Path(path_type=Path, exists=True),
        help="Folder of the LPIPS networks; otherwise RDPCODEC_LPIPS or the lpips package.",
    ),
    click.option("--device", default="cpu", show_default=True, help="Where networks run."),
]


def _shared_options(command: Any) -> Any:
    for option in reversed(_options):
        command = option(command)
    return command


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(word) for word in text.split(","))


@click.command()
@_shared_options
@click.option("--qualities", default=",".join(f"{q:g}" for q in QUALITIES), show_default=True)
@click.option("--realisms", default=",".join(f"{b:g}" for b in REALISMS), show_default=True)
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Each in a folder of its own.")
def surface(
    data: Path,
    out: Path,
    workers: int,
    lpips_weights: Path | None,
    device: str,
    qualities: str,
    realisms: str,
    model: str,
) -> None:
    """Trace our rate-distortion-perception surface on a folder of images."""
    try:
        codec = Codec(model)
    except RdpError as error:
        raise click.ClickException(str(error)) from error
    dial = _numbers(realisms) if "realism" in codec.dials else (0.0,)
    points = tuple(Point(q, b) for q in sorted(_numbers(qualities)) for b in dial)
    description = f"{weights_identity(codec)}, {device}"
    setup = Setup(data, out, lpips_weights, device)
    trace({f"{OURS}:{model}": (description, points)}, setup, workers, OURS)


@click.command()
@_shared_options
@click.option("--codecs", default=",".join(PEERS), show_default=True)
@click.option(
    "--smallest", type=click.IntRange(1), help="So many settings of each, from the smallest files on; or all."
)
def peers(
    data: Path,
    out: Path,
    workers: int,
    lpips_weights: Path | None,
    device: str,
    codecs: str,
    smallest: int | None,
) -> None:
    """Measure the codecs that a user would otherwise pick in the same way."""
    chosen = {}
    for name in codecs.split(","):
        try:
            subject = bench_codec(name)
        except Unavailable as error:
            click.echo(f"left out: {error}")
            continue
        except KeyError:
            raise click.ClickException(f"unknown codec {name!r}; known: {', '.join(PEERS)}") from None
        chosen[name] = (subject.description, tuple(Point(q) for q in subject.settings[:smallest]))
    trace(chosen, Setup(data, out, lpips_weights, device), workers)
