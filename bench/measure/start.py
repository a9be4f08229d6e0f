"""`python -m bench measure start`: what a cold run of the command costs, and how processes share a machine.

The commands run in the Python of `--python`, so that the light installation can be measured from here.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from bench.options import json_option
from bench.record import machine, write_record
from rdpcodec.engine.threads import cores
from rdpcodec.errors import UsageError

_MAIN = "import rdpcodec.cli; rdpcodec.cli.main()"
# A process's `ru_maxrss` starts at its parent's value; Linux's VmHWM is the process's own.
_WITH_PEAK = """
import sys
try:
    exec(sys.argv.pop(1))
finally:
    (peak,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:"))
    print(f"peak of {peak} kB", file=sys.stderr)
"""
_PEAK = re.compile(r"^peak of (\d+) kB$", re.MULTILINE)
# Loads and codes once, says so, waits for the others, codes for some seconds, and prints how many images a
# second it coded.
_WORKER = """
import sys, time
from PIL import Image
import rdpcodec
rdpcodec.use_threads(1)
codec, image, action, seconds = rdpcodec.Codec(), Image.open(sys.argv[1]), sys.argv[2], float(sys.argv[3])
data = codec.compress(image)
work = (lambda: codec.compress(image)) if action == "compress" else (lambda: codec.decompress(data))
work()
print("ready", flush=True)
sys.stdin.readline()
count, begun = 0, time.monotonic()
while time.monotonic() < begun + seconds:
    work()
    count += 1
print(count / (time.monotonic() - begun))
"""


class Cost(NamedTuple):
    """What a process took."""

    seconds: float
    cpu_seconds: float
    megabytes: float  # 10^6 bytes, the peak of resident memory


def cost(python: str, program: str, arguments: Sequence[str] = ()) -> Cost:
    """Run a program, given as code, in a process of its own. Linux only.

    Raises `UsageError` if it cannot be run, or fails.
    """
    started = time.perf_counter()
    words = [python, "-c", _WITH_PEAK, program, *arguments]
    try:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    except OSError as error:
        raise UsageError(f"{python}: cannot be run: {error.strerror}") from error
    assert process.stderr
    said = process.stderr.read()
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        message = " ".join(_PEAK.sub("", said).split())
        raise UsageError(f"exit status {process.returncode}: {message}")
    seconds = time.perf_counter() - started
    return Cost(seconds, usage.ru_utime + usage.ru_stime, int(_PEAK.findall(said)[-1]) * 1024 / 1e6)


def cold(python: str, image: Path, runs: int) -> dict[str, dict[str, float]]:
    """Median times and the largest memory peaks of `rdpcodec compress` and `decompress`."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        coded, decoded = f"{folder}/image.rdpc", f"{folder}/image.png"
        for name, arguments in (("compress", [str(image), coded]), ("decompress", [coded, decoded])):
            words = [name, *arguments, "--force", "--quiet"]
            cost(python, _MAIN, words)  # from now on, its files are in memory and its modules compiled
            costs = [cost(python, _MAIN, words) for _ in range(runs)]
            found[name] = {
                "seconds": round(statistics.median(c.seconds for c in costs), 3),
                "cpu_seconds": round(statistics.median(c.cpu_seconds for c in costs), 3),
                "peak_megabytes": round(max(c.megabytes for c in costs), 1),
            }
    return found


def images_per_second(python: str, image: Path, action: str, processes: int, seconds: float) -> float:
    """How many images a second single-threaded processes code together, once their networks are loaded."""
    words = [python, "-c", _WORKER, str(image), action, str(seconds)]
    pipe = subprocess.PIPE
    workers = [subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) for _ in range(processes)]
    for worker in workers:
        assert worker.stdout
        worker.stdout.readline()
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return round(sum(float(worker.communicate()[0]) for worker in workers), 2)


@click.command()
@click.argument("image", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--python", default=sys.executable, help="Python that has rdpcodec installed; by default this one."
)
@click.option("--runs", type=click.IntRange(1), default=15, show_default=True, help="Runs of each command.")
@click.option("--processes", type=click.IntRange(1), multiple=True, default=(1, 2, 8), show_default=True)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=15.0,
    show_default=True,
    help="Seconds for each number of processes.",
)
@json_option
def start(
    image: Path, python: str, runs: int, processes: tuple[int, ...], seconds: float, out: Path | None
) -> None:
    """What it takes to compress and decompress IMAGE, including the command's start.

    Also measures how many images a second several processes code together.
    """
    costs = cold(python, image, runs)
    rates = {
        action: {str(count): images_per_second(python, image, action, count, seconds) for count in processes}
        for action in costs
    }
    record = {"image": image.name, "cores": cores(), "cold": costs, "images_per_second": rates}
    click.echo(json.dumps(record, indent=1))
    if out:
        write_record(out, {**record, "machine": machine()}, indent=1)
