"""Where the files of `rdpcodec compress` and `decompress` go, and what is never overwritten."""

from __future__ import annotations

import io
import json
import os
import pty
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from programs import run

import rdpcodec
from rdpcodec.batch.work import Compression
from rdpcodec.image import files, saving


def test_several_images_go_into_a_folder(photo: Path) -> None:
    second = photo.with_name("second.png")
    second.write_bytes(photo.read_bytes())
    folder = photo.parent / "compressed"
    assert run("compress", photo, second, "-o", folder).exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["photo.rdpc", "second.rdpc"]
    assert run("decompress", *folder.iterdir(), "-o", folder, "--format", "webp").exit_code == 0
    assert len(list(folder.glob("*.webp"))) == 2


def test_one_bad_image_does_not_stop_the_rest(photo: Path) -> None:
    bad = photo.with_name("bad.png")
    bad.write_bytes(b"rubbish")
    result = run("compress", bad, photo, "-o", photo.parent)
    assert result.exit_code == 1
    assert "bad.png: not an image" in result.stderr
    assert "1 of 2 failed" in result.stderr
    assert photo.with_suffix(".rdpc").exists()


def test_standard_input_and_output(photo: Path) -> None:
    compressed = run("compress", "-", "-", stdin=photo.read_bytes())
    assert compressed.exit_code == 0
    decompressed = run("decompress", "-", stdin=compressed.stdout_bytes)
    assert Image.open(io.BytesIO(decompressed.stdout_bytes)).size == (101, 67)


def test_a_file_may_have_the_name_of_standard_input(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photo.parent)
    photo.rename(photo.with_name("-"))
    assert run("compress", "./-", "a.rdpc", stdin=b"").exit_code == 0
    Path("a.rdpc").rename("-")
    assert run("info", "./-", stdin=b"").exit_code == 0


def test_errors_of_the_system_are_not_put_down_to_standard_output(photo: Path) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))

    words = [sys.executable, "-m", "rdpcodec", "batch", photo, photo.with_name("out")]
    found = subprocess.run(words, stderr=subprocess.PIPE, preexec_fn=limited, timeout=120)
    assert (found.returncode, found.stderr) == (1, b"error: the system: Too many open files\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no folder that is in use")
def test_a_current_folder_that_is_gone_is_said(photo: Path, tmp_path: Path) -> None:
    script = "import os, sys; os.rmdir(os.getcwd()); from rdpcodec.cli import main; main()"
    for words in (("compress", photo, "a.rdpc"), ("batch", "photos", "out")):
        (gone := tmp_path / "gone").mkdir()
        found = subprocess.run(
            [sys.executable, "-c", script, *words], cwd=gone, stderr=subprocess.PIPE, timeout=120
        )
        assert found.returncode == 1
        assert b"the current folder: No such file or directory\n" in found.stderr
        assert str(photo).encode() not in found.stderr


def test_a_report_of_what_goes_to_standard_output_goes_elsewhere(photo: Path) -> None:
    found = run("compress", photo, "-", "--json")
    assert found.stdout_bytes == rdpcodec.compress(photo)
    assert json.loads(found.stderr)["bytes_after"] == len(found.stdout_bytes)
    back = run("decompress", "-", "-", stdin=found.stdout_bytes)
    assert Image.open(io.BytesIO(back.stdout_bytes)).size == (101, 67)
    assert back.stderr == "-: 101×67 RGB\n"


def test_what_appears_while_an_image_is_coded_is_not_overwritten(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, ours = photo.with_suffix(".rdpc"), rdpcodec.compress(photo)

    def slowly(work: Compression, source: Path, name: object) -> bytes:
        file.write_bytes(b"precious")
        return ours

    monkeypatch.setattr(Compression, "coded", slowly)
    found = run("compress", photo)
    assert (found.exit_code, file.read_bytes()) == (1, b"precious")
    assert "already exists" in found.stderr
    assert run("compress", photo, "--force").exit_code == 0
    assert file.read_bytes() == ours


def test_of_two_runs_that_write_one_file_at_once_one_fails(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, ours = photo.with_suffix(".rdpc"), rdpcodec.compress(photo)
    monkeypatch.setattr(os, "fsync", lambda _: file.write_bytes(b"theirs"))
    found = run("compress", photo)
    assert (found.exit_code, file.read_bytes()) == (1, b"theirs")
    assert found.stderr == f"error: {file}: already exists; use --force to overwrite it\n"
    assert sorted(os.listdir(photo.parent)) == ["photo.png", "photo.rdpc"]
    assert run("compress", photo, "--force").exit_code == 0
    assert file.read_bytes() == ours


@pytest.mark.parametrize(
    "words",
    [
        ("compress", ""),
        ("compress", "photo.png", ""),
        ("compress", "photo.png", "-o", ""),
        ("decompress", "photo.rdpc", "-o", ""),
        ("info", ""),
        ("suggest", ""),
        ("compare", "", "-o", "page.html"),
        ("compare", "photo.png", "-o", ""),
        ("serve", "--onnxruntime-web", ""),
        ("batch", "photo.png", "new", "--manifest", ""),
        ("web", ""),
    ],
)
def test_an_empty_name_is_not_the_current_folder(
    photo: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(photo.parent)
    result = run(*words)
    assert result.exit_code == 2
    assert "'' names no file or folder: is a variable of the shell not set?" in result.stderr
    assert os.listdir() == ["photo.png"]


@pytest.mark.parametrize(
    "words",
    [
        ("compress", "{url}"),
        ("compress", "photo.png", "{url}"),
        ("decompress", "photo.rdpc", "-o", "{url}"),
        ("info", "{url}"),
        ("suggest", "{url}"),
        ("compare", "photo.png", "-o", "{url}"),
        ("web", "{url}", "--onnxruntime-web", "package"),
        ("batch", "photo.png", "new", "--manifest", "{url}"),
    ],
)
def test_a_url_is_refused_as_it_was_given(
    photo: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(photo.parent)
    url = "s3://bucket//a.html"
    result = run(*(word.format(url=url) for word in words))
    assert (
        result.stderr
        == f"error: {url}: is a URL, which only SRC and DST of `rdpcodec batch` may be: give a path\n"
    )
    assert os.listdir() == ["photo.png"]


def test_a_folder_that_cannot_be_written_is_known_before_the_work(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (closed := photo.parent / "closed").mkdir()
    link, open_file = closed / "link.rdpc", photo.parent / "open.rdpc"
    open_file.touch()
    link.symlink_to(open_file)
    monkeypatch.setattr(os, "access", lambda path, mode, **_: not os.path.samefile(path, closed))
    for words in (
        ("compress", photo, closed / "new.rdpc"),
        ("compress", photo, "-o", closed),
        ("compare", photo, "-o", closed / "page.html"),
    ):
        result = run(*words)
        assert result.exit_code == 1
        assert result.stderr.endswith(": cannot be written: no files can be made in its folder\n")
    assert os.listdir(closed) == ["link.rdpc"]
    assert run("compress", photo, link, "--force").exit_code == 0
    assert open_file.read_bytes() == rdpcodec.compress(photo)


@pytest.mark.parametrize(
    "words",
    [
        ("info", "{path}"),
        ("suggest", "{path}"),
        ("compress", "{path}", "out.rdpc"),
        ("decompress", "{path}", "out.png"),
        ("compare", "{path}", "-o", "page.html"),
    ],
)
def test_a_path_that_the_system_refuses_is_one_of_our_errors(
    photo: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Too long a name stands for all that the system refuses, as files in folders without permission: root
    would read those.
    """
    monkeypatch.chdir(photo.parent)
    path = "n" * 256
    result = run(*(word.format(path=path) for word in words))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: {path}: cannot be read: File name too long\n"


def test_a_hyphen_is_a_standard_stream_whatever_has_that_name(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photo.parent)
    Path("-").mkdir()
    data, source = rdpcodec.compress(photo), photo.read_bytes()
    assert run("compress", "-", "-", stdin=source).stdout_bytes == data
    assert run("compress", "photo.png", "-").stdout_bytes == data
    assert run("compress", "-", "new.rdpc", stdin=source).exit_code == 0
    assert Path("new.rdpc").read_bytes() == data
    assert not os.listdir("-")
    Path("-").rmdir()
    Path("-").write_bytes(b"a file")
    outcome = json.loads(run("compress", "-", "-", "--json", stdin=source).stderr)
    assert "bytes_before" not in outcome


def test_a_site_is_not_written_to_standard_output(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photo.parent)
    result = run("web", "-", "--onnxruntime-web", "package")
    assert "- would be standard output, which takes one file: give a folder" in result.stderr


def test_a_file_that_is_there_may_be_called_like_a_url(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photo.parent)
    Path("data:").mkdir()
    photo.rename("data:/photo.png")
    assert run("compress", "data:/photo.png", "photo.rdpc").exit_code == 0
    assert run("compress", "data:/other.png", "other.rdpc").exit_code == 1


def test_nothing_is_overwritten_without_force(photo: Path) -> None:
    file = photo.with_suffix(".rdpc")
    file.write_bytes(b"precious")
    result = run("compress", photo)
    assert (result.exit_code, file.read_bytes()) == (1, b"precious")
    assert "use --force" in result.stderr
    assert run("compress", photo, "--force").exit_code == 0
    assert rdpcodec.decompress(file.read_bytes()).size == (101, 67)


def test_two_inputs_never_share_an_output(photo: Path) -> None:
    twin = photo.with_suffix(".bmp")
    Image.open(photo).save(twin)
    out = photo.parent / "out"
    assert run("compress", photo, twin, "-o", out).exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["photo.bmp.rdpc", "photo.png.rdpc"]
    (photo.parent / "sub").mkdir()
    same = photo.parent / "sub" / "photo.png"
    same.write_bytes(photo.read_bytes())
    result = run("compress", photo, same, "-o", out, "--force")
    assert result.exit_code == 1
    assert f"photo.png.rdpc would be written twice, from {photo} and {same}: rename one" in result.stderr
    result = run("compress", photo, photo, "-o", out, "--force")
    assert result.exit_code == 1
    assert f"{photo}: is given twice: leave one out" in result.stderr


def test_an_output_option_names_a_file_or_a_folder(photo: Path) -> None:
    file, folder = photo.parent / "small.rdpc", photo.parent / "folder.rdpc"
    assert run("compress", photo, "-o", file).exit_code == 0
    assert rdpcodec.decompress(file.read_bytes()).size == (101, 67)
    folder.mkdir()
    assert run("compress", photo, "-o", folder).exit_code == 0
    assert (folder / "photo.rdpc").read_bytes() == file.read_bytes()
    assert run("decompress", file, "-o", photo.parent / "decoded.webp").exit_code == 0
    assert Image.open(photo.parent / "decoded.webp").format == "WEBP"
    assert run("decompress", file, "--output-dir", photo.parent / "12.30").exit_code == 0
    assert [path.name for path in (photo.parent / "12.30").iterdir()] == ["small.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("compress", "."), ".: is a folder: rdpcodec batch . OUT"),
        (("decompress", "out"), "out: is a folder: rdpcodec batch --decompress out OUT"),
        (("compress", "photo.png", "out"), "out: is a folder: give it as -o out"),
        (("compress", "photo.png", "out.jpg"), "out.jpg: an output's name must end in .rdpc"),
        (("compress", "photo.png", "small"), "small: an output's name must end in .rdpc"),
        (
            ("compress", "photo.png", "photo.png"),
            "2 inputs need a folder for their outputs: -o DIR, or -o . for the current folder",
        ),
        (
            ("compress", "photo.png", "/dev/null"),
            "/dev/null: an output's name must end in .rdpc, or be -\n",
        ),
        (("compress", "-", "photo.png"), "photo.png: an output's name must end in .rdpc, or be -\n"),
        (
            ("decompress", "photo.rdpc", "/dev/null"),
            "/dev/null: an output's name must end in .png, .webp, .jpg or the like, or be -\n",
        ),
        (("suggest", "out"), "out: is a folder: give the files in it, such as out/*.png"),
        (("compare", "out", "-o", "page.html"), "out: is a folder: give the files in it, such as out/*.png"),
        (("info", "."), ".: is a folder: give the files in it, such as *.rdpc"),
        (("batch", "photo.png", "photo.png"), "photo.png is a file: give a folder"),
        (("batch", "out", "photo.png"), "photo.png is a file: give a folder"),
        (("batch", "photo.png", "-"), "- would be standard output, which takes one file: give a folder"),
        (("batch", "photo.png", ""), "'' names no file or folder: is a variable of the shell not set?"),
        (("batch", "", "out", "--recursive"), "'' names no file or folder"),
        (("compress", "photo.png", "b.png", "c.png"), "3 inputs need a folder"),
        (
            ("compress", "photo.png", "b.png", "-o", "c.rdpc"),
            "c.rdpc is one output, for 2 inputs: give a folder",
        ),
        (
            ("compress", "photo.png", "-o", "photo.png"),
            "photo.png: not a folder, nor a name that ends in .rdpc",
        ),
        (
            ("compress", "photo.png", "-o", "new.rdp"),
            "new.rdp: an output's name must end in .rdpc; for a folder of that name, make it first",
        ),
        (("compress", "photo.png", "-o", "photo.png/x"), "photo.png/x: cannot be created: Not a directory"),
        (("decompress", "photo.png"), "photo.png: not an .rdpc file"),
        (("decompress", "photo.png", "--realism", "3"), "error: realism 3.0 is outside 0..1"),
        (("decompress", "photo.png", "--device", "meta"), "device 'meta' cannot be used"),
        (("compress", "photo.png", "--device", "meta"), "device 'meta' cannot be used"),
        (
            ("decompress", "a.rdpc", "b.xyz"),
            "b.xyz: an output's name must end in .png, .webp, .jpg or the like",
        ),
        (("compress", "n" * 256 + ".png"), "File name too long"),
        (
            ("decompress", "a.rdpc", "b.jpg", "--format", "png"),
            "b.jpg: is not a name for --format png: leave one of them out",
        ),
        (("compress", "-", "-o", "out"), "standard input has no name for its output in out: give one, or -"),
    ],
)
def test_what_goes_where_is_clear_or_refused_with_a_reason(
    photo: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(photo.parent)
    Path("out").mkdir()
    result = run(*words)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert sorted(os.listdir()) == ["out", "photo.png"]


@pytest.mark.parametrize(("suffix", "name"), [(".heic", "HEIC"), (".HIF", "HEIC"), (".jxl", "JPEG XL")])
def test_an_output_that_needs_a_plugin_says_how_to_install_it(
    photo: Path, suffix: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.init()
    own = {known: kind for known, kind in Image.EXTENSION.items() if kind not in ("HEIF", "JXL")}
    monkeypatch.setattr(Image, "EXTENSION", own)  # as if no plugin were installed
    monkeypatch.setattr(files, "register_plugins", frozenset)
    monkeypatch.setattr(saving, "register_plugins", frozenset)
    coded, place = photo.with_suffix(".rdpc"), photo.with_name(f"out{suffix}")
    for words in ((coded, place), (coded, "-o", place), (coded, "--format", suffix)):
        result = run("decompress", *words)
        assert result.exit_code == 1
        assert f"{name} needs a plugin: pip install 'rdpcodec[formats]'" in result.stderr
    assert not place.exists()
    assert "an output's name must end in .rdpc" in run("compress", photo, place).stderr


def test_outputs_that_are_links_pipes_or_devices_are_respected(photo: Path) -> None:
    pipe, dangling, link = (photo.with_name(f"{name}.rdpc") for name in ("pipe", "dangling", "link"))
    os.mkfifo(pipe)
    dangling.symlink_to("nowhere.rdpc")
    link.symlink_to("target.rdpc")
    (photo.parent / "target.rdpc").write_bytes(b"old")
    assert "never replaced" in run("compress", photo, pipe, "--force").stderr
    assert pipe.is_fifo()
    assert "already exists" in run("compress", photo, dangling).stderr
    assert dangling.is_symlink()
    assert run("compress", photo, link, "--force").exit_code == 0
    assert link.is_symlink()
    assert rdpcodec.decompress((photo.parent / "target.rdpc").read_bytes()).size == (101, 67)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_an_output_that_is_a_link_to_its_input_is_refused(
    photo: Path, link: Callable[[Path, Path], None]
) -> None:
    before, output = photo.read_bytes(), photo.with_suffix(".rdpc")
    link(photo, output)
    result = run("compress", photo, "--force")
    assert result.exit_code == 1
    assert f"error: {output}: is the same file as its input {photo}: name another output" in result.stderr
    assert photo.read_bytes() == before


def test_an_error_has_the_name_of_the_file_as_it_is(photo: Path) -> None:
    missing = photo.with_name("nö  x.png")
    result = run("compress", missing, "--json")
    assert result.stderr == f"error: {missing}: no such file\n"
    assert json.loads(result.stdout)["error"] == f"{missing}: no such file"
    words = [sys.executable, "-m", "rdpcodec", "batch", missing, photo.with_name("out")]
    found = subprocess.run(words, stderr=subprocess.PIPE, timeout=120)
    assert found.stderr.decode().startswith(f"error: {missing}: no such file or folder")


def test_an_output_larger_than_its_input_is_said_with_a_way_out(tmp_path: Path, small: Image.Image) -> None:
    source = tmp_path / "coarse.jpg"
    small.save(source, quality=5)
    result = run("compress", source, "-q", 100)
    size = (tmp_path / "coarse.rdpc").stat().st_size
    assert f"warning: {source}: the output, {size} bytes, is no smaller than its input" in result.stderr
    assert "keep the input, unless a lower quality" in result.stderr
    batch = run("batch", source, tmp_path / "out", "-q", 100, "-w", 1)
    assert "is no smaller than its input" in batch.stderr
    assert "is no smaller" not in run("compress", source, "-q", 0, "--force").stderr


def test_an_output_as_large_as_its_input_is_no_gain_either(tmp_path: Path, small: Image.Image) -> None:
    source = tmp_path / "coarse.jpg"
    small.save(source, quality=5)
    photo, size = source.read_bytes(), len(rdpcodec.compress(source, 100))
    for larger, said in ((0, True), (1, False)):
        source.write_bytes(photo.ljust(size + larger, b"\0"))
        found = run("compress", source, "-q", 100, "--force")
        assert ("is no smaller than its input" in found.stderr) == said


def test_a_failed_run_leaves_nothing_behind(photo: Path) -> None:
    damaged = photo.with_suffix(".rdpc")
    damaged.write_bytes(rdpcodec.compress(photo)[:-3])
    before = set(photo.parent.iterdir())
    assert run("decompress", damaged, photo.with_name("out.png")).exit_code == 1
    assert set(photo.parent.iterdir()) == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_devices_that_never_end_or_are_full_are_errors(photo: Path) -> None:
    for words in (("info",), ("decompress",)):
        found = run(*words, "/dev/zero", *(() if words == ("info",) else ("-o", photo.with_suffix(".webp"))))
        assert (found.exit_code, "not an .rdpc file" in found.stderr) == (1, True)
    batch = run("batch", photo, photo.parent / "out", "--manifest", "/dev/full")
    assert (batch.exit_code, "a pipe or a device" in batch.stderr) == (1, True)
    commands = (("--help",), ("models",), ("compress", photo, "-"), ("compress", photo), ("suggest", photo))
    for words in commands:
        with open("/dev/full", "wb") as full:
            ended = subprocess.run(
                [sys.executable, "-m", "rdpcodec", *words], stdout=full, stderr=subprocess.PIPE, timeout=120
            )
        assert ended.returncode == 1
        assert ended.stderr.startswith(b"error: standard output: ")
        assert ended.stderr.count(b"\n") == 1


def test_binary_data_is_not_written_to_a_terminal(photo: Path) -> None:
    terminal, end = pty.openpty()
    words = [sys.executable, "-m", "rdpcodec", "compress", str(photo), "-"]
    result = subprocess.run(words, stdout=end, stderr=subprocess.PIPE, timeout=120)
    os.close(end)
    os.close(terminal)
    assert result.returncode == 1
    assert b"is a terminal" in result.stderr


def test_a_full_disk_is_noticed_without_a_buffer_too(photo: Path) -> None:
    """Without a buffer, the system may write only a part of the data and report no error."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    for environment in ({}, {"PYTHONUNBUFFERED": "1"}):
        with photo.with_suffix(".rdpc").open("wb") as small:
            ended = subprocess.run(
                [sys.executable, "-m", "rdpcodec", "compress", photo, "-"],
                stdout=small,
                stderr=subprocess.PIPE,
                env=os.environ | environment,
                preexec_fn=limited,
                timeout=120,
            )
        assert ended.returncode == 1, environment
        assert ended.stderr.startswith(b"error: standard output: cannot be written: "), environment


def test_a_page_is_written_under_the_name_of_a_page(photo: Path) -> None:
    refused = run("compare", photo, "-o", photo.with_name("page.png"))
    assert (refused.exit_code, "ends in .html" in refused.stderr) == (2, True)
