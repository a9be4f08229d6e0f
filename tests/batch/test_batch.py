from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest
import torch
from cli.test_cli import on_terminal, run
from PIL import Image, ImageChops

import rdpcodec
from rdpcodec import OperatingPoint, RdpError, UsageError, storage
from rdpcodec.batch.local import run_local
from rdpcodec.batch.plan import Task, plan
from rdpcodec.batch.ray import run_ray
from rdpcodec.batch.work import Compression, Decompression, Outcome, Work, process
from rdpcodec.errors import OutputError

DEADLINE = 180  # seconds that nothing here takes, however busy the machine is


@pytest.fixture(autouse=True, scope="module")
def _one_core() -> Iterator[None]:
    """Threads of tiny images mostly wait for each other, very long where other programs are at work."""
    allowed, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, {min(allowed)})
    torch.set_num_threads(1)
    yield
    os.sched_setaffinity(0, allowed)
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path: Path, small: Image.Image) -> Path:
    """Three images, one of them below, and files that are none."""
    folder = tmp_path / "in"
    (folder / "sub" / ".hidden").mkdir(parents=True)
    tiny = small.crop((0, 0, 20, 18))
    for name in ("a.png", "b.JPG", "sub/c.webp", "sub/.hidden/d.png", "._a.png"):
        tiny.save(folder / name)
    (folder / "old.rdpc").write_bytes(rdpcodec.compress(tiny))
    (folder / "notes.txt").write_text("no image")
    return folder


def tasks_for(
    sources: list[object], destination: object, work: Work, *, recursive: bool = False
) -> list[Task]:
    return plan(
        list(map(str, sources)),
        str(destination),
        extensions=work.extensions(),
        suffix=work.suffix,
        recursive=recursive,
    ).tasks


def planned(*sources: object, work: Work | None = None, **options: bool) -> list[str]:
    """The outputs of a plan, below the destination."""
    tasks = tasks_for(list(sources), "/dst", work or Compression(), **options)
    assert len({task.source for task in tasks}) == len(tasks)
    return [task.output.removeprefix("/dst/") for task in tasks]


def slow_image(path: Path) -> Path:
    """An image that whoever reads it waits for, until `reader_of` lets go of it."""
    os.mkfifo(path)
    return path


def reader_of(path: Path) -> int:
    """Wait until somebody reads a slow image; the descriptor that keeps the reader waiting."""
    end = time.monotonic() + DEADLINE
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody yet
            assert time.monotonic() < end
            time.sleep(0.02)


# The plan.


def test_a_folder_is_mirrored(folder: Path) -> None:
    assert planned(folder) == ["a.rdpc", "b.rdpc"]
    assert planned(folder, recursive=True) == ["a.rdpc", "b.rdpc", "sub/c.rdpc"]
    assert planned(folder, work=Decompression(".webp")) == ["old.webp"]


def test_a_glob_keeps_what_is_below_its_fixed_part(folder: Path) -> None:
    assert planned(f"{folder}/*.png", f"{folder}/s*/*.webp") == ["a.rdpc", "sub/c.rdpc"]
    assert planned(f"{folder.parent}/i?/sub/c.*") == ["in/sub/c.rdpc"]
    assert planned(f"{folder}/**/*.webp") == ["sub/c.rdpc"]


def test_a_name_with_wildcard_signs_is_a_name_first(folder: Path) -> None:
    odd = folder / "a[1].png"
    (folder / "a.png").rename(odd)
    assert planned(odd) == ["a[1].rdpc"]


def test_a_list_keeps_its_folders(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names = folder / "list.txt"
    names.write_text(f"a.png\r\n\nsub/../sub/c.webp\n{folder / 'b.JPG'}\nfile://{folder}/x.png\n")
    below_root = str(folder).lstrip("/")
    assert planned(f"@{names}") == [
        "a.rdpc",
        "sub/c.rdpc",
        f"{below_root}/b.rdpc",
        f"{below_root}/x.rdpc",
    ]
    names.write_text("../a.png\n")
    with pytest.raises(UsageError, match="outside of the current folder"):
        planned(f"@{names}")


def test_images_of_one_name_keep_their_extensions(folder: Path) -> None:
    (folder / "a.bmp").write_bytes(b"")
    assert planned(folder) == ["a.bmp.rdpc", "a.png.rdpc", "b.rdpc"]
    assert planned(folder / "a.png", f"{folder}/*.png") == ["a.rdpc"]  # one image given twice is one
    (folder / "a.bmp.png").write_bytes(b"")
    with pytest.raises(UsageError, match=r"a\.bmp\.rdpc would be written twice, from a\.bmp and a\.bmp\.png"):
        planned(folder)


def test_only_extensions_of_formats_are_exchanged(folder: Path) -> None:
    for name in ("Shot at 12.30.45", "Shot at 12.30.46"):
        (folder / "a.png").with_name(name).write_bytes(b"")
    assert planned(f"{folder}/Shot*") == ["Shot at 12.30.45.rdpc", "Shot at 12.30.46.rdpc"]


def test_what_a_folder_holds_besides_images_is_counted_with_a_reason(folder: Path) -> None:
    for name in ("b.HEIC", "c.HEIC", "IMG.CR2", "README"):
        (folder / name).touch()
    work = Compression()
    extensions = work.extensions() - {".heic"}
    found = plan([str(folder)], "/dst", extensions=extensions, suffix=work.suffix)
    assert str(found.left_out) == (
        "1 .CR2 (camera raw: develop it to TIFF or JPEG), 2 .HEIC (pip install 'rdpcodec[formats]'), "
        "1 .rdpc (coded already), 1 .txt (not a format that Pillow reads here), "
        "1 folder (--recursive takes them), 1 hidden, "
        "1 without extension (not a format that Pillow reads here)"
    )
    assert found.left_out.missed == 6
    below = plan([str(folder)], "/dst", extensions=extensions, suffix=work.suffix, recursive=True)
    assert "folder" not in below.left_out.counts
    back = plan([str(folder)], "/dst", extensions={".rdpc"}, suffix=".png")
    assert back.left_out.counts[".png"] == 1
    assert "1 .png (not .rdpc)" in str(back.left_out)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes have names")
def test_pipes_in_folders_are_left_out_and_not_waited_for(folder: Path) -> None:
    pipe = folder / "pipe.png"
    os.mkfifo(pipe)
    found = plan([str(folder)], "/dst", extensions={".png"}, suffix=".rdpc")
    assert "1 pipe or device (read where it is named)" in str(found.left_out)
    assert str(pipe) not in [task.source for task in found.tasks]


def test_outputs_that_lie_within_a_source_are_no_sources(folder: Path) -> None:
    (folder / "out").mkdir()
    shutil.copy(folder / "a.png", folder / "out" / "again.png")
    work = Compression()
    found = plan(
        [str(folder)],
        str(folder / "out"),
        extensions=work.extensions(),
        suffix=work.suffix,
        recursive=True,
    )
    assert [Path(task.source).name for task in found.tasks] == ["a.png", "b.JPG", "c.webp"]
    assert found.left_out.counts == {".rdpc": 1, ".txt": 1, "hidden": 2}


@pytest.mark.parametrize("source", ["missing", "missing/*.png", "s3x://bucket/a.png", "@missing.txt", "."])
def test_a_source_without_images_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, OutputError)):
        planned(source)


# Files.


@pytest.mark.parametrize("place", ["{folder}", "file://{folder}", "memory://{folder}"])
def test_files_appear_whole_on_every_file_system(tmp_path: Path, place: str) -> None:
    location = place.format(folder=tmp_path) + "/new/folder/file.rdpc"
    assert not storage.exists(location)
    storage.write_file(location, b"first")
    storage.write_file(location, b"second")
    assert storage.read_file(location) == b"second"
    assert (storage.read_file(location, 3), storage.size(location)) == (b"sec", 6)
    system, path = storage.filesystem(location)
    assert [name.rpartition("/")[2] for name in system.ls(os.path.dirname(path), detail=False)] == [
        "file.rdpc"
    ]
    assert storage.existing([location, location + "x", "/nowhere/a"]) == {location}
    with pytest.raises(OutputError, match=r"filex: cannot be read|file\.rdpcx: cannot be read"):
        storage.read_file(location + "x")


def test_partials_of_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in (".a.rdpc.0123abcd.partial", ".b.rdpc.0123abcd.partial", ".a.rdpc.partial", "a.rdpc"):
        (tmp_path / name).touch()
    storage.remove_partials([str(tmp_path / "a.rdpc")])
    assert sorted(os.listdir(tmp_path)) == [".a.rdpc.partial", ".b.rdpc.0123abcd.partial", "a.rdpc"]


# The work on one image.


def test_an_outcome_says_what_the_file_is(folder: Path, tmp_path: Path) -> None:
    task = Task(str(folder / "a.png"), str(tmp_path / "out" / "a.rdpc"))
    outcome = process(task, Compression(OperatingPoint(quality=20)), force=False)
    data = (tmp_path / "out" / "a.rdpc").read_bytes()
    assert data == rdpcodec.compress(folder / "a.png", 20)
    assert (outcome.bytes_before, outcome.bytes_after) == ((folder / "a.png").stat().st_size, len(data))
    assert (outcome.bpp, outcome.quality) == (round(8 * len(data) / 360, 4), 20)
    assert Outcome(**json.loads(outcome.to_json())) == outcome.__class__(**vars(outcome) | {"warnings": ()})
    back = process(Task(task.output, str(tmp_path / "a.png")), Decompression(), force=False)
    assert (back.bpp, back.bytes_before, back.error) == (outcome.bpp, len(data), None)
    assert Image.open(tmp_path / "a.png").size == (20, 18)


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
def test_what_is_wrong_with_a_image_is_in_its_outcome(
    tmp_path: Path, content: bytes | None, work: Work, message: str
) -> None:
    if content is not None:
        (tmp_path / "bad").write_bytes(content)
    outcome = process(Task(str(tmp_path / "bad"), str(tmp_path / "out")), work, force=False)
    assert outcome.error is not None
    assert message in outcome.error
    assert not (tmp_path / "out").exists()


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
    assert "exists already" in (process(task, Compression(), force=False).error or "")
    assert (tmp_path / "a.rdpc").read_bytes() == b"precious"
    assert process(task, Compression(), force=True).error is None
    assert rdpcodec.decompress((tmp_path / "a.rdpc").read_bytes()).size == (20, 18)


# Worker processes.


def tasks_of(sources: list[Path], out: Path) -> list[Task]:
    return [Task(str(source), str(out / f"{source.name}.rdpc")) for source in sources]


def test_a_killed_worker_costs_the_image_in_work_and_is_replaced(folder: Path, tmp_path: Path) -> None:
    slow = slow_image(tmp_path / "slow.png")
    tasks = tasks_of([slow, folder / "a.png", folder / "b.JPG"], tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".slow.png.rdpc.0123abcd.partial").touch()  # as if it were killed while writing

    def kill() -> None:
        descriptor = reader_of(slow)
        (worker,) = multiprocessing.active_children()
        os.kill(worker.pid or 0, signal.SIGKILL)
        worker.join()
        os.close(descriptor)

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes = {o.source: o.error for o in run_local(tasks, Compression(), workers=1, force=False)}
    killer.join()
    assert "worker process died" in (outcomes.pop(str(slow)) or "")
    assert list(outcomes.values()) == [None, None]
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png.rdpc", "b.JPG.rdpc"]


def arrive(obituary: Path, survivors: bool) -> Compression:
    """What a worker process unpickles at its start: it dies of that, or only the first one does."""
    with suppress(FileExistsError):
        obituary.mkdir()
        os.kill(os.getpid(), signal.SIGKILL)
    if not survivors:
        os.kill(os.getpid(), signal.SIGKILL)
    return Compression()


@dataclass(frozen=True)
class DeadlyStart(Compression):
    """Work that kills the first process that it reaches, or all."""

    obituary: Path = Path()
    survivors: bool = False

    def __reduce__(self) -> tuple[object, ...]:
        return arrive, (self.obituary, self.survivors)


def test_a_run_whose_only_worker_dies_at_its_start_ends_with_an_error(folder: Path, tmp_path: Path) -> None:
    work = DeadlyStart(obituary=tmp_path / "dead")
    with pytest.raises(RdpError, match=r"no worker process survives its start: .*SIGKILL"):
        list(run_local(tasks_of([folder / "a.png"], tmp_path), work, workers=1, force=False))


def test_a_worker_that_dies_at_its_start_costs_no_image_while_another_lives(
    folder: Path, tmp_path: Path
) -> None:
    work = DeadlyStart(obituary=tmp_path / "dead", survivors=True)
    tasks = tasks_of([folder / "a.png", folder / "b.JPG"], tmp_path / "out")
    outcomes = list(run_local(tasks, work, workers=2, force=False))
    assert (tmp_path / "dead").exists()
    assert [outcome.error for outcome in outcomes] == [None, None]


def test_closing_the_iterator_ends_the_workers(folder: Path, tmp_path: Path) -> None:
    slow = slow_image(tmp_path / "slow.png")
    outcomes = run_local(
        tasks_of([folder / "a.png", slow], tmp_path / "out"), Compression(), workers=1, force=False
    )
    assert next(outcomes).error is None
    outcomes.close()
    assert not multiprocessing.active_children()


def test_a_device_that_is_not_there_ends_the_run_at_once(folder: Path, tmp_path: Path) -> None:
    tasks = tasks_of([folder / "a.png"] * 3, tmp_path)
    with pytest.raises(UsageError, match="device 'tpu9' cannot be used"):
        list(run_local(tasks, Compression(device="tpu9"), workers=1, force=False))
    assert not multiprocessing.active_children()


# The command.


def lines_of(manifest: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in manifest.read_text().splitlines()]


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Programs that must not outlive their test."""
    programs: list[subprocess.Popen[bytes]] = []
    yield programs
    for program in programs:
        program.kill()
        program.wait()


def start(programs: list[subprocess.Popen[bytes]], *words: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rdpcodec", "batch", *map(str, words)]
    program = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A shell that starts the tests in the background has them ignore interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    programs.append(program)
    return program


def five_images(tmp_path: Path, small: Image.Image) -> tuple[Path, Path]:
    """A list of five images, and the third, which is slow."""
    names = [tmp_path / f"{i}.png" for i in range(5)]
    for i, name in enumerate(names):
        if i == 2:
            slow_image(name)
        else:
            small.rotate(i).save(name)
    (tmp_path / "list.txt").write_text("".join(f"{name}\n" for name in names))
    return tmp_path / "list.txt", names[2]


def test_a_run_that_was_killed_is_resumed_without_redoing_or_losing_any(
    tmp_path: Path, small: Image.Image, started: list[subprocess.Popen[bytes]]
) -> None:
    names, slow = five_images(tmp_path, small)
    out, manifest = tmp_path / "out", tmp_path / "out.jsonl"
    killed = start(started, f"@{names}", out, "-w", 1, "--manifest", manifest)
    descriptor = reader_of(slow)
    killed.kill()
    killed.wait()
    os.close(descriptor)  # the orphaned worker reads nothing, and ends
    done = {path: path.stat().st_mtime_ns for path in out.rglob("*.rdpc")}
    assert len(done) == 2
    # The last line of the manifest had not been written when the run was killed, and another only in part.
    manifest.write_text(manifest.read_text().splitlines()[0] + '\n{"source": "')
    place = next(iter(done)).parent
    (place / ".3.rdpc.0123abcd.partial").write_bytes(b"half")

    slow.unlink()
    small.rotate(2).save(slow)
    resumed = run("batch", f"@{names}", out, "-w", 1, "--manifest", manifest, "--resume")
    assert resumed.exit_code == 0, resumed.stderr
    assert "3 of 3 images" in resumed.stdout
    assert "2 were there already" in resumed.stdout
    assert {path: path.stat().st_mtime_ns for path in done} == done
    whole = [line for line in manifest.read_text().splitlines() if line.endswith("}")]
    outputs = [json.loads(line)["output"] for line in whole]
    assert sorted(outputs) == sorted(str(path) for path in out.rglob("*") if path.is_file())
    assert len(outputs) == 5

    for task in tasks_for([f"@{names}"], out, Compression()):
        assert Path(task.output).read_bytes() == rdpcodec.compress(task.source)


def test_an_interrupt_ends_the_run_and_keeps_what_is_done(
    tmp_path: Path, small: Image.Image, started: list[subprocess.Popen[bytes]]
) -> None:
    names, slow = five_images(tmp_path, small)
    program = start(started, f"@{names}", tmp_path / "out", "-w", 1)
    descriptor = reader_of(slow)
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does: parent and workers
    # It does not wait for the image in work, which goes on until the descriptor is closed.
    out, err = program.communicate(timeout=DEADLINE)
    os.close(descriptor)
    assert program.returncode == 130
    assert b"2 of 5 images" in out
    assert err.decode() == "interrupted: the same command with --resume goes on\n"
    kept = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert kept == ["0.rdpc", "1.rdpc"]


def test_a_terminal_shows_the_rate_what_is_saved_and_the_time_left(folder: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "rdpcodec", "batch", str(folder), str(tmp_path / "out"), "-r"]
    status, written = on_terminal(words, env=os.environ | {"COLUMNS": "120", "TERM": "xterm"})
    assert status == 0
    assert "3 of 3 images" in written
    shown = re.sub(r"\x1b\[[0-9;?]*\w", "", written)
    assert re.search(r"0/3 .*0\.0 images/s, 0 bytes saved, .*left", shown)


def test_failures_are_listed_at_the_end_and_set_the_exit_status(folder: Path, tmp_path: Path) -> None:
    (folder / "bad.png").write_bytes(b"rubbish")
    Image.new("I;16", (9, 9)).save(folder / "deep.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.rdpc").write_bytes(b"precious")
    manifest = tmp_path / "out.jsonl"
    result = run("batch", folder, tmp_path / "out", "-r", "-w", 1, "-q", 30, "--manifest", manifest)
    assert result.exit_code == 1
    warnings, errors = (
        [line for line in result.stderr.splitlines() if line.startswith(kind)]
        for kind in ("warning: ", "error: ")
    )
    assert warnings[0] == f"warning: {folder}/deep.png: 16 bits a channel are coded as 8"
    assert errors[0].startswith(f"error: {tmp_path}/out/a.rdpc: exists already")
    assert errors[1:-1] == [f"error: {folder}/bad.png: not an image in a format that Pillow reads"]
    last = errors[-1]
    assert last == "error: 2 of 5 failed"
    records = {Path(str(line["source"])).name: line for line in lines_of(manifest)}
    assert sorted(records) == ["a.png", "b.JPG", "bad.png", "c.webp", "deep.png"]
    assert {name for name, record in records.items() if "error" in record} == {"a.png", "bad.png"}
    assert records["c.webp"]["quality"] == 30
    assert (tmp_path / "out" / "a.rdpc").read_bytes() == b"precious"


def test_what_is_left_out_is_said_and_fails_a_strict_run(folder: Path, tmp_path: Path) -> None:
    (folder / "iphone.heix").touch()
    said = "left out: 1 .heix (not a format that Pillow reads here), 1 .rdpc (coded already), 1 .txt"
    for words, status in (((), 0), (("--strict", "--force"), 1)):
        result = run("batch", folder, tmp_path / "out", "-r", "-w", 1, *words)
        assert result.exit_code == status
        assert said in result.stderr
        assert "3 of 3 images" in result.stdout
    assert result.stderr.endswith("error: --strict, and 2 files or folders were left out\n")
    assert len(list((tmp_path / "out").rglob("*.rdpc"))) == 3
    (folder / "iphone.heix").unlink()
    (folder / "notes.txt").unlink()
    assert run("batch", folder, tmp_path / "out", "-r", "-w", 1, "--strict", "--force").exit_code == 0


def test_a_run_can_be_silent_or_report_in_json(folder: Path, tmp_path: Path) -> None:
    result = run("batch", folder, tmp_path / "quiet", "-w", 1, "--quiet")
    assert (result.exit_code, result.stdout) == (0, "")
    record = json.loads(run("batch", folder, tmp_path / "json", "-w", 1, "--json").stdout)
    assert (record["images"], record["done"], record["failed"], record["interrupted"]) == (2, 2, 0, False)
    assert record["bytes_after"] == sum(p.stat().st_size for p in (tmp_path / "json").iterdir())
    assert record["left_out"] == {".rdpc": 1, ".txt": 1, "folder": 1, "hidden": 1}


def test_images_are_scaled_down_to_a_longest_side(folder: Path, tmp_path: Path) -> None:
    assert run("batch", folder, tmp_path / "out", "-w", 1, "--max-side", 10).exit_code == 0
    assert rdpcodec.decompress((tmp_path / "out" / "a.rdpc").read_bytes()).size == (10, 9)
    words = ("batch", tmp_path / "out", tmp_path / "back", "--decompress", "-w", 1, "--max-side", 5)
    assert run(*words).exit_code == 0
    assert max(Image.open(tmp_path / "back" / "a.png").size) == 5


def test_two_runs_at_once_give_every_image_and_no_error(
    tmp_path: Path, small: Image.Image, started: list[subprocess.Popen[bytes]]
) -> None:
    (tmp_path / "in").mkdir()
    for i in range(4):
        small.rotate(i).save(tmp_path / "in" / f"{i}.png")
    runs = [start(started, tmp_path / "in", tmp_path / "out", "-w", 1, "--resume") for _ in range(2)]
    for program in runs:
        _, errors = program.communicate(timeout=DEADLINE)
        assert (program.returncode, errors) == (0, b"")
    for i in range(4):
        assert (tmp_path / "out" / f"{i}.rdpc").read_bytes() == rdpcodec.compress(small.rotate(i))
    assert len(os.listdir(tmp_path / "out")) == 4


def test_a_folder_is_decompressed_in_the_format_asked_for(folder: Path, tmp_path: Path) -> None:
    (folder / "sub" / "young.rdpc").write_bytes((folder / "old.rdpc").read_bytes())
    result = run("batch", folder, tmp_path / "out", "-rd", "-w", 1, "--format", "webp")
    assert result.exit_code == 0
    decoded = rdpcodec.decompress((folder / "old.rdpc").read_bytes())
    for name in ("old.webp", "sub/young.webp"):
        assert ImageChops.difference(Image.open(tmp_path / "out" / name), decoded).getbbox() is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--resume", "--force"), "give one of the two"),
        (("--decompress", "-q", "20"), "--quality has no meaning with --decompress"),
        (("--format", "webp"), "--format is for decompression"),
        (("--decompress", "--format", "xyz"), "not an image format"),
        (("-q", "101"), "quality 101.0 is outside"),
        (("--realism", "0.5"), "no realism dial"),
        (("--model", "slow"), "there is no model 'slow'"),
        (("--manifest", "/nowhere/out.jsonl"), "/nowhere/out.jsonl: cannot be written: No such file"),
        (("--manifest", "{folder}/sub/c.webp"), "c.webp: is no manifest"),
    ],
)
@pytest.mark.usefixtures("no_realism")
def test_a_mistake_is_one_line_and_starts_nothing(
    folder: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    before = (folder / "sub" / "c.webp").read_bytes()
    result = run("batch", folder, tmp_path / "out", *(word.format(folder=folder) for word in words))
    assert result.exit_code == 1
    assert (folder / "sub" / "c.webp").read_bytes() == before
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


# Ray.


def free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def ray_cluster() -> Iterator[None]:
    """A Ray cluster with one worker on this machine, for as long as a test may take."""
    import ray
    from ray.cluster_utils import Cluster

    def give_up(*arguments: object) -> None:
        raise TimeoutError

    # Ray waits 15 s for services that choose their own ports, too short where other programs are at work.
    services = ("metrics_agent", "metrics_export", "dashboard_agent_listen", "runtime_env_agent")
    ports = {f"{service}_port": free_port() for service in services}
    cluster = Cluster(True, head_node_args={"num_cpus": 1, "include_dashboard": False} | ports)
    handler = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(DEADLINE)
    try:
        ray.init(cluster.address, logging_level="ERROR", log_to_driver=False)
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.usefixtures("ray_cluster")
def test_ray_does_the_same_over_urls_and_a_killed_actor_costs_one_image(folder: Path, tmp_path: Path) -> None:
    class Odd(Compression):
        """Two images are special: one kills whoever codes it, one is never finished."""

        def converted(self, data: bytes, task: Task) -> bytes:
            if task.source.endswith("deadly.png"):
                os.kill(os.getpid(), signal.SIGKILL)
            while task.source.endswith("endless.png"):
                (tmp_path / "working").write_text(str(os.getpid()))
                time.sleep(0.1)
            return super().converted(data, task)

    (folder / "bad.png").write_bytes(b"rubbish")
    for name in ("deadly.png", "endless.png"):
        (folder / name).touch()
    names = ("deadly.png", "a.png", "bad.png", "b.JPG", "sub/c.webp", "endless.png")
    (tmp_path / "list.txt").write_text("".join(f"file://{folder}/{name}\n" for name in names))
    tasks = tasks_for([f"@{tmp_path}/list.txt"], f"file://{tmp_path}/out", Compression())

    run = run_ray(tasks, Odd(), workers=1, force=False)
    outcomes = {Path(o.source).name: o for o in islice(run, 5)}
    assert "worker process died" in (outcomes["deadly.png"].error or "")
    assert "not an image" in (outcomes["bad.png"].error or "")
    for name in ("a.png", "b.JPG", "c.webp"):
        assert outcomes[name].error is None
        assert Path(outcomes[name].output).stat().st_size == outcomes[name].bytes_after
    assert len(list((tmp_path / "out").rglob("*.rdpc"))) == 3

    while not (tmp_path / "working").exists():
        time.sleep(0.1)
    run.close()
    with pytest.raises(ProcessLookupError):  # noqa: PT012 # it takes a moment
        while True:
            os.kill(int((tmp_path / "working").read_text()), 0)
            time.sleep(0.1)


def test_ray_is_asked_for_where_it_is_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = run("batch", folder, tmp_path / "out", "--engine", "ray")
    assert result.exit_code == 1
    assert "pip install 'rdpcodec[ray]'" in result.stderr
