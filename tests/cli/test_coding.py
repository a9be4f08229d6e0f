"""What `rdpcodec compress` and `decompress` make of an image."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lpips_tensors import save_networks
from PIL import Image
from programs import run

import rdpcodec
from rdpcodec.batch.work import Compression
from rdpcodec.format import container
from rdpcodec.format.container import read_header
from rdpcodec.metrics.distortion import psnr
from rdpcodec.metrics.lpips import WEIGHTS_VARIABLE


def test_an_image_goes_there_and_back(photo: Path) -> None:
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
    assert "'often' is neither a number nor auto" in result.stderr


@pytest.mark.parametrize(
    ("words", "quality", "realism"),
    [
        (("-q", 30, "--target-size", "1MB"), 30, 0),
        (("--preset", "photo-real", "--target-bpp", 24), 20, 1),
        (("--preset", "photo-real", "-q", 30), 30, 1),
        (("--preset", "web", "-q", 60, "--target-size", "1MB", "--realism", 0.2), 60, 0.2),
    ],
)
def test_a_preset_a_quality_and_a_size_are_all_kept(
    photo: Path, words: tuple[object, ...], quality: float, realism: float
) -> None:
    """A size bounds the quality from above, and only the quality."""
    found = run("compress", photo, *words, "--json")
    assert found.stderr == ""
    record = json.loads(found.stdout)
    assert (record["quality"], record["realism"]) == (quality, realism)
    small = run("compress", photo, *words, "--force", "--target-size", 500, "--json")
    if "--target-bpp" not in words:
        assert json.loads(small.stdout)["bytes_after"] <= 500


def test_a_target_that_every_quality_meets_gives_the_best_file_with_a_note(photo: Path) -> None:
    result = run("compress", photo, "--target-bpp", 40)
    assert result.exit_code == 0
    assert "every quality meets the target 40 bits per pixel: the file is the best, of quality 100" in (
        result.stderr
    )
    assert container.read(photo.with_suffix(".rdpc").read_bytes()).header.quality == 100


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


def test_exactly_kept_transparency_is_that_of_the_image_as_pillow_scales_it(
    photo: Path, small: Image.Image
) -> None:
    transparent = small.copy()
    transparent.putalpha(Image.linear_gradient("L").resize(small.size))
    transparent.save(photo)
    assert run("compress", photo, "--max-side", 50, "--exact-alpha").exit_code == 0
    decoded = rdpcodec.decompress(photo.with_suffix(".rdpc").read_bytes())
    expected = transparent.resize((50, 33), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(np.asarray(decoded.getchannel("A")), np.asarray(expected.getchannel("A")))


@pytest.mark.parametrize(("size", "scaled"), [((300, 1), (50, 1)), ((2, 301), (1, 50))])
def test_a_narrow_image_keeps_a_pixel_when_it_is_scaled_down(
    tmp_path: Path, size: tuple[int, int], scaled: tuple[int, int]
) -> None:
    Image.new("RGB", size, "teal").save(tmp_path / "a.png")
    assert run("compress", tmp_path / "a.png", "--max-side", 50).exit_code == 0
    assert rdpcodec.decompress((tmp_path / "a.rdpc").read_bytes()).size == scaled


@pytest.mark.parametrize("words", [("decompress", "-o"), ("batch", "-w", 1, "-d")])
def test_a_realism_of_decoding_goes_before_the_files_own(
    photo: Path, tmp_path: Path, words: tuple[object, ...]
) -> None:
    file = photo.with_suffix(".rdpc")
    file.write_bytes(rdpcodec.compress(photo, 10, realism=0))
    (out := tmp_path / "out").mkdir()
    assert run(words[0], file, *words[1:], out, "--realism", 1).exit_code == 0
    decoded = np.asarray(Image.open(out / photo.name))
    realistic, own = (np.asarray(rdpcodec.decompress(file, realism=realism)) for realism in (1, None))
    np.testing.assert_array_equal(decoded, realistic)
    assert (decoded != own).any()


@pytest.mark.parametrize(("extension", "expected"), [("webp", "WEBP"), ("JPG", "JPEG"), (".png", "PNG")])
def test_standard_output_has_the_format_asked_for(photo: Path, extension: str, expected: str) -> None:
    found = run("decompress", "-", "-", "--format", extension, stdin=rdpcodec.compress(photo))
    assert Image.open(io.BytesIO(found.stdout_bytes)).format == expected


@pytest.mark.parametrize(
    ("option", "value", "target"),
    [
        ("bpp", 0.3, rdpcodec.Target.bpp(0.3)),
        ("size", "50kB", rdpcodec.Target.size(50_000)),
        ("psnr", 31, rdpcodec.Target.psnr(31)),
        ("ms-ssim", 0.95, rdpcodec.Target.ms_ssim(0.95)),
        ("msssim", 0.95, rdpcodec.Target.ms_ssim(0.95)),  # its name in version 0.1
        ("ssimulacra2", 62, rdpcodec.Target.ssimulacra2(62)),
        ("lpips", 0.1, rdpcodec.Target.lpips(0.1)),
    ],
)
def test_an_option_is_the_target_of_its_name(
    photo: Path, monkeypatch: pytest.MonkeyPatch, option: str, value: object, target: rdpcodec.Target
) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(save_networks(photo.parent)))
    file, asked = rdpcodec.compress(photo), []

    def coded(work: Compression, source: Path, name: object) -> bytes:
        asked.append(work.point)
        return file

    monkeypatch.setattr(Compression, "coded", coded)
    assert run("compress", photo, f"--target-{option}", value).exit_code == 0
    assert asked == [rdpcodec.OperatingPoint(target)]


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_a_decoded_image_is_scaled_down(photo: Path, small: Image.Image, mode: str) -> None:
    file = photo.with_suffix(".rdpc")
    file.write_bytes(rdpcodec.compress(small.convert(mode), exact_alpha=True))
    whole = rdpcodec.decompress(file)
    for side, size in ((50, (50, 33)), (500, (101, 67))):
        assert run("decompress", file, photo, "--max-side", side, "--force").exit_code == 0
        expected = whole.resize(size, Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(np.asarray(Image.open(photo)), np.asarray(expected))
    assert run("decompress", file, photo, "--max-side", 0, "--force").exit_code == 2


def test_an_image_with_alpha_cannot_become_a_jpeg(photo: Path, small: Image.Image) -> None:
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


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("colour", ["white", "#ff8800"])
def test_what_is_transparent_may_lie_on_a_colour(
    photo: Path, small: Image.Image, gray: bool, colour: str
) -> None:
    """So that a format without transparency can hold the image."""
    clear = small.convert("LA" if gray else "RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(small.size))
    clear.save(photo.with_suffix(".png"))
    file, jpeg, out = photo.with_suffix(".rdpc"), photo.with_name("a.jpg"), photo.with_name("out")
    assert run("compress", photo.with_suffix(".png"), file, "-f").exit_code == 0
    assert run("decompress", file, jpeg).exit_code == 1
    assert run("decompress", file, jpeg, "--background", colour).exit_code == 0
    assert run("batch", "-d", file, out, "--format", "jpg", "--background", colour, "-w", 1).exit_code == 0
    assert (out / f"{file.stem}.jpg").read_bytes() == jpeg.read_bytes()
    decoded = rdpcodec.decompress(file).convert("RGBA")
    expected = Image.alpha_composite(Image.new("RGBA", decoded.size, colour), decoded).convert("RGB")
    assert psnr(np.asarray(expected), np.asarray(Image.open(jpeg).convert("RGB"))) > 30
    assert "is not a colour" in run("decompress", file, jpeg, "-f", "--background", "nocolour").stderr
    assert "--background is for decompression" in run("batch", file, out, "--background", "red").stderr


def test_metadata_reaches_the_decoded_file(photo: Path, small: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    small.save(photo, exif=exif)
    run("compress", photo, "--keep-metadata")
    decoded = photo.with_suffix(".jpg")
    run("decompress", photo.with_suffix(".rdpc"), decoded)
    assert Image.open(decoded).getexif()[0x010F] == "Maker"


def test_no_limit_of_pixels_is_the_formats_limit(photo: Path) -> None:
    assert run("compress", photo, "--max-pixels", "inf").exit_code == 0
    # Pixels given in place of megapixels would set no limit.
    counted = run("decompress", photo.with_suffix(".rdpc"), "--max-pixels", 24_000_000)
    assert counted.exit_code == 2
    assert "24000000 megapixels: no image has more than 268" in counted.stderr


def test_a_limit_of_pixels_holds_both_ways_and_in_batches(photo: Path) -> None:
    limit, out = ("--max-pixels", 0.005), photo.parent / "out"
    message = "an image of 101×67 pixels is over the limit of 5000 pixels"
    assert message in run("compress", photo, *limit).stderr
    assert not photo.with_suffix(".rdpc").exists()
    assert message in run("batch", photo, out, "-w", 1, *limit).stderr
    assert "over the limit of 0 pixels" in run("compress", photo, "--max-pixels", 1e-9).stderr
    assert run("compress", photo, "--max-pixels", 0.01).exit_code == 0
    assert message in run("decompress", photo.with_suffix(".rdpc"), out.with_suffix(".png"), *limit).stderr
    assert message in run("batch", "-d", photo.with_suffix(".rdpc"), out, "-w", 1, *limit).stderr
    assert not list(photo.parent.rglob("out*.png"))


def test_a_report_in_json_says_the_realism_and_the_time(photo: Path) -> None:
    file = photo.with_suffix(".rdpc")
    coded = json.loads(run("compress", photo, "--realism", "auto", "--json").stdout)
    assert coded["realism"] == rdpcodec.info(file).realism > 0
    assert f", realism {coded['realism']:g}\n" in run("compress", photo, "--realism", "auto", "-f").stdout
    assert coded["seconds"] > 0
    decoded = photo.with_name("decoded.png")
    assert json.loads(run("decompress", file, decoded, "--json").stdout)["realism"] == coded["realism"]
    natural = run("decompress", file, decoded, "--realism", "1", "--json", "--force")
    assert json.loads(natural.stdout)["realism"] == 1


def test_a_coded_file_is_not_compressed_again(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "RDPC"])  # without our plugin
    run("compress", photo)
    result = run("compress", photo.with_suffix(".rdpc"), photo.with_name("twice.rdpc"))
    assert result.exit_code == 1
    assert "photo.rdpc: is an .rdpc file, compressed already" in result.stderr


def test_the_options_of_the_process_reach_it(photo: Path) -> None:
    """In a process of its own: threads and logs are set for good."""
    script = (
        "import sys; from rdpcodec.cli import main; from rdpcodec.engine import threads\n"
        "try: main()\nfinally: print(threads.chosen_threads())"
    )
    words = ["compress", str(photo), "--target-size", "1kB", "--threads", "3", "--verbose"]
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "3"
    assert "target 1000 bytes: quality 50 gives" in done.stderr
    assert "not in the range" in run("compress", photo, "--threads", "0").stderr
