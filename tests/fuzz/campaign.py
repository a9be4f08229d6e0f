"""The kinds of cases, and runs of many cases of one kind: what is taken, refused or slow, and what fails."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

from . import coded, images, seeds
from .coded import hollow_codec

Case = Callable[[random.Random], tuple[bytes, Callable[[], bool]]]
"""Makes a case: its bytes, to be kept if it fails, and what tries it and returns whether it was taken."""


@dataclass
class Result:
    """What became of the cases of one kind."""

    kind: str
    taken: int = 0
    refused: int = 0
    slowest: float = 0.0  # seconds of the CPU
    failures: list[tuple[int, bytes, str]] = field(default_factory=list)  # number, bytes, error


def kinds() -> dict[str, Case]:
    """The kinds of cases by name."""
    codec = hollow_codec()
    files, sources = coded.seeds(coded.Codec()), seeds.source_files()

    def decode(generator: random.Random) -> tuple[bytes, Callable[[], bool]]:
        data = coded.hostile_file(files, generator)
        return data, lambda: coded.decode(data, codec)

    def pillow(generator: random.Random) -> tuple[bytes, Callable[[], bool]]:
        data = coded.hostile_file(files, generator)
        return data, lambda: coded.open_with_pillow(data)

    def source(generator: random.Random) -> tuple[bytes, Callable[[], bool]]:
        data, keep = images.hostile_source(sources, generator), generator.random() < 0.5
        return data, lambda: images.load(data, keep)

    def metadata(generator: random.Random) -> tuple[bytes, Callable[[], bool]]:
        image, target = images.hostile_metadata(generator), generator.choice(images.TARGETS)
        way = images.save if generator.random() < 0.5 else images.save_with_pillow_info
        kept = b"|".join([target.encode(), image.exif or b"", image.xmp or b"", image.icc or b""])
        return kept, lambda: way(image, target)

    return {"coded": decode, "pillow": pillow, "source": source, "metadata": metadata}


def run(kind: str, case: Case, count: int, seed: int) -> Result:
    """Try `count` cases; the same seed gives the same ones."""
    result = Result(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(count):
            data, attempt = case(random.Random(f"{kind} {seed} {number}"))
            started = time.process_time()
            try:
                taken = attempt()
            except Exception as error:
                result.failures.append((number, data, f"{type(error).__name__}: {error}"))
                continue
            finally:
                result.slowest = max(result.slowest, time.process_time() - started)
            result.taken += taken
            result.refused += not taken
    return result
