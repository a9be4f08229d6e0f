"""A few thousand fixed cases of what `python -m tests.fuzz` tries by the hundred thousand."""

from __future__ import annotations

import random
import warnings
from collections import Counter
from dataclasses import replace

import pytest
from fuzz import coded
from fuzz.campaign import Case, kinds, run
from fuzz.damage import damaged_png
from fuzz.seeds import source_files

from rdpcodec import Codec
from rdpcodec.format import container
from rdpcodec.format.container import IMAGE_SEGMENTS, Segment

COUNTS = {"coded": 1500, "pillow": 500, "source": 1500, "metadata": 250}


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return kinds()


@pytest.mark.parametrize("kind", COUNTS)
def test_hostile_input_is_taken_or_refused_with_our_error(cases: dict[str, Case], kind: str) -> None:
    result = run(kind, cases[kind], COUNTS[kind], seed=0)
    assert [(number, error) for number, _, error in result.failures] == []
    # Not all input is refused at the door, and the damage does not go unnoticed.
    assert result.taken > COUNTS[kind] / 20
    assert result.refused > COUNTS[kind] / 50


def test_damage_reaches_the_inside_of_lossless_layers() -> None:
    codec = coded.hollow_codec()
    for kind in (Segment.OPACITY, Segment.EXACT):
        ended = Counter()
        for file in coded.seeds(Codec()):
            if kind not in file.segments:
                continue
            alone = {k: v for k, v in file.segments.items() if k in (kind, *IMAGE_SEGMENTS)}
            for seed in range(40):
                damaged = coded.damaged_layer(replace(file, segments=alone), random.Random(seed))
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    taken = coded.decode(container.write(damaged), codec)
                ended["taken" if taken and not caught else "warned" if taken else "refused"] += 1
        # Damaged alpha is left out, a damaged exact layer is refused; some damage only changes pixels.
        assert ended["taken"] > 5
        assert ended["warned" if kind == Segment.OPACITY else "refused"] > 20


def test_a_foreign_error_is_found() -> None:
    def broken(generator: random.Random) -> tuple[bytes, object]:
        return b"x", lambda: {}[generator.random()]

    result = run("broken", broken, 3, seed=0)
    assert [(number, data) for number, data, _ in result.failures] == [(0, b"x"), (1, b"x"), (2, b"x")]


def test_the_same_seed_gives_the_same_cases(cases: dict[str, Case]) -> None:
    case = cases["coded"]
    first, again, other = (case(random.Random(seed))[0] for seed in (7, 7, 8))
    assert first == again != other


def test_damaged_png_files_have_right_checksums() -> None:
    import struct
    import zlib

    png = source_files()[0]
    for seed in range(50):
        data, position = damaged_png(png, random.Random(seed)), 8
        while position < len(data):
            (length,) = struct.unpack_from(">I", data, position)
            body = data[position + 4 : position + 8 + length]
            assert data[position + 8 + length : position + 12 + length] == struct.pack(">I", zlib.crc32(body))
            position += 12 + length
