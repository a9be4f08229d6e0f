from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from lpips_tensors import save_networks
from PIL import Image

import rdpcodec
from rdpcodec import container
from rdpcodec.cli import rdpcodec as command
from rdpcodec.container import read_header
from rdpcodec.errors import RdpError
from rdpcodec.metrics.distortion import psnr
from rdpcodec.metrics.full_reference import full_reference
from rdpcodec.metrics.perceptual import WEIGHTS_VARIABLE
from rdpcodec.weights.manifest import encoders, manifest


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Threads of tiny images mostly wait for each other, very long where other programs are at work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    """Run a command in this process; an error of ours becomes what `main` makes of it."""
    result = CliRunner().invoke(command, [str(a) for a in arguments], input=stdin)
    if isinstance(result.exception, RdpError):
        result.stderr_bytes = (result.stderr_bytes or b"") + f"error: {result.exception}\n".encode()
    elif result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def program(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run the program as a user does, in a process of its own."""
    words = [sys.executable, "-m", "rdpcodec", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def on_terminal(words: list[str], **options: Any) -> tuple[int, str]:
    """Run a program with both outputs on a terminal; its exit status, and all that it wrote there."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(words, stdout=end, stderr=end, **options)
    os.close(end)
    parts = []
    with suppress(OSError):  # that nobody is at the other end any more
        while part := os.read(terminal, 4096):
            parts.append(part)
    os.close(terminal)
    return process.wait(timeout=120), b"".join(parts).decode()


@pytest.fixture
def photo(tmp_path: Path, small: Image.Image) -> Path:
    path = tmp_path / "photo.png"
    small.save(path)
    return path


def test_a_image_goes_there_and_back(photo: Path) -> None:
    assert run("compress", photo).exit_code == 0
    file = photo.with_suffix(".rdpc")
    photo.unlink()
    assert run("decompress", file).exit_code == 0
    assert Image.open(photo).size == Image.open(io.BytesIO(photo.read_bytes())).size == (101, 67)


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "avif", "tif", "bmp"])
def test_the_outputs_extension_sets_its_format(photo: Path, extension: str) -> None:
    file, decoded = photo.with_suffix(".rdpc"), photo.with_name(f"decoded.{extension}")
    run("compress", photo, file)
    assert run("decompress", file, decoded).exit_code == 0
    assert Image.open(decoded).size == (101, 67)


def test_a_region_is_cut_out(photo: Path) -> None:
    file, part, whole = (photo.with_name(name) for name in ("photo.rdpc", "part.png", "whole.png"))
    run("compress", photo, file)
    assert run("decompress", file, whole).exit_code == 0
    assert run("decompress", file, part, "--region", "10,20,30,40").exit_code == 0
    assert Image.open(part).tobytes() == Image.open(whole).crop((10, 20, 40, 60)).tobytes()
    for region, message in (
        ("90,0,20,5", "does not lie within the image, 101×67"),
        ("1,2,3", "four whole numbers"),
    ):
        result = run("decompress", file, part, "--region", region, "--force")
        assert result.exit_code != 0
        assert message in result.output


def test_quality_reaches_the_file(photo: Path) -> None:
    sizes = []
    for quality in (5, 95):
        file = photo.with_name(f"{quality}.rdpc")
        run("compress", photo, file, "-q", quality)
        sizes.append(file.stat().st_size)
        assert json.loads(run("info", file, "--json").stdout)["quality"] == quality
    assert sizes[0] < sizes[1] / 3


@pytest.mark.parametrize(("size", "limit"), [("700", 700), ("0.9kB", 900), (".75 KiB", 768)])
def test_the_file_is_not_over_the_target_size(photo: Path, size: str, limit: int) -> None:
    assert run("compress", photo, "--target-size", size).exit_code == 0
    # The coder writes whole words of four bytes.
    assert 0.99 * limit - 4 < photo.with_suffix(".rdpc").stat().st_size <= limit


def test_every_image_gets_its_own_search(tmp_path: Path, photograph: Image.Image) -> None:
    paths = [tmp_path / "first.png", tmp_path / "second.png"]
    # Large enough that PSNR has no jumps of a twentieth of a dB.
    photograph.crop((200, 100, 520, 340)).save(paths[0])
    photograph.crop((0, 0, 320, 240)).save(paths[1])
    result = run("compress", *paths, "-o", tmp_path, "--target-psnr", 32)
    assert result.exit_code == 0
    qualities = []
    for path in paths:
        data = path.with_suffix(".rdpc").read_bytes()
        decoded = rdpcodec.decompress(data).convert("RGB")
        assert 32 <= psnr(np.asarray(Image.open(path)), np.asarray(decoded)) < 32.1
        qualities.append(read_header(data)[0].quality)
        assert f"quality {qualities[-1]:g}" in result.stdout
    assert abs(qualities[0] - qualities[1]) > 1


def test_a_target_out_of_reach_of_one_image_does_not_stop_the_rest(
    photo: Path, photograph: Image.Image
) -> None:
    large = photo.with_name("large.png")
    photograph.save(large)
    result = run("compress", large, photo, "-o", photo.parent, "--target-size", 800)
    assert result.exit_code == 1
    assert "large.png: target 800 bytes: qualities 0 to 100 give this image" in result.stderr
    assert not large.with_suffix(".rdpc").exists()
    assert photo.with_suffix(".rdpc").stat().st_size <= 800


@pytest.mark.parametrize("preset", ["archive", "web", "thumbnail", "auto"])
def test_a_preset_is_the_operating_point_of_its_name(photo: Path, preset: str) -> None:
    assert run("compress", photo, "--preset", preset).exit_code == 0
    data = photo.with_suffix(".rdpc").read_bytes()
    assert data == rdpcodec.Codec().compress_batch([photo], rdpcodec.PRESETS[preset])[0]


def test_a_dial_given_beside_a_preset_wins(photo: Path) -> None:
    assert run("compress", photo, "--preset", "photo-real", "--realism", 0).exit_code == 0
    header, _ = read_header(photo.with_suffix(".rdpc").read_bytes())
    assert (header.quality, header.realism) == (rdpcodec.PRESETS["photo-real"].quality, 0)


def test_realism_auto_goes_with_any_quality(photo: Path) -> None:
    assert run("compress", photo, "-q", 10, "--realism", "auto").exit_code == 0
    data = photo.with_suffix(".rdpc").read_bytes()
    assert data == rdpcodec.compress(photo, 10, realism="auto")
    result = run("compress", photo, "--realism", "often")
    assert result.exit_code == 2
    assert "'often' is not a valid float" in result.stderr


def test_a_target_that_every_quality_meets_gives_the_best_file_with_a_note(photo: Path) -> None:
    result = run("compress", photo, "--target-bpp", 40)
    assert result.exit_code == 0
    assert "every quality meets the target 40 bits per pixel: the file is the best, of quality 100" in (
        result.stderr
    )
    assert container.read(photo.with_suffix(".rdpc").read_bytes()).header.quality == 100


def test_suggest_tells_what_compress_would_give(
    tmp_path: Path, photograph: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_reference.cache_clear()
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(save_networks(tmp_path)))
    image, path = photograph.resize((240, 170)), tmp_path / "photo.png"
    image.save(path)
    points = json.loads(run("suggest", path, "--json").stdout)["points"]
    full_reference.cache_clear()
    assert [(point["quality"], point["realism"]) for point in points] == [
        (quality, realism) for quality in (10, 30, 50, 70, 90) for realism in (0, 1)
    ]
    for point in points:
        data = rdpcodec.compress(image, point["quality"])
        assert point["bytes"] == len(data)
        assert point["bits_per_pixel"] == pytest.approx(len(data) / 240 / 170 * 8, abs=1e-4)
        decoded = np.asarray(rdpcodec.decompress(data, realism=point["realism"]))
        assert point["psnr"] == pytest.approx(psnr(np.asarray(image), decoded), abs=1e-4)
    for name, rises in (("bytes", True), ("ms_ssim", True), ("ssimulacra2", True), ("lpips", False)):
        values = [point[name] for point in points if point["realism"] == 0]
        assert values == sorted(values, reverse=not rises)


def test_suggest_says_how_to_get_the_metrics_that_are_missing(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_reference.cache_clear()
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, "lpips", None)
    table = run("suggest", photo)
    assert table.exit_code == 0
    assert WEIGHTS_VARIABLE in table.stderr
    first = next(line for line in table.stdout.splitlines() if " 10 " in line)
    assert first.count(" - ") == 2  # LPIPS, and the image is too small for MS-SSIM
    points = json.loads(run("suggest", "-", "--json", stdin=photo.read_bytes()).stdout)["points"]
    assert {point["lpips"] for point in points} == {None}


def test_suggest_takes_several_images_and_goes_on_after_a_bad_one(photo: Path) -> None:
    bad = photo.with_name("bad.png")
    bad.write_bytes(b"rubbish")
    found = run("suggest", photo, bad, photo, "--json", "--quiet")
    assert (found.exit_code, found.stderr.count("\n")) == (1, 2)
    assert "error: 1 of 3 failed" in found.stderr
    first, second = map(json.loads, found.stdout.splitlines())
    assert first == second
    assert first["file"] == str(photo)


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
    assert "photo.png.rdpc would be written twice" in result.stderr


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
        (("compress", "photo.png", "photo.png"), "2 inputs need a folder for their outputs: -o DIR"),
        (("compress", "photo.png", "b.png", "c.png"), "3 inputs need a folder"),
        (
            ("compress", "photo.png", "b.png", "-o", "c.rdpc"),
            "c.rdpc is one output, for 2 inputs: give a folder",
        ),
        (
            ("compress", "photo.png", "-o", "photo.png"),
            "photo.png: not a folder, nor a name that ends in .rdpc",
        ),
        (("compress", "photo.png", "-o", "photo.png/x"), "photo.png/x: cannot be made: Not a directory"),
        (("decompress", "photo.png"), "photo.png: not an .rdpc file"),
        (
            ("decompress", "a.rdpc", "b.xyz"),
            "b.xyz: an output's name must end in .png, .webp, .jpg or the like",
        ),
        (("compress", "n" * 256 + ".png"), "File name too long"),
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


def test_outputs_that_are_links_pipes_or_devices_are_respected(photo: Path) -> None:
    pipe, dangling, link = (photo.with_name(f"{name}.rdpc") for name in ("pipe", "dangling", "link"))
    os.mkfifo(pipe)
    dangling.symlink_to("nowhere.rdpc")
    link.symlink_to("target.rdpc")
    (photo.parent / "target.rdpc").write_bytes(b"old")
    assert "never replaced" in run("compress", photo, pipe, "--force").stderr
    assert pipe.is_fifo()
    assert "exists already" in run("compress", photo, dangling).stderr
    assert dangling.is_symlink()
    assert run("compress", photo, link, "--force").exit_code == 0
    assert link.is_symlink()
    assert rdpcodec.decompress((photo.parent / "target.rdpc").read_bytes()).size == (101, 67)


def test_an_output_larger_than_its_input_is_said_with_a_way_out(tmp_path: Path, small: Image.Image) -> None:
    source = tmp_path / "coarse.jpg"
    small.save(source, quality=5)
    result = run("compress", source, "-q", 100)
    size, limit = (tmp_path / "coarse.rdpc").stat().st_size, source.stat().st_size
    assert f"warning: {source}: the output, {size} bytes, is no smaller than its input" in result.stderr
    assert f"--target-size {limit - 1}" in result.stderr
    batch = run("batch", source, tmp_path / "out", "-q", 100, "-w", 1)
    assert "is no smaller than its input" in batch.stderr
    assert "is no smaller" not in run("compress", source, "-q", 0, "--force").stderr


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


@pytest.mark.parametrize("alpha", [False, True])
def test_a_larger_image_is_scaled_down(photo: Path, small: Image.Image, alpha: bool) -> None:
    if alpha:
        transparent = small.copy()
        transparent.putalpha(Image.linear_gradient("L").resize(small.size))
        transparent.save(photo)
    assert run("compress", photo, "--max-side", 50, "-q", 95).exit_code == 0
    decoded = rdpcodec.decompress(photo.with_suffix(".rdpc").read_bytes())
    assert (decoded.size, decoded.mode) == ((50, 33), "RGBA" if alpha else "RGB")
    if not alpha:
        expected = np.asarray(small.resize((50, 33), Image.Resampling.LANCZOS))
        assert psnr(expected, np.asarray(decoded)) > 25
    assert run("compress", photo, "--max-side", 500, "--force").exit_code == 0
    assert rdpcodec.decompress(photo.with_suffix(".rdpc").read_bytes()).size == (101, 67)
    assert run("compress", photo, "--max-side", 0, "--force").exit_code == 2


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_a_decoded_image_is_scaled_down(photo: Path, small: Image.Image, mode: str) -> None:
    file = photo.with_suffix(".rdpc")
    file.write_bytes(rdpcodec.compress(small.convert(mode), exact=True))
    whole = rdpcodec.decompress(file)
    for side, size in ((50, (50, 33)), (500, (101, 67))):
        assert run("decompress", file, photo, "--max-side", side, "--force").exit_code == 0
        expected = whole.resize(size, Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(np.asarray(Image.open(photo)), np.asarray(expected))
    assert run("decompress", file, photo, "--max-side", 0, "--force").exit_code == 2


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


def test_a_failed_run_leaves_nothing_behind(photo: Path) -> None:
    damaged = photo.with_suffix(".rdpc")
    damaged.write_bytes(rdpcodec.compress(photo)[:-3])
    before = set(photo.parent.iterdir())
    assert run("decompress", damaged, photo.with_name("out.png")).exit_code == 1
    assert set(photo.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compress", "missing.png"), "missing.png: no such file"),
        (("compress", "{photo}", "-q", "101"), "quality 101.0 is outside 0..100"),
        (("compress", "{photo}", "--realism", "0.5"), "no realism dial"),
        (("compress", "{photo}", "--effort", "10"), "effort 10 is outside"),
        (("compress", "{photo}", "--preset", "photo-real"), "no realism dial"),
        (("compress", "{photo}", "--preset", "web", "-q", "20"), "--quality and --preset each set"),
        (
            ("compress", "{photo}", "--target-bpp", "1", "--target-psnr", "30"),
            "two at once are one of distortion (psnr, ms_ssim, ssimulacra2) and one of perception (lpips)",
        ),
        (
            ("compress", "{photo}", "--target-psnr", "30", "-q", "30"),
            "--quality and --target-psnr each set the quality: give one of them",
        ),
        (
            ("compress", "{photo}", "--target-psnr", "30", "--target-lpips", "0.1", "--realism", "0"),
            "--target-psnr and --target-lpips find the realism: leave it out",
        ),
        (("compress", "{photo}", "--target-size", "50kilo"), "size '50kilo': give bytes"),
        (("compress", "{photo}", "--target-msssim", "1.5"), "must be between 0 and 1"),
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
        (("info", "{photo.parent}"), "cannot be read: Is a directory"),
        (("compare", "missing.png", "-o", "page.html"), "missing.png: no such file"),
    ],
)
@pytest.mark.usefixtures("no_realism")
def test_a_users_mistake_is_one_line(photo: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run(*(argument.format(photo=photo) for argument in arguments))
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_image_with_alpha_cannot_become_a_jpeg(photo: Path, small: Image.Image) -> None:
    transparent = small.copy()
    transparent.putalpha(128)
    file = photo.with_suffix(".rdpc")
    file.write_bytes(rdpcodec.compress(transparent))
    result = run("decompress", file, photo.with_suffix(".jpg"))
    assert result.exit_code == 1
    assert "JPEG cannot hold this image" in result.stderr


def test_warnings_name_the_image(photo: Path, small: Image.Image) -> None:
    animation = photo.with_suffix(".gif")
    small.save(animation, save_all=True, append_images=[small.rotate(90)])
    assert f"warning: {animation}: only the first of several frames" in run("compress", animation).stderr


def test_metadata_reaches_the_decoded_file(photo: Path, small: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    small.save(photo, exif=exif)
    run("compress", photo, "--keep-metadata")
    decoded = photo.with_suffix(".jpg")
    run("decompress", photo.with_suffix(".rdpc"), decoded)
    assert Image.open(decoded).getexif()[0x010F] == "Maker"


def test_info_tells_what_the_file_holds(photo: Path) -> None:
    run("compress", photo, "-q", "37.5")
    file = photo.with_suffix(".rdpc")
    record = json.loads(run("info", file, "--json").stdout)
    assert (record["width"], record["height"], record["quality"]) == (101, 67, 37.5)
    assert record["bytes"] == file.stat().st_size
    assert record["weights_installed"]
    assert "101×67" in run("info", file).stdout


def test_info_is_silent_about_intact_files_if_asked(photo: Path) -> None:
    run("compress", photo)
    coded = photo.with_suffix(".rdpc")
    assert run("info", coded, "--quiet").output == ""
    found = run("info", coded, photo, "--quiet")
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr.splitlines()[1] == "error: 1 of 2 failed"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_devices_that_never_end_or_are_full_are_errors(photo: Path) -> None:
    for words in (("info",), ("decompress",)):
        found = run(*words, "/dev/zero", *(() if words == ("info",) else ("-o", photo.with_suffix(".webp"))))
        assert (found.exit_code, "not an .rdpc file" in found.stderr) == (1, True)
    batch = run("batch", photo, photo.parent / "out", "--manifest", "/dev/full")
    assert (batch.exit_code, "a pipe or a device" in batch.stderr) == (1, True)
    for words in (("--help",), ("models",), ("compress", photo, "-"), ("compress", photo)):
        with open("/dev/full", "wb") as full:
            ended = subprocess.run(
                [sys.executable, "-m", "rdpcodec", *words], stdout=full, stderr=subprocess.PIPE, timeout=120
            )
        assert ended.returncode == 1
        assert ended.stderr.startswith(b"error: standard output: ")
        assert ended.stderr.count(b"\n") == 1


def test_every_command_that_reports_does_so_in_json_too() -> None:
    context = click.Context(command)
    names = set(command.list_commands(context)) - {"train", "export"}  # a log of JSON, and nothing but JSON
    assert {"compress", "serve", "suggest", "models"} < names
    for name in names:
        found = command.get_command(context, name)
        assert found is not None
        assert "as_json" in [parameter.name for parameter in found.params], name


def test_models_lists_what_is_installed() -> None:
    assert json.loads(run("models", "--json").stdout).keys() == manifest().keys()
    listed = run("models").stdout
    assert listed.count("(default)") == 1
    assert listed.count("million parameters") == len(encoders())


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


@pytest.mark.parametrize("encoding", ["cp1252", "ascii:strict", "utf-8:strict"])
def test_no_encoding_of_a_terminal_ends_in_a_traceback(photo: Path, encoding: str) -> None:
    odd = os.fsencode(photo.parent) + b"/caf\xe9 \xe5\x86\x99.png"
    os.link(photo, odd)
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    for words in (("--help",), ("compress", os.fsdecode(odd)), ("compress", os.fsdecode(odd))):
        result = program(*words, env=environment)
        assert b"Traceback" not in result.stderr
    assert (result.returncode, b"exists already" in result.stderr) == (1, True)
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
        (("squeeze",), 2, "error: No such command 'squeeze'; see python -m rdpcodec --help"),
        (("compress", "missing.png"), 1, "error: missing.png: no such file"),
        (("compress", "https://example.com/a.png"), 2, "error: https:/example.com/a.png: is a URL, which"),
        (("compress", "missing.png", "s3://bucket/a.rdpc"), 2, "error: s3:/bucket/a.rdpc: is a URL, which"),
        (
            ("compress", "photo.png", "small"),
            2,
            "error: small: an output's name must end in .rdpc, and a folder is given as -o small",
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


def test_a_limit_of_pixels_holds_both_ways_and_in_batches(photo: Path) -> None:
    limit, out = ("--max-pixels", 0.005), photo.parent / "out"
    message = "an image of 101×67 pixels is over the limit of 0.005 megapixels"
    assert message in run("compress", photo, *limit).stderr
    assert not photo.with_suffix(".rdpc").exists()
    assert message in run("batch", photo, out, "-w", 1, *limit).stderr
    assert run("compress", photo, "--max-pixels", 0.01).exit_code == 0
    assert message in run("decompress", photo.with_suffix(".rdpc"), out.with_suffix(".png"), *limit).stderr
    assert message in run("batch", "-d", photo.with_suffix(".rdpc"), out, "-w", 1, *limit).stderr
    assert not list(photo.parent.rglob("out*.png"))


def test_the_version_has_a_short_option() -> None:
    assert run("-V").stdout == run("--version").stdout


def test_binary_data_is_not_written_to_a_terminal(photo: Path) -> None:
    terminal, end = pty.openpty()
    words = [sys.executable, "-m", "rdpcodec", "compress", str(photo), "-"]
    result = subprocess.run(words, stdout=end, stderr=subprocess.PIPE, timeout=120)
    os.close(end)
    os.close(terminal)
    assert result.returncode == 1
    assert b"is a terminal" in result.stderr


def screen(written: str) -> list[str]:
    """The lines that a terminal shows of what programs wrote to it, as far as those below use its codes."""
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
