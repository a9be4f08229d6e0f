"""Outputs are written whole or not at all, and what was there before is respected."""

from __future__ import annotations

import errno
import fcntl
import ntpath
import os
import re
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec.core
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from rdpcodec.batch.manifest import Manifest
from rdpcodec.batch.work import Outcome
from rdpcodec.errors import OutputError, UsageError
from rdpcodec.files import storage, whole_files


def test_a_link_is_written_through_to_where_it_leads(tmp_path: Path) -> None:
    target, link = tmp_path / "target.rdpc", tmp_path / "link.rdpc"
    target.write_bytes(b"old")
    link.symlink_to("target.rdpc")
    storage.write_file(str(link), b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["link.rdpc", "target.rdpc"]


def test_a_link_that_leads_nowhere_is_a_name_that_exists(tmp_path: Path) -> None:
    link = tmp_path / "link.rdpc"
    link.symlink_to("nowhere.rdpc")
    assert storage.exists(str(link))
    assert storage.existing([str(link)]) == {str(link)}
    assert not storage.write_file(str(link), b"new", overwrite=False)
    storage.write_file(str(link), b"new")
    assert (tmp_path / "nowhere.rdpc").read_bytes() == b"new"


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OutputError, match="Too many levels of symbolic links"):
        storage.write_file(str(tmp_path / "a"), b"")


def test_pipes_devices_and_folders_are_never_replaced(tmp_path: Path) -> None:
    pipe, folder, link = tmp_path / "pipe", tmp_path / "folder", tmp_path / "null"
    os.mkfifo(pipe)
    folder.mkdir()
    link.symlink_to(os.devnull)
    for path, message in ((pipe, "pipe or a device"), (link, "pipe or a device"), (folder, "a folder")):
        kind = stat.S_IFMT(path.stat().st_mode)
        with pytest.raises(OutputError, match=message):
            storage.write_file(str(path), b"data")
        assert stat.S_IFMT(path.stat().st_mode) == kind
    assert sorted(os.listdir(tmp_path)) == ["folder", "null", "pipe"]


def replace_one(path: Path, data: bytes) -> None:
    storage.write_file(str(path), data)


def replace_several(path: Path, data: bytes) -> None:
    whole_files.replace_files({path: data, path.with_name("other"): data})


def create_one(path: Path, data: bytes) -> None:
    assert storage.write_file(str(path), data, overwrite=False)


@pytest.mark.parametrize("write", [replace_one, replace_several])
def test_data_are_on_the_disk_before_they_have_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, bytes], None]
) -> None:
    """Otherwise a power cut may leave an empty file in place of the old one."""
    path, safe = tmp_path / "file", {}
    path.write_bytes(b"old")
    sync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        sync(descriptor)
        safe[os.fstat(descriptor).st_ino] = os.fstat(descriptor).st_size

    def replaced(source: Path, target: str) -> None:
        assert safe.get(os.stat(source).st_ino) == len(b"new data")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write(path, b"new data")
    assert path.read_bytes() == b"new data"


def raises(error: BaseException) -> Callable[..., None]:
    def raising(*_: object, **__: object) -> None:
        raise error

    return raising


@pytest.mark.parametrize("error", [OSError("connection lost"), RuntimeError("connection lost")])
def test_an_upload_that_breaks_off_leaves_what_was_there(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    location = "memory://an-upload-that-breaks-off/file.rdpc"
    storage.write_file(location, b"old")
    upload = MemoryFileSystem.pipe_file

    def broken(self: MemoryFileSystem, path: str, value: bytes) -> None:
        upload(self, path, value[: len(value) // 2])
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "pipe_file", broken)
        patch.setattr(MemoryFileSystem, "rm_file", raises(RuntimeError("still no connection")))
        with pytest.raises(OutputError, match="cannot be written: connection lost"):
            storage.write_file(location, b"much newer")
    assert storage.read_file(location) == b"old"
    system, path = storage.filesystem(location)
    assert len(system.ls(os.path.dirname(path))) == 2
    storage.remove_partials([location])
    assert system.ls(os.path.dirname(path), detail=False) == [path]


@pytest.mark.parametrize("failing", ["pipe_file", "mv"])
@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), KeyboardInterrupt()])
def test_an_upload_that_fails_leaves_no_partial(
    monkeypatch: pytest.MonkeyPatch, failing: str, error: BaseException
) -> None:
    location = "memory://an-upload-that-fails/file.rdpc"
    storage.write_file(location, b"old")
    monkeypatch.setattr(MemoryFileSystem, failing, raises(error))
    with pytest.raises((OutputError, KeyboardInterrupt)):
        storage.write_file(location, b"new")
    system, path = storage.filesystem(location)
    assert system.ls(os.path.dirname(path), detail=False) == [path]


@pytest.mark.parametrize("error", [OSError("went away"), EOFError("went away"), Exception("went away")])
def test_whatever_a_store_raises_is_one_kind_of_error_that_names_the_url(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    location = "memory://a-store-that-goes-away/file.rdpc"
    for name in ("cat_file", "size", "exists", "isdir", "makedirs"):
        monkeypatch.setattr(MemoryFileSystem, name, raises(error))
    for ask in (
        storage.read_file,
        storage.size,
        storage.exists,
        lambda place: storage.existing([place]),
        lambda place: storage.remove_partials([place]),
        lambda place: storage.write_file(place, b""),
    ):
        with pytest.raises(OutputError, match=rf"^{location}: cannot be \w+: went away$"):
            ask(location)
    monkeypatch.setattr(fsspec.core, "url_to_fs", raises(error))
    with pytest.raises(UsageError, match=f"^{location}: cannot be opened: went away$"):
        storage.filesystem(location)


def test_what_only_a_mistake_of_ours_can_raise_stays_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError), storage.failures("/a/path", "read"):
        raise ZeroDivisionError


@pytest.mark.parametrize("url", ["zip://in::pics.zip", "memory://a::memory://b", "simplecache::memory://b"])
def test_chains_of_urls_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match=f"^{url}: '::' makes a chain of URLs"):
        storage.filesystem(url)


def test_the_path_of_a_url_of_this_machine_is_absolute_and_plain() -> None:
    assert storage.filesystem("file:///a/../b//c/")[1] == "/b/c"


def test_a_file_url_may_name_this_machine_and_no_other() -> None:
    for url in ("file://localhost/a/b", "local://LOCALHOST/a/b"):
        assert storage.filesystem(url)[1] == "/a/b"
    for url in ("file://host/a/b", "file://a"):
        with pytest.raises(UsageError, match=f"^{url}: .* would be another machine: give a path"):
            storage.filesystem(url)


def test_what_is_there_is_found_in_the_root_folder_too() -> None:
    name = sorted(os.listdir("/"))[0]
    assert storage.existing([f"/{name}", "/nothing of this name"]) == {f"/{name}"}


@pytest.mark.parametrize("write", [replace_one, replace_several, create_one])
def test_a_file_whose_partial_another_run_removes_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, bytes], None]
) -> None:
    name, removed = "link" if write is create_one else "replace", []
    rename = getattr(os, name)

    def renamed(source: Path, target: str) -> None:
        if target not in removed:
            removed.append(target)
            os.unlink(source)
        rename(source, target)

    monkeypatch.setattr(os, name, renamed)
    write(tmp_path / "file", b"data")
    assert sorted(os.listdir(tmp_path)) == sorted(map(os.path.basename, removed))
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"data"}


@pytest.mark.parametrize("write", [replace_one, replace_several, create_one])
def test_a_file_whose_partials_are_removed_again_and_again_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, bytes], None]
) -> None:
    def removed(source: Path, target: str) -> None:
        os.unlink(source)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(os, "replace", removed)
    monkeypatch.setattr(os, "link", removed)
    with pytest.raises(OSError, match="No such file"):
        write(tmp_path / "file", b"data")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("write", [replace_one, replace_several, create_one])
def test_a_full_disk_keeps_no_partial(tmp_path: Path, write: Callable[[Path, bytes], None]) -> None:
    """Closing the partial fails too there. A limit on the size of files stands in for the disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(tmp_path / "file", bytes(100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("write", [replace_one, replace_several, create_one])
def test_no_open_file_is_renamed_or_removed_for_windows_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, bytes], None]
) -> None:
    """Open partials are locked, so one that can be locked is closed."""
    replace, unlink, seen = os.replace, os.unlink, []

    def closed(path: str | Path) -> None:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        seen.append(path)

    monkeypatch.setattr(os, "replace", lambda source, target: (closed(source), replace(source, target)))
    monkeypatch.setattr(os, "unlink", lambda path: (closed(path), unlink(path)))
    (tmp_path / ".file.0123abcd.partial").touch()
    storage.remove_partials([str(tmp_path / "file")])
    assert len(seen) == 1
    write(tmp_path / "file", b"data")
    assert len(seen) > 1


def test_a_partial_has_a_legal_name_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "path", ntpath)
        partials = [
            whole_files.partial_name(path) for path in (r"C:\Users\x\photo.rdpc", "bucket/photo.rdpc")
        ]
    assert re.fullmatch(r"C:\\Users\\x\\\.photo\.rdpc\.[0-9a-f]{8}\.partial", partials[0])
    assert re.fullmatch(r"bucket/\.photo\.rdpc\.[0-9a-f]{8}\.partial", partials[1])


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_a_file_that_is_overwritten_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    storage.write_file(str(path), b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")
def test_a_file_that_is_overwritten_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, 12_345, 23_456)
    storage.write_file(str(path), b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12_345, 23_456)


@pytest.fixture(params=[True, False], ids=["hard links", "no hard links"])
def hard_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems with and without hard links."""
    if not request.param:
        monkeypatch.setattr(os, "link", raises(PermissionError(1, "Operation not permitted")))


@pytest.mark.usefixtures("hard_links")
def test_what_appears_while_a_file_is_written_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: path.write_bytes(b"theirs"))
        assert not storage.write_file(str(path), b"ours", overwrite=False)
    assert path.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.usefixtures("hard_links")
def test_a_file_that_overwrites_none_is_written_under_its_name_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    assert storage.write_file(str(path), b"data", overwrite=False)
    assert (path.read_bytes(), path.stat().st_nlink) == (b"data", 1)
    assert os.listdir(path.parent) == ["file"]
    assert not storage.write_file(str(path), b"other", overwrite=False)
    assert path.read_bytes() == b"data"


def test_of_many_that_write_one_file_at_once_one_does(tmp_path: Path) -> None:
    path, start = tmp_path / "file", threading.Barrier(8)

    def write(number: int) -> bool:
        start.wait()
        return storage.write_file(str(path), b"%d" % number, overwrite=False)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            written = list(pool.map(write, range(8)))
            assert written.count(True) == 1
            assert path.read_bytes() == b"%d" % written.index(True)
            path.unlink()
    assert not os.listdir(tmp_path)


def test_in_a_store_too_nothing_is_overwritten_unless_asked() -> None:
    location = "memory://nothing-is-overwritten/file.rdpc"
    assert storage.write_file(location, b"old", overwrite=False)
    assert not storage.write_file(location, b"new", overwrite=False)
    assert storage.read_file(location) == b"old"


def test_an_owner_that_cannot_be_kept_is_an_error_and_the_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    status = os.stat_result([*path.stat()[:4], path.stat().st_uid + 1, *path.stat()[5:]])
    monkeypatch.setattr(whole_files, "replaceable", lambda _: status)
    monkeypatch.setattr(os, "fchown", forbidden)
    with pytest.raises(OutputError, match="belongs to another user or group"):
        storage.write_file(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["a" * 255, "写" * 83 + ".rdpc", "b" * 238])
def test_names_of_up_to_255_bytes_are_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    storage.write_file(str(path), b"data")
    assert path.read_bytes() == b"data"
    assert os.listdir(tmp_path) == [name]
    with pytest.raises(OutputError, match="File name too long"):
        storage.write_file(str(tmp_path / ("c" * 256)), b"data")


def test_what_is_left_of_a_long_name_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    location = str(tmp_path / ("a" * 255))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            storage.write_file(location, b"data")
    assert len(os.listdir(tmp_path)) == 1
    storage.remove_partials([location])
    assert not os.listdir(tmp_path)


def test_what_another_run_is_writing_is_left_alone(tmp_path: Path) -> None:
    """One thread writes while another removes what killed writers left, as two runs would."""
    location, stop = str(tmp_path / "file"), threading.Event()
    surprises: list[BaseException] = []

    def clean() -> None:
        try:
            while not stop.is_set():
                storage.remove_partials([location])
        except BaseException as error:
            surprises.append(error)

    thread = threading.Thread(target=clean)
    thread.start()
    try:
        for i in range(100):
            storage.write_file(location, b"%d" % i * 1000)
    finally:
        stop.set()
        thread.join()
    assert not surprises
    assert Path(location).read_bytes() == b"99" * 1000
    assert os.listdir(tmp_path) == ["file"]


def test_a_manifest_on_a_full_disk_is_one_error(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk."""
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from rdpcodec.batch.manifest import Manifest\n"
        "from rdpcodec.batch.work import Outcome\n"
        "from rdpcodec.errors import OutputError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try:\n"
        "    with Manifest(Path('out.jsonl')) as manifest:\n"
        "        for _ in range(9):\n"
        "            manifest.append(Outcome('source', 'output'))\n"
        "except OutputError as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "out.jsonl: cannot be written: File too large\n"


def test_a_manifest_says_what_was_written(tmp_path: Path) -> None:
    with Manifest(tmp_path / "out.jsonl") as manifest:
        manifest.append(Outcome("a", "b"))
    assert Manifest(tmp_path / "out.jsonl").outputs == {"b"}


def test_a_manifest_makes_its_folder(tmp_path: Path) -> None:
    with Manifest(path := tmp_path / "new" / "folder" / "out.jsonl") as manifest:
        manifest.append(Outcome("a", "b"))
    assert path.read_text() == '{"source": "a", "output": "b"}\n'


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    storage.make_folder(str(tmp_path / "a" / "b"))
    storage.make_folder(str(tmp_path / "a" / "b"))
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file/c: cannot be created: Not a directory"):
        storage.make_folder(str(tmp_path / "file" / "c"))
