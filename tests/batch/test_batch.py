from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_tasks import DEADLINE, reader_of, slow_image, tasks_for
from click.shell_completion import ShellComplete
from PIL import Image, ImageChops
from programs import on_terminal, run

import rdpcodec
from rdpcodec.batch.run import ENGINES
from rdpcodec.batch.work import Compression, Outcome
from rdpcodec.cli import rdpcodec as rdpcodec_command
from rdpcodec.format.container import read_header


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
        # A shell that starts the tests in the background makes them ignore interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    programs.append(program)
    return program


def five_images(tmp_path: Path, small: Image.Image) -> tuple[Path, Path]:
    """A list of five images, and the third of them, which is slow."""
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
    # As if, when the run was killed, the manifest's last line was missing and another was written in part.
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
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does, to parent and workers
    # The program does not wait for the image in work, which goes on until the descriptor is closed.
    out, err = program.communicate(timeout=DEADLINE)
    os.close(descriptor)
    assert program.returncode == 130
    assert b"2 of 5 images" in out
    assert err.decode() == "interrupted: run the same command with --resume to continue\n"
    kept = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert kept == ["0.rdpc", "1.rdpc"]


def test_a_run_with_force_that_was_interrupted_is_not_one_to_resume(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> Iterator[Outcome]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setitem(ENGINES, "local", interrupted)
    result = run("batch", folder, tmp_path / "out", "--force")
    assert result.exit_code == 130
    assert result.stderr.endswith("interrupted: run the same command again: --force starts over\n")


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
    assert errors[0].startswith(f"error: {tmp_path}/out/a.rdpc: already exists")
    assert errors[1:-1] == [f"error: {folder}/bad.png: not an image in a format that Pillow reads"]
    last = errors[-1]
    assert last == "error: 2 of 5 failed"
    records = {Path(str(line["source"])).name: line for line in lines_of(manifest)}
    assert sorted(records) == ["a.png", "b.JPG", "bad.png", "c.webp", "deep.png"]
    assert {name for name, record in records.items() if "error" in record} == {"a.png", "bad.png"}
    coded = (tmp_path / "out" / "sub" / "c.rdpc").read_bytes()
    assert records["c.webp"]["quality"] == read_header(coded)[0].quality
    assert (tmp_path / "out" / "a.rdpc").read_bytes() == b"precious"


def test_a_folder_that_may_not_be_read_is_an_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (closed := folder / "closed").mkdir()
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(closed) and allowed(path, mode))
    result = run("batch", folder, tmp_path / "out", "-r", "-w", 1)
    assert result.exit_code == 1
    assert f"error: {closed}: the folder cannot be read: permission denied" in result.stderr


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
    strict = ("batch", folder, tmp_path / "out", "-r", "-w", 1, "--strict", "--resume")
    assert run(*strict, "--manifest", folder / "done.jsonl").exit_code == 0
    assert run(*strict, "--manifest", folder / "done.jsonl").exit_code == 0  # the run's own is not left out
    assert run(*strict).exit_code == 1


def test_a_run_can_be_silent_or_report_in_json(folder: Path, tmp_path: Path) -> None:
    result = run("batch", folder, tmp_path / "quiet", "-w", 1, "--quiet")
    assert (result.exit_code, result.stdout) == (0, "")
    record = json.loads(run("batch", folder, tmp_path / "json", "-w", 1, "--json").stdout)
    assert (record["images"], record["done"], record["failed"], record["interrupted"]) == (2, 2, 0, False)
    assert record["bytes_before"] == sum((folder / name).stat().st_size for name in ("a.png", "b.JPG"))
    assert record["bytes_after"] == sum(p.stat().st_size for p in (tmp_path / "json").iterdir())
    assert record["left_out"] == {".rdpc": 1, ".txt": 1, "folder": 1, "hidden": 1}


def test_a_damaged_output_of_an_earlier_run_is_an_image_that_failed(folder: Path, tmp_path: Path) -> None:
    (out := tmp_path / "out").mkdir()
    (out / "a.rdpc").write_bytes(b"damaged")
    (out / "b.rdpc").write_bytes((folder / "old.rdpc").read_bytes())
    result = run("batch", folder, out, "--resume", "--manifest", tmp_path / "m.jsonl", "--json")
    record = json.loads(result.stdout)
    assert (record["images"], record["done"], record["failed"], record["present"]) == (1, 0, 1, 1)
    assert result.stderr.endswith("error: 1 of 1 failed\n")
    lines = map(json.loads, (tmp_path / "m.jsonl").read_text().splitlines())
    assert {Path(line["output"]).name: "error" in line for line in lines} == {"a.rdpc": True, "b.rdpc": False}


def test_a_folder_that_may_not_be_written_is_known_before_the_first_image(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (out := tmp_path / "out").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(out))
    monkeypatch.setitem(ENGINES, "local", lambda *_, **__: pytest.fail("begins to code"))
    for destination in (out, f"file://{out}"):
        result = run("batch", folder, destination)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.endswith(
            f"{destination}: no files can be made in this folder: "
            "change its permissions, or give another folder\n"
        )


@pytest.mark.parametrize("typed", [["batch"], ["batch", "photos", "*.png", "s3://bucket", "@list.txt"]])
def test_tab_completes_file_names(typed: list[str]) -> None:
    found = ShellComplete(rdpcodec_command, {}, "rdpcodec", "_RDPCODEC_COMPLETE").get_completions(typed, "a")
    assert [item.type for item in found] == ["file"]


@pytest.mark.parametrize("name", ["new.rdpc", "new.PNG", "{folder}/new.tga"])
@pytest.mark.parametrize("decompress", [(), ("--decompress",)])
def test_a_folder_named_like_a_file_has_to_be_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, decompress: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(ENGINES, "local", lambda *_, **__: (outcome for outcome in ()))
    place = Path(name.format(folder=folder))
    result = run("batch", folder, place, *decompress)
    assert (result.exit_code, place.exists()) == (1, False)
    assert f"error: {place} is named like a file: give a folder" in result.stderr
    assert run("batch", folder, f"{place}/", *decompress).exit_code == 0
    assert run("batch", folder, place, *decompress).exit_code == 0  # now there is such a folder


def test_outputs_are_not_left_in_the_memory_of_workers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "local", lambda *_, **__: pytest.fail("begins to code"))
    result = run("batch", folder, "memory://out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: memory://out: ")
    assert isinstance(result.exception, rdpcodec.UsageError)


def test_a_manifest_may_lie_in_a_new_destination(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENGINES, "local", lambda *_, **__: (outcome for outcome in ()))
    manifest = tmp_path / "out" / "done.jsonl"
    assert run("batch", folder, tmp_path / "out", "--manifest", manifest).exit_code == 0
    assert manifest.read_bytes() == b""


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
        (("--realism", "0.5"), "no realism setting"),
        (("--model", "slow"), "there is no model 'slow'"),
        (("--manifest", "{folder}/a.png/out.jsonl"), "a.png/out.jsonl: cannot be written: Not a directory"),
        (("--manifest", "{folder}/sub/c.webp"), "c.webp: is not a manifest"),
        (("--manifest", "{folder}/notes.txt"), "notes.txt: is not a manifest"),
        (("--manifest", "-"), "--manifest - would be standard output: name a file"),
        (("--decompress", "--realism", "auto"), "realism 'auto': decompression takes a number"),
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
