from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click
import pytest
from batch_tasks import DEADLINE, reader_of, slow_image
from click.testing import CliRunner
from PIL import Image
from programs import on_terminal, run

import rdpcodec
from rdpcodec.cli import rdpcodec as command
from rdpcodec.cli.pages import serve


def program(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run the program as a user does, in a process of its own."""
    words = [sys.executable, "-m", "rdpcodec", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def test_lines_of_json_tell_what_became_of_each_image(photo: Path) -> None:
    bad = photo.with_name("bad.png")
    bad.write_bytes(b"rubbish")
    out = photo.parent / "out"
    result = run("compress", photo, bad, "-o", out, "-q", 30, "--json")
    assert result.exit_code == 1
    good, failed = map(json.loads, result.stdout.splitlines())
    assert (good["source"], good["output"]) == (str(photo), str(out / "photo.rdpc"))
    assert good["bytes_after"] == (out / "photo.rdpc").stat().st_size
    assert (good["bytes_before"], good["quality"]) == (photo.stat().st_size, 30)
    assert failed["error"].startswith(f"{bad}: not an image")
    back = json.loads(run("decompress", out / "photo.rdpc", "--json").stdout)
    assert (back["output"], back["bpp"]) == (str(out / "photo.png"), good["bpp"])
    assert run("decompress", out / "photo.rdpc", out / "b.png", "--quiet").stdout == ""


def test_a_line_of_json_holds_the_warnings(tmp_path: Path, small: Image.Image) -> None:
    small.save(tmp_path / "a.gif", save_all=True, append_images=[small.rotate(90)])
    record = json.loads(run("compress", tmp_path / "a.gif", "--json").stdout)
    assert record["warnings"] == ["only the first of several frames is coded"]


def test_a_command_does_not_import_what_only_others_need() -> None:
    script = (
        "import sys, rdpcodec.cli\n"
        "try: rdpcodec.cli.main()\n"
        "finally: print(*(name for name in sys.modules if name.startswith('rdpcodec.')))"
    )
    words = [sys.executable, "-c", script, "decompress", "--help"]
    modules = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    assert "rdpcodec.cli.coding" in modules
    assert not {"rdpcodec.cli.batch", "rdpcodec.cli.pages", "rdpcodec.training.commands"} & set(modules)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compress", "missing.png"), "missing.png: no such file"),
        (("compress", "{photo}", "-q", "101"), "quality 101.0 is outside 0..100"),
        (("compress", "{photo}", "--realism", "0.5"), "no realism setting"),
        (("compress", "{photo}", "--effort", "10"), "effort 10 is outside"),
        (("compress", "{photo}", "--preset", "photo-real"), "no realism setting"),
        (
            ("compress", "{photo}", "--target-bpp", "1", "--target-psnr", "30"),
            "a pair takes one of distortion (PSNR, MS-SSIM, SSIMULACRA2) and one of perception (LPIPS)",
        ),
        (
            ("compress", "{photo}", "--target-psnr", "30", "-q", "30"),
            "--quality and --target-psnr each set the quality: give one of them",
        ),
        (
            ("compress", "{photo}", "--target-psnr", "30", "--target-lpips", "0.1", "--realism", "0"),
            "--target-psnr and --target-lpips find the realism: leave it out",
        ),
        (
            ("compress", "{photo}", "--target-psnr", "9", "--target-lpips", "1", "--target-ssimulacra2", "9"),
            "each set the quality: give one of them",
        ),
        (("compress", "{photo}", "--target-size", "50kilo"), "size '50kilo': give bytes"),
        (("compress", "{photo}", "--target-ms-ssim", "1.5"), "must be over 0 and below 1"),
        (
            ("compress", "{photo}", "--target-bpp", "0.001"),
            "photo.png: target 0.001 bits per pixel: qualities 0 to 100 give this image 0.",
        ),
        (("suggest", "missing.png"), "missing.png: no such file"),
        (("compress", "{photo}", "--model", "slow"), "there is no model 'slow'"),
        (("compress", "{photo}", "--device", "tpu9"), "device 'tpu9' cannot be used"),
        (("compress", "{photo}", "--device", "cuda:9"), "device 'cuda:9' cannot be used"),
        (("compress", "{photo}", "{photo}"), "-o DIR"),
        (("compress", "{photo}", "nowhere/out.rdpc"), "the folder nowhere does not exist"),
        (("decompress", "{photo}", "out.png"), "not an .rdpc file"),
        (("decompress", "missing.rdpc"), "missing.rdpc: no such file"),
        (("decompress", "{photo}", "--format", "xyz"), "not an image format"),
        (("info", "{photo}"), "not an .rdpc file"),
        (("info", "missing.rdpc"), "missing.rdpc: no such file"),
        (("info", "{photo.parent}"), "is a folder: give the files in it, such as "),
        (("compare", "missing.png", "-o", "page.html"), "missing.png: no such file"),
    ],
)
@pytest.mark.usefixtures("no_realism")
def test_a_users_mistake_is_one_line(photo: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run(*(argument.format(photo=photo) for argument in arguments))
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        ("info", "{file}"),
        ("models",),
        ("compress", "--help"),
        ("suggest", "--help"),
        ("batch", "--help"),
        ("compare", "--help"),
        ("serve", "--help"),
    ],
)
def test_help_version_info_and_models_answer_without_torch(photo: Path, words: tuple[str, ...]) -> None:
    file = photo.with_suffix(".rdpc")
    file.write_bytes(rdpcodec.compress(photo))
    script = (
        "import sys, rdpcodec.cli\n"
        "try: rdpcodec.cli.main()\n"
        "finally: assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    arguments = [word.format(file=file) for word in words]
    result = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, timeout=60)
    assert result.returncode == 0, result.stderr


def test_importing_the_package_does_not_import_torch() -> None:
    subprocess.run(
        [sys.executable, "-c", "import rdpcodec, sys; assert 'torch' not in sys.modules"], check=True
    )


def test_a_users_mistake_shows_no_traceback(tmp_path: Path) -> None:
    result = program("compress", tmp_path / "missing.png")
    assert result.returncode == 1
    assert result.stderr.decode().strip() == f"error: {tmp_path / 'missing.png'}: no such file"


def test_an_interrupt_is_one_line_and_the_status_that_shells_give_it(tmp_path: Path) -> None:
    waiting = subprocess.Popen(
        [sys.executable, "-m", "rdpcodec", "compress", slow_image(tmp_path / "slow.png")],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    descriptor = reader_of(tmp_path / "slow.png")
    for _ in range(DEADLINE // 10):
        # Python may miss a signal just before the call that waits: then a user presses Ctrl-C again.
        waiting.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            _, errors = waiting.communicate(timeout=10)
            break
    os.close(descriptor)
    assert (waiting.returncode, errors.strip()) == (128 + signal.SIGINT, b"error: interrupted")


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("cp437", "->xx...\\u5199\\u771f"), ("cp1252", "->××…\\u5199\\u771f"), ("utf-8", "→××…写真")],
)
def test_every_sign_that_a_terminal_lacks_is_shown_in_its_place(
    tmp_path: Path, encoding: str, shown: str
) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    result = program("info", "→××…写真.rdpc", cwd=tmp_path, env=environment)
    assert result.stderr.decode(encoding) == f"error: {shown}.rdpc: no such file\n"


@pytest.mark.parametrize("command", ["compress", "decompress", "info", "suggest"])
def test_a_name_of_two_lines_is_one_line_of_an_error(tmp_path: Path, command: str) -> None:
    bad = tmp_path / "two\nlines"
    bad.write_bytes(b"rubbish")
    result = run(command, bad)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {tmp_path}/two lines: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["cp1252", "ascii:strict", "utf-8:strict"])
def test_no_encoding_of_a_terminal_ends_in_a_traceback(photo: Path, encoding: str) -> None:
    odd = os.fsencode(photo.parent) + b"/caf\xe9 \xe5\x86\x99.png"
    os.link(photo, odd)
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    for words in (("--help",), ("compress", os.fsdecode(odd)), ("compress", os.fsdecode(odd))):
        result = program(*words, env=environment)
        assert b"Traceback" not in result.stderr
    assert (result.returncode, b"already exists" in result.stderr) == (1, True)
    assert os.path.exists(odd.replace(b".png", b".rdpc"))


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("compress", "photo.png", "-q", "150"), 2, "error: quality 150.0 is outside 0..100"),
        (
            ("compress", "photo.png", "-q", "high"),
            2,
            "error: Invalid value for '-q' / '--quality': 'high' is not",
        ),
        (("compress", "photo.png", "--qualty", "3"), 2, "error: No such option '--qualty'"),
        (
            ("compress", "photo.png", "--max-pixels", "nan"),
            2,
            "error: Invalid value for '--max-pixels': nan is",
        ),
        (
            ("compress", "photo.png", "--target-bpp", "1e-310"),
            2,
            "error: target 1e-310 bits per pixel: must be",
        ),
        (("squeeze",), 2, "error: No such command 'squeeze'; see python -m rdpcodec --help"),
        (("compress", "missing.png"), 1, "error: missing.png: no such file"),
        (("compress", "https://example.com/a.png"), 2, "error: https://example.com/a.png: is a URL, which"),
        (("compress", "missing.png", "s3://bucket/a.rdpc"), 2, "error: s3://bucket/a.rdpc: is a URL, which"),
        (
            ("compress", "photo.png", "small"),
            2,
            "error: small: an output's name must end in .rdpc, or be -, and a folder is given as -o small",
        ),
    ],
)
def test_mistakes_in_a_command_have_one_line_and_one_status(
    photo: Path, words: tuple[str, ...], status: int, message: str
) -> None:
    result = program(*words, cwd=photo.parent)
    (line,) = result.stderr.decode().splitlines()
    assert line.startswith(message)
    assert (result.returncode, result.stdout) == (status, b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_closed_standard_stream_is_no_traceback(photo: Path, closed: str) -> None:
    source, place = (
        ("-", "out.rdpc") if closed == "<&-" else ("photo.png", "-" if closed == ">&-" else "out.rdpc")
    )
    line = f"{sys.executable} -m rdpcodec compress {source} {place} {closed}"
    result = subprocess.run(["sh", "-c", line], cwd=photo.parent, capture_output=True, timeout=120)
    assert b"Traceback" not in result.stderr
    assert result.returncode == (0 if closed == "2>&-" else 1)
    assert Path(photo.parent, "out.rdpc").exists() == (closed == "2>&-")


@pytest.mark.parametrize(
    ("words", "found"), [("compress --model fa", "fast"), ("compress --pres", "--preset"), ("ser", "serve")]
)
def test_a_shell_can_complete_words(words: str, found: str) -> None:
    variables = {"_RDPCODEC_COMPLETE": "bash_complete", "COMP_CWORD": str(len(words.split()))}
    environment = variables | {"COMP_WORDS": f"rdpcodec {words}"}
    result = CliRunner().invoke(command, [], prog_name="rdpcodec", env=environment)
    assert found in result.stdout


@pytest.mark.parametrize("command", ["compress", "suggest", "batch"])
def test_a_model_that_cannot_encode_is_a_mistake_in_the_command(photo: Path, command: str) -> None:
    out = [photo.parent / "out"] if command == "batch" else []
    for model, message in (
        ("slow", b"there is no model 'slow'"),
        ("base-ddc2ae65", b"makes none: fast does"),
    ):
        found = program(command, photo, *out, "--model", model)
        assert found.returncode == 2
        assert message in found.stderr


@pytest.mark.parametrize("words", [(), ("train",)])
def test_without_a_command_its_help_is_shown(words: tuple[str, ...]) -> None:
    found = program(*words)
    assert found.returncode == 2
    assert found.stderr.decode().startswith("Usage: ")
    assert b"\nCommands:\n" in found.stderr


def test_an_image_may_come_through_a_pipe_with_a_name(photo: Path, tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe.png")
    with subprocess.Popen(["cp", photo, pipe]):
        assert program("compress", pipe, tmp_path / "piped.rdpc").returncode == 0
    assert run("compress", photo, tmp_path / "plain.rdpc").exit_code == 0
    assert (tmp_path / "piped.rdpc").read_bytes() == (tmp_path / "plain.rdpc").read_bytes()


def test_the_version_has_a_short_option() -> None:
    assert run("-V").stdout == run("--version").stdout


def screen(written: str) -> list[str]:
    """The lines that a terminal shows for what programs wrote; understands only the codes they use below."""
    lines, row, column = [""], 0, 0
    for code, character in re.findall(r"\x1b\[[?\d;]*([A-Za-z])|(.)", written, re.DOTALL):
        if code == "A":
            row -= 1
        elif code == "K":
            lines[row] = ""
        elif character == "\r":
            column = 0
        elif character == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif character:
            lines[row] = lines[row][:column].ljust(column) + character + lines[row][column + 1 :]
            column += 1
    return lines


@pytest.mark.parametrize(("given", "size"), [("300", 300_000_000), ("0.5", 500_000), ("inf", sys.maxsize)])
def test_an_upload_may_have_more_bytes_than_an_image_has_pixels(given: str, size: int) -> None:
    assert serve.make_context("serve", ["--max-size", given]).params["max_size"] == size


@pytest.mark.parametrize(
    ("option", "given", "message"),
    [
        ("--max-size", "nan", "nan is not a number"),
        ("--max-pixels", "nan", "nan is not a number"),
        ("--max-pixels", "300", "300 megapixels: no image has more than 268"),
    ],
)
def test_a_limit_of_the_server_that_cannot_be_is_an_error(option: str, given: str, message: str) -> None:
    with pytest.raises(click.BadParameter, match=message):
        serve.make_context("serve", [option, given])


def test_a_bar_and_the_lines_about_files_do_not_garble_each_other(tmp_path: Path, small: Image.Image) -> None:
    script = (
        "import rdpcodec.cli.progress as progress\n"
        "progress.PATIENCE_SECONDS = 0\n"
        "from rdpcodec.cli import main\n"
        "main()"
    )
    small.save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"rubbish")
    small.save(tmp_path / "c.gif", save_all=True, append_images=[small.rotate(90)])
    names = ["a.png", "b.png", "c.gif"]
    words = [sys.executable, "-c", script, "compress", *names, "-o", "."]
    status, written = on_terminal(
        words, cwd=tmp_path, env=os.environ | {"COLUMNS": "60", "TERM": "xterm", "OMP_NUM_THREADS": "1"}
    )
    assert status == 1
    assert "0/3" in written
    shown = [line for line in screen(written) if line.strip()]
    starts = ("a.rdpc: ", "error: b.png: ", "warning: c.gif: ", "c.rdpc: ", "error: 1 of 3 failed")
    assert len(shown) == len(starts), shown
    for line, start in zip(shown, starts, strict=True):
        assert line.startswith(start)
