"""Which files a run takes, and where it puts its outputs."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import ClassVar
from urllib.parse import urlsplit

import fsspec
import pytest
from batch_tasks import tasks_for
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from rdpcodec import UsageError
from rdpcodec.batch.names import output_names
from rdpcodec.batch.plan import plan
from rdpcodec.batch.work import Compression, Decompression, Work
from rdpcodec.errors import OutputError
from rdpcodec.files import storage


def planned(*sources: object, work: Work | None = None, **options: bool) -> list[str]:
    """The outputs of a plan, as paths below the destination."""
    tasks = tasks_for(list(sources), "/dst", work or Compression(), **options)
    assert len({task.source for task in tasks}) == len(tasks)
    return [task.output.removeprefix("/dst/") for task in tasks]


def test_a_folder_is_mirrored(folder: Path) -> None:
    assert planned(folder) == ["a.rdpc", "b.rdpc"]
    assert planned(folder, recursive=True) == ["a.rdpc", "b.rdpc", "sub/c.rdpc"]
    assert planned(folder, work=Decompression(".webp")) == ["old.webp"]


def test_a_glob_keeps_what_is_below_its_fixed_part(folder: Path) -> None:
    assert planned(f"{folder}/*.png", f"{folder}/s*/*.webp") == ["a.rdpc", "sub/c.rdpc"]
    assert planned(f"{folder.parent}/i?/sub/c.*") == ["in/sub/c.rdpc"]
    assert planned(f"{folder}/**/*.webp") == ["sub/c.rdpc"]


@settings(max_examples=20)
@given(st.text("[]*?!2-a ", min_size=1).filter(str.strip))
def test_the_name_of_the_current_folder_has_no_wildcards(name: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        here = Path(root, name)
        for path in ("a.png", "b[1].png", "sub/c.png", "../other/sub/d.png"):
            (here / path).parent.mkdir(parents=True, exist_ok=True)
            (here / path).touch()
        with contextlib.chdir(here):
            assert planned("*.png") == ["a.rdpc", "b[1].rdpc"]
            assert planned("./sub/*") == ["c.rdpc"]
            assert planned("**/*.png") == ["a.rdpc", "b[1].rdpc", "sub/c.rdpc"]


def test_a_glob_may_begin_above_a_current_folder_with_wildcard_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("[2020] trip", "[2021] trip"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    monkeypatch.chdir(tmp_path / "[2020] trip")
    assert planned("../*/a.png") == ["[2020] trip/a.rdpc", "[2021] trip/a.rdpc"]
    assert planned("../[[]2021] trip/*") == ["[2021] trip/a.rdpc"]


def test_folders_that_a_glob_matches_are_taken_or_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sub" / "deeper").mkdir()
    shutil.copy(folder / "a.png", folder / "sub" / "deeper" / "d.png")
    assert planned(f"{folder}/*b*", recursive=True) == ["b.rdpc", "sub/c.rdpc", "sub/deeper/d.rdpc"]
    found = plan([f"{folder}/*b*"], "/dst", extensions={".png"}, suffix=".rdpc")
    assert [task.source for task in found.tasks] == [str(folder / "b.JPG")]
    assert str(found.left_out) == "1 folder (--recursive takes them)"
    through = plan([f"{folder}/**/*.png"], "/dst", extensions={".png"}, suffix=".rdpc")
    assert "folder" not in through.left_out.counts
    with pytest.raises(UsageError, match=r"no image files there; left out: 1 folder \(--rec"):
        planned(f"{folder}/su?")
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(folder / "sub"))
    closed = plan([f"{folder}/*b*"], "/dst", extensions={".png"}, suffix=".rdpc", recursive=True)
    assert closed.left_out.closed == [str(folder / "sub")]


def test_folders_that_a_glob_matches_in_a_store_are_taken_with_all_below_them() -> None:
    for name in ("a.png", "trip/b.png", "trip/day/c.png", "trip/out/old.png"):
        storage.write_file(f"memory://globs/{name}", b"")
    found = tasks_for(["memory://globs/*"], "memory://globs/trip/out", Compression(), recursive=True)
    assert [task.source.removeprefix("memory://") for task in found] == [
        "globs/a.png",
        "globs/trip/b.png",
        "globs/trip/day/c.png",
    ]
    assert [task.output.removeprefix("memory://globs/trip/out/") for task in found] == [
        "a.rdpc",
        "trip/b.rdpc",
        "trip/day/c.rdpc",
    ]


def test_a_glob_that_is_none_is_a_mistake(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"a\*\*\.png: Invalid pattern"):
        planned(f"{folder}/a**.png")


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
    with pytest.raises(UsageError, match=r"/a\.png: \.\./a\.png could lead out of /dst"):
        planned(f"@{names}")


segments = st.lists(st.sampled_from(["..", ".", "a", "b.png"]), min_size=1, max_size=6).map("/".join)


@given(st.lists(st.tuples(st.sampled_from(["", "/", "file:///", "memory://", "memory:///"]), segments)))
def test_no_line_of_a_list_leads_out_of_the_destination(lines: list[tuple[str, str]]) -> None:
    storage.write_file("memory://lists/list.txt", "\n".join(map("".join, lines)).encode())
    try:
        tasks = tasks_for(["@memory://lists/list.txt"], "/dst/deep", Compression())
    except UsageError:
        return
    for task in tasks:
        assert os.path.normpath(task.output) == task.output
        assert task.output.startswith("/dst/deep/")


def test_a_url_in_a_list_is_refused_if_it_leads_upwards_and_taken_if_it_is_a_path_of_this_machine() -> None:
    storage.write_file("memory://lists/out.txt", b"memory://p/../../escaped/a.png")
    with pytest.raises(UsageError, match=r"memory://p/.*: p/\.\./\.\./escaped/a\.png could lead out of /dst"):
        planned("@memory://lists/out.txt")
    storage.write_file("memory://lists/out.txt", b"file:///p/../../escaped/a.png")
    assert planned("@memory://lists/out.txt") == ["escaped/a.rdpc"]


def test_a_list_may_come_through_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"sub/c.webp\na.png\n")))
    assert planned("@-") == ["sub/c.rdpc", "a.rdpc"]
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(OutputError, match="standard input is closed"):
        planned("@-")


def test_images_of_one_name_keep_their_extensions(folder: Path) -> None:
    (folder / "a.bmp").write_bytes(b"")
    assert planned(folder) == ["a.bmp.rdpc", "a.png.rdpc", "b.rdpc"]
    assert planned(folder / "a.png", f"{folder}/*.png") == ["a.rdpc"]  # an image given twice counts once
    (folder / "a.bmp.png").write_bytes(b"")
    assert planned(folder) == ["a.bmp.rdpc", "a.bmp.png.rdpc", "a.png.rdpc", "b.rdpc"]


@given(st.sets(st.lists(st.sampled_from([".png", ".bmp", ".txt"]), max_size=4).map("".join)))
def test_images_of_different_names_never_share_an_output(names: set[str]) -> None:
    places = [PurePosixPath("a" + name) for name in sorted(names)]
    outputs = output_names(places, ".rdpc", {".png", ".bmp"}.__contains__, places)
    assert len(set(outputs)) == len(names)
    assert all(output.name.endswith(".rdpc") for output in outputs)


def test_images_of_one_name_in_two_folders_are_two_images(tmp_path: Path) -> None:
    cameras = [tmp_path / "cam1", tmp_path / "cam2"]
    for camera in cameras:
        camera.mkdir()
        (camera / "a.png").touch()
    for sources in (cameras, [camera / "a.png" for camera in cameras]):
        with pytest.raises(UsageError, match=r"twice, from \S+/cam1/a\.png and \S+/cam2/a\.png: rename one"):
            planned(*sources)
    assert planned(f"{tmp_path}/cam*/*.png") == ["cam1/a.rdpc", "cam2/a.rdpc"]  # as the message advises


@pytest.mark.parametrize("empty", ["", "file://", "local://", "file://localhost", "@"])
def test_an_empty_name_is_not_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, empty: str
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(UsageError, match="names no file or folder: is a variable of the shell not set"):
        planned(empty)
    if empty != "@":
        with pytest.raises(UsageError, match="names no file or folder: is a variable of the shell not set"):
            tasks_for(["a.png"], empty, Compression())


def test_an_image_that_shares_its_name_later_is_coded_anew(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert planned(tmp_path) == ["a.rdpc"]
    (tmp_path / "a.png").touch()
    assert planned(tmp_path) == ["a.jpg.rdpc", "a.png.rdpc"]


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


def test_a_source_whose_name_begins_like_that_of_the_destination_is_none_of_its_outputs(
    folder: Path,
) -> None:
    (folder / "a").mkdir()
    found = plan([str(folder)], str(folder / "a"), extensions={".png"}, suffix=".rdpc")
    assert [task.source for task in found.tasks] == [str(folder / "a.png")]


def test_a_glob_leaves_out_what_a_folder_would_as_coded_already(folder: Path) -> None:
    work = Compression()
    sources, out = [f"{folder}/**/*.*"], folder / "out"
    first = tasks_for([f"{folder}/**/*.png"], out, work)
    out.mkdir()
    for name in ("a.rdpc", "b.png"):
        (out / name).touch()
    assert tasks_for([f"{folder}/**/*.png"], out, work) == first
    found = plan(sources, str(out), extensions=work.extensions(), suffix=work.suffix)
    assert found.left_out.counts == {".rdpc": 1, "hidden": 2}
    assert "old.rdpc" not in [Path(task.source).name for task in found.tasks]
    assert planned(f"{folder}/*.rdpc", work=Decompression()) == ["old.png"]
    assert [Path(task.source).name for task in tasks_for([f"{out}/*.png"], out, work)] == ["b.png"]


class HostsApart(MemoryFileSystem):
    """A store whose paths do not have the host and the login, as with FTP and SSH."""

    protocol = "apart"
    store: ClassVar[dict[str, object]] = {}

    def __init__(self, host: str) -> None:
        super().__init__()
        self.host = host

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        path = urlsplit(path).path.strip("/")
        return f"/{path}" if path else ""

    @staticmethod
    def _get_kwargs_from_urls(url: str) -> dict[str, str]:
        return {"host": urlsplit(url).netloc}


@pytest.fixture
def apart() -> Iterator[str]:
    """A URL with host and login, and two images and an earlier output in its folder `photos`."""
    fsspec.register_implementation("apart", HostsApart, clobber=True)
    for name in ("a.png", "sub/b.png", "out/c.png"):
        HostsApart("any").pipe_file(f"/photos/{name}", b"")
    yield "apart://user:pw@host"
    HostsApart.store.clear()


def test_urls_keep_their_host_and_login(apart: str) -> None:
    storage.write_file("memory://lists/apart.txt", f"{apart}/photos/a.png".encode())
    for sources, names in (
        ([f"{apart}/photos"], ["a.png", "sub/b.png"]),
        ([f"{apart}/photos/"], ["a.png", "sub/b.png"]),
        ([f"{apart}/photos/*.png", f"{apart}/photos/s*/*.png/"], ["a.png", "sub/b.png"]),
        ([f"{apart}/photos/a.png"], ["a.png"]),
        (["@memory://lists/apart.txt"], ["a.png"]),
    ):
        tasks = tasks_for(sources, f"{apart}/photos/out/", Compression(), recursive=True)
        assert [task.source for task in tasks] == [f"{apart}/photos/{name}" for name in names]
        assert all(task.output.startswith(f"{apart}/photos/out/") for task in tasks)
        for task in tasks:
            assert storage.filesystem(task.source)[0].host == "user:pw@host"
            assert storage.size(task.source) == 0


def test_outputs_on_another_host_are_not_taken_for_those_within_a_source(apart: str) -> None:
    tasks = tasks_for([f"{apart}/photos"], "apart://elsewhere/photos/out", Compression(), recursive=True)
    assert [task.source.rpartition("/")[2] for task in tasks] == ["a.png", "c.png", "b.png"]


@pytest.mark.parametrize("root", ["{host}", "{host}/", "memory://", "memory:///"])
def test_a_whole_store_may_be_the_destination(apart: str, root: str) -> None:
    (task,) = tasks_for([f"{apart}/photos/*.png"], root.format(host=apart), Compression())
    system, path = storage.filesystem(task.output)
    assert (system.protocol, path) == ("memory" if "memory" in root else "apart", "/a.rdpc")


def test_what_a_store_raises_while_a_run_is_planned_is_an_error_that_names_the_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise EOFError("went away")

    monkeypatch.setattr(MemoryFileSystem, "isdir", fail)
    with pytest.raises(OutputError, match=r"^memory://photos: cannot be read: went away$"):
        planned("memory://photos")


@pytest.mark.parametrize("source", ["missing", "missing/*.png", "s3x://bucket/a.png", "@missing.txt", "."])
def test_a_source_without_images_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, OutputError)):
        planned(source)


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
    others = (
        ".a.rdpc.01234567.partial.png",
        ".a.rdpc.1.partial",
        ".a.rdpc.20250714abcd.partial",
        ".a.rdpc.holidays.partial",
        ".a.rdpc.partial",
        ".b.rdpc.0123abcd.partial",
        "a.rdpc",
        "a.rdpc.0123abcd.partial",
    )
    for name in (".a.rdpc.0123abcd.partial", *others):
        (tmp_path / name).touch()
    storage.remove_partials([str(tmp_path / "a.rdpc")])
    assert sorted(os.listdir(tmp_path)) == sorted(others)


def test_two_dots_after_a_link_lead_where_they_lead_the_system(folder: Path, tmp_path: Path) -> None:
    (folder / "deep").mkdir()
    (away := tmp_path / "away").mkdir()
    (link := away / "link").symlink_to(folder / "deep")
    listed = tmp_path / "list.txt"
    listed.write_text(f"{link}/../a.png\n")
    for source in (f"{link}/..", f"{link}/../a.png", f"{link}/../a*.png", f"@{listed}"):
        tasks = tasks_for([source], f"{link}/../out", Compression())
        assert tasks[0].source == str(folder / "a.png")
        assert tasks[0].output.startswith(f"{folder}/out/")
    # A name that needs no link resolved stays as it was given.
    (linked := tmp_path / "linked").symlink_to(folder)
    (task,) = tasks_for([f"{linked}/deep/../a.png"], tmp_path / "out", Compression())
    assert task.source == str(linked / "a.png")


def test_links_to_images_are_images_and_other_links_are_said(folder: Path, tmp_path: Path) -> None:
    farm = tmp_path / "farm"
    farm.mkdir()
    (farm / "1.png").symlink_to(folder / "a.png")
    (farm / "gone.png").symlink_to(folder / "nothing.png")
    (farm / "below").symlink_to(folder / "sub")
    for recursive in (False, True):
        found = plan([str(farm)], "/dst", extensions={".png"}, suffix=".rdpc", recursive=recursive)
        assert [task.source for task in found.tasks] == [str(farm / "1.png")]
        assert found.left_out.counts == {"broken link": 1, "linked folder": 1}
        assert found.left_out.missed == 2
    assert planned(farm / "below") == ["c.rdpc"]


def test_folders_that_may_not_be_read_are_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = os.access
    closed = {str(folder / "sub")}
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) not in closed and allowed(path, mode))
    found = plan([str(folder)], "/dst", extensions={".png"}, suffix=".rdpc", recursive=True)
    assert found.left_out.closed == [str(folder / "sub")]
    with pytest.raises(UsageError, match="sub: the folder cannot be read: permission denied"):
        planned(folder / "sub")


def test_a_list_may_begin_with_a_byte_order_mark_and_is_text(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "list.txt").write_bytes(b"\xef\xbb\xbfsub/c.png\r\n")
    assert planned("@list.txt") == ["sub/c.rdpc"]
    (folder / "z.png").write_bytes(b"\x89PNG\0\0")
    with pytest.raises(UsageError, match="is not a list of paths"):
        planned("@z.png")


def test_a_list_names_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "..odd.png").write_bytes(b"")
    (folder / "list.txt").write_text("..odd.png\n")
    assert planned("@list.txt") == ["..odd.rdpc"]
    for line in (".", "/"):
        (folder / "list.txt").write_text(line)
        with pytest.raises(UsageError, match="a list names files"):
            planned("@list.txt")


def test_a_folder_is_worked_through_by_name_whatever_the_order_of_its_listing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = LocalFileSystem.find

    def backwards(*arguments: object, **options: object) -> dict[str, object]:
        return dict(reversed(find(*arguments, **options).items()))

    monkeypatch.setattr(LocalFileSystem, "find", backwards)
    assert planned(folder, recursive=True) == ["a.rdpc", "b.rdpc", "sub/c.rdpc"]


def test_a_glob_follows_links_as_a_shell_does(folder: Path, tmp_path: Path) -> None:
    (farm := tmp_path / "farm").mkdir()
    (farm / "real" / "below").mkdir(parents=True)
    shutil.copy(folder / "a.png", farm / "real" / "a.png")
    shutil.copy(folder / "a.png", farm / "real" / "below" / "b.png")
    (farm / "linked").symlink_to("real")
    (farm / "real" / "round").symlink_to("..")
    (farm / "linked.png").symlink_to(folder)
    assert planned(f"{farm}/*/a.png") == ["linked.png/a.rdpc", "linked/a.rdpc", "real/a.rdpc"]
    assert planned(f"{farm}/l*d/below/b*") == ["linked/below/b.rdpc"]
    assert planned(f"{farm}/r*/round/r*/a.png") == ["real/round/real/a.rdpc"]
    assert planned(f"{farm}/linked/**/*.png") == ["a.rdpc", "below/b.rdpc"]
    for pattern, images, linked in (
        ("**/b.png", ["real"], 3),
        ("*/**/b.png", ["linked", "real"], 2),
        ("l*d/**", ["linked"], 1),
    ):
        found = plan([f"{farm}/{pattern}"], "/dst", extensions={".png"}, suffix=".rdpc")
        below = [task.source for task in found.tasks if task.source.endswith("b.png")]
        assert below == [f"{farm}/{name}/below/b.png" for name in images]
        assert found.left_out.counts == {"linked folder": linked}


def test_folders_that_a_glob_may_not_read_are_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "other").mkdir()
    (folder / "link").symlink_to("sub")
    shutil.copy(folder / "a.png", folder / "other" / "a.png")
    allowed = os.access
    closed = {str(folder / "sub"), str(folder / "link")}
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) not in closed and allowed(path, mode))
    for pattern in ("*/*.png", "**/*.png"):
        found = plan([f"{folder}/{pattern}"], "/dst", extensions={".png"}, suffix=".rdpc")
        assert str(folder / "other" / "a.png") in [task.source for task in found.tasks]
        assert found.left_out.closed == sorted(closed)
    assert not plan([f"{folder}/*"], "/dst", extensions={".png"}, suffix=".rdpc").left_out.closed
    with pytest.raises(UsageError, match=r"no image files there; .*sub: cannot be read: permission denied"):
        planned(f"{folder}/s*/*.png")
    with pytest.raises(UsageError, match="sub: the folder cannot be read: permission denied"):
        planned(f"{folder}/sub/*.png")


def test_a_subfolder_that_may_not_be_read_is_left_out_as_others_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = os.access
    closed = str(folder / "sub")
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != closed and allowed(path, mode))
    found = plan([str(folder)], "/dst", extensions={".png"}, suffix=".rdpc")
    assert (found.left_out.counts["folder"], found.left_out.closed) == (1, [])
