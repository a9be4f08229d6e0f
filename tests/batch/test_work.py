"""The work on one image, and its outcome."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import rdpcodec
from rdpcodec import OperatingPoint, Target
from rdpcodec.batch.manifest import Manifest
from rdpcodec.batch.plan import Task
from rdpcodec.batch.work import Compression, Decompression, Outcome, Work, note_of_growth, process
from rdpcodec.errors import OutputError
from rdpcodec.format.container import read_header


def test_an_outcome_says_what_the_file_is(folder: Path, tmp_path: Path) -> None:
    task = Task(str(folder / "a.png"), str(tmp_path / "out" / "a.rdpc"))
    outcome = process(task, Compression(OperatingPoint(quality=20)), force=False)
    data = (tmp_path / "out" / "a.rdpc").read_bytes()
    assert data == rdpcodec.compress(folder / "a.png", 20)
    assert (outcome.bytes_before, outcome.bytes_after) == ((folder / "a.png").stat().st_size, len(data))
    assert (outcome.bpp, outcome.quality) == (round(8 * len(data) / 360, 4), read_header(data)[0].quality)
    assert Outcome(**json.loads(outcome.to_json())) == outcome.__class__(**vars(outcome) | {"warnings": ()})
    back = process(Task(task.output, str(tmp_path / "a.png")), Decompression(), force=False)
    assert (back.bpp, back.bytes_before, back.error) == (outcome.bpp, len(data), None)
    assert Image.open(tmp_path / "a.png").size == (20, 18)
    assert back.bytes_after == (tmp_path / "a.png").stat().st_size
    assert back.warnings == ()  # an image larger than its coded file is no surprise


@pytest.mark.parametrize(("told", "threads"), [("2", 2), ("", 3)])
def test_the_number_of_threads_that_the_environment_asks_for_goes_first(told: str, threads: int) -> None:
    script = (
        "from rdpcodec.batch.work import Compression, prepare\n"
        "from rdpcodec.engine.threads import chosen_threads\n"
        "prepare(Compression(), 3)\n"
        "print(chosen_threads())"
    )
    environment = os.environ | {"OMP_NUM_THREADS": told}
    assert int(subprocess.check_output([sys.executable, "-c", script], env=environment)) == threads


@pytest.mark.parametrize(
    ("content", "work", "message"),
    [
        (b"rubbish", Compression(), "bad: not an image"),
        (b"rubbish", Decompression(), "bad: not an .rdpc file"),
        (None, Compression(), "bad: cannot be read: No such file"),
        (b"rubbish", Compression(device="tpu9"), "device 'tpu9' cannot be used"),
    ],
)
def test_what_is_wrong_with_an_image_is_in_its_outcome(
    tmp_path: Path, content: bytes | None, work: Work, message: str
) -> None:
    if content is not None:
        (tmp_path / "bad").write_bytes(content)
    outcome = process(Task(str(tmp_path / "bad"), str(tmp_path / "out")), work, force=False)
    assert outcome.error is not None
    assert message in outcome.error
    assert not (tmp_path / "out").exists()


def test_a_target_that_an_image_misses_is_an_error_that_names_the_image(folder: Path, tmp_path: Path) -> None:
    task = Task(str(folder / "a.png"), str(tmp_path / "a.rdpc"))
    outcome = process(task, Compression(OperatingPoint(Target.size(10))), force=False)
    assert outcome.error is not None
    assert outcome.error.startswith(f"{task.source}: target 10 bytes: ")


def test_an_outcome_says_the_realism_that_was_asked_for(folder: Path, tmp_path: Path) -> None:
    task = Task(str(folder / "old.rdpc"), str(tmp_path / "old.png"))
    for work, realism in ((Decompression(), 0), (Decompression(realism=0.5), 0.5)):
        outcome = process(task, work, force=True)
        assert (outcome.error, outcome.realism) == (None, realism)


@pytest.mark.parametrize("surprise", [MemoryError(), RuntimeError("two\nlines"), KeyError("x")])
def test_no_error_of_one_image_escapes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, surprise: Exception
) -> None:
    def fail(self: Compression, data: bytes, task: Task) -> bytes:
        raise surprise

    monkeypatch.setattr(Compression, "converted", fail)
    source = str(folder / "a.png")
    error = process(Task(source, str(tmp_path / "out")), Compression(), force=False).error
    assert error is not None
    assert error.startswith(source)
    assert "\n" not in error


def test_nothing_is_overwritten_without_force(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.rdpc").write_bytes(b"precious")
    task = Task(str(folder / "a.png"), str(tmp_path / "a.rdpc"))
    assert "already exists" in (process(task, Compression(), force=False).error or "")
    assert (tmp_path / "a.rdpc").read_bytes() == b"precious"
    assert process(task, Compression(), force=True).error is None
    assert rdpcodec.decompress((tmp_path / "a.rdpc").read_bytes()).size == (20, 18)


def test_what_appears_while_an_image_is_coded_is_not_overwritten(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "a.rdpc"

    def slowly(self: Compression, data: bytes, task: Task) -> bytes:
        output.write_bytes(b"precious")
        return b"ours"

    monkeypatch.setattr(Compression, "converted", slowly)
    task = Task(str(folder / "a.png"), str(output))
    assert "already exists" in (process(task, Compression(), force=False).error or "")
    assert output.read_bytes() == b"precious"


def test_what_appears_while_an_output_is_written_is_not_overwritten(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "a.rdpc"
    monkeypatch.setattr(Compression, "converted", lambda *_: rdpcodec.compress(folder / "a.png"))
    monkeypatch.setattr(os, "fsync", lambda _: output.write_bytes(b"precious"))
    task = Task(str(folder / "a.png"), str(output))
    assert "already exists" in (process(task, Compression(), force=False).error or "")
    assert output.read_bytes() == b"precious"
    assert process(task, Compression(), force=True).error is None


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_an_output_that_is_a_link_to_its_source_is_refused(
    folder: Path, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    source, output = folder / "a.png", tmp_path / "a.rdpc"
    before = source.read_bytes()
    link(source, output)
    outcome = process(Task(str(source), str(output)), Compression(), force=True)
    assert outcome.error == f"{output}: is the same file as its input {source}: name another output"
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "said"), [("two  spaces\u3000.png", "two  spaces\u3000.png"), ("a \n\x85 b.png", "a b.png")]
)
def test_an_error_is_one_line_and_keeps_the_spaces_of_names(tmp_path: Path, name: str, said: str) -> None:
    outcome = process(Task(str(tmp_path / name), str(tmp_path / "a.rdpc")), Compression(), force=False)
    assert outcome.error == f"{tmp_path / said}: cannot be read: No such file or directory"


def test_a_manifest_names_the_output_that_is_none(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.rdpc").write_bytes(b"none")
    task = Task(str(folder / "a.png"), str(tmp_path / "a.rdpc"))
    with Manifest(tmp_path / "m.jsonl") as manifest:
        (damaged,) = manifest.complete([task], Compression())
    assert (damaged.source, damaged.output) == (task.source, task.output)
    assert str(damaged.error).startswith(f"{task.output}: not an .rdpc file")


@pytest.mark.parametrize("decompress", [False, True])
def test_a_manifest_tells_of_finished_work_what_the_run_would_have_told(
    folder: Path, tmp_path: Path, decompress: bool
) -> None:
    source, work = ("old.rdpc", Decompression()) if decompress else ("a.png", Compression())
    task = Task(str(folder / source), str(tmp_path / ("old.png" if decompress else "a.rdpc")))
    outcome = process(task, work, force=False)
    with Manifest(tmp_path / "m.jsonl") as manifest:
        assert manifest.complete([task], work) == []
    told = json.loads((tmp_path / "m.jsonl").read_text())
    expected = json.loads(outcome.to_json())
    assert told.items() <= expected.items()
    assert expected.keys() - told.keys() <= {"seconds", "warnings"}


def test_an_image_that_failed_first_and_was_done_later_is_in_the_manifest_as_done(
    folder: Path, tmp_path: Path
) -> None:
    task = Task(str(folder / "a.png"), str(tmp_path / "a.rdpc"))
    with Manifest(tmp_path / "m.jsonl") as manifest:
        manifest.append(Outcome(task.source, task.output, error="not enough memory"))
    process(task, Compression(), force=False)
    with Manifest(tmp_path / "m.jsonl") as manifest:  # as if the run had been killed before it wrote the line
        assert manifest.complete([task], Compression()) == []
    _, last = map(json.loads, (tmp_path / "m.jsonl").read_text().splitlines())
    assert (last["output"], "error" in last) == (task.output, False)


@pytest.mark.parametrize(
    "text",
    ["name,size\na.png,12\n", "a,b", '{"id": 1}\n', "7\n8\n", "\n[]\n", pytest.param("[" * 10**5, id="deep")],
)
def test_a_file_that_is_no_manifest_is_refused_as_it_is(tmp_path: Path, text: str) -> None:
    (other := tmp_path / "other").write_text(text)
    with pytest.raises(OutputError, match="other: is not a manifest; name another file"):
        Manifest(other)
    assert other.read_text() == text


@given(st.lists(st.tuples(st.text(), st.integers(min_value=0)), min_size=1))
def test_a_manifest_is_one_wherever_its_runs_were_killed(kills: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.jsonl")
        for output, end in kills:
            line = Outcome("a.png", output).to_json()
            with Manifest(path):
                pass
            with path.open("a") as file:
                file.write(line[: end % (len(line) + 1)])
        with Manifest(path) as manifest:
            manifest.append(Outcome("b.png", "last"))
        assert "last" in Manifest(path).outputs


def test_advice_on_a_file_that_grew_is_right_with_presets_and_for_sizes_that_none_can_have() -> None:
    assert "--" not in note_of_growth(14, 28)
    assert "13" not in note_of_growth(14, 28)


def test_every_setting_of_a_compression_reaches_the_file(tmp_path: Path, small: Image.Image) -> None:
    transparent = small.copy()
    transparent.putalpha(Image.linear_gradient("L").resize(small.size))
    transparent.getexif()[0x010F] = "Maker"
    transparent.save(source := tmp_path / "a.png", exif=transparent.getexif())
    files = set()
    settings: dict[str, Any]
    for settings in ({}, {"exact_alpha": True}, {"keep_metadata": True}):
        data = Compression(**settings).coded(source, source)
        assert data == rdpcodec.compress(source, **settings)
        files.add(data)
    assert len(files) == 3
