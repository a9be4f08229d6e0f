"""`rdpcodec compress` and `rdpcodec decompress`."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rdpcodec.cli.output import STANDARD, check_output, named_warnings, progress, read_input, write_output
from rdpcodec.container import EXTENSION, bits_per_pixel, read_header
from rdpcodec.errors import RdpError, UsageError
from rdpcodec.operating_point import PRESETS, OperatingPoint
from rdpcodec.search import Target
from rdpcodec.weights import DEFAULT_MODEL

if TYPE_CHECKING:
    from PIL import Image

# A decoded picture should lose nothing more where the format allows, and next to nothing where it does not.
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}

_PATHS = click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IN... [OUT]"
)
_FOLDER = click.option(
    "-o",
    "--output-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the outputs of several inputs.",
)
FORCE = click.option("-f", "--force", is_flag=True, help="Overwrite outputs that exist.")
DEVICE = click.option(
    "--device", default="cpu", show_default=True, help="Where the networks run: cpu, cuda, …"
)
MODEL = click.option("--model", default=DEFAULT_MODEL, show_default=True, help="See `rdpcodec models`.")


_TARGETS: dict[str, tuple[Callable[[Any], Target], Any, str]] = {
    "target_bpp": (Target.bpp, float, "At most so many bits per pixel."),
    "target_size": (Target.size, str, "At most so many bytes: 800, 50kB, 1.5MB, 64KiB."),
    "target_psnr": (Target.psnr, float, "At least so many dB."),
    "target_msssim": (Target.ms_ssim, float, "At least this MS-SSIM, 0 to 1."),
    "target_lpips": (Target.lpips, float, "At most this LPIPS."),
}


def _target_options(command: Any) -> Any:
    for name, (_, kind, text) in reversed(_TARGETS.items()):
        command = click.option("--" + name.replace("_", "-"), type=kind, metavar="X", help=text)(command)
    return command


def _region(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, int, int, int] | None:
    """Four numbers with commas between them."""
    if value is None:
        return None
    try:
        left, top, width, height = (int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not four whole numbers with commas between them") from None
    return left, top, width, height


@click.command()
@_PATHS
@click.option(
    "-q", "--quality", type=float, help="Rate: 0 (smallest) to 100 (best); 50 where nothing sets it."
)
@click.option("--preset", type=click.Choice(list(PRESETS)), help="An operating point by name.")
@_target_options
@click.option("--realism", type=float, help="Default realism of decoding, 0 to 1; 0, or the preset's.")
@click.option("--effort", type=int, help="How long to search for a better file, 0 to 9; 0, or the preset's.")
@MODEL
@click.option("--keep-metadata", is_flag=True, help="Keep EXIF, and the ICC profile unapplied.")
@_FOLDER
@FORCE
@DEVICE
def compress(
    paths: tuple[Path, ...],
    quality: float | None,
    preset: str | None,
    realism: float | None,
    effort: int | None,
    model: str,
    keep_metadata: bool,
    output_dir: Path | None,
    force: bool,
    device: str,
    **targets: Any,
) -> None:
    """Compress pictures to .rdpc files.

    \b
    rdpcodec compress photo.png                     # → photo.rdpc
    rdpcodec compress photo.jpg small.rdpc -q 20
    rdpcodec compress photo.jpg --target-size 50kB
    rdpcodec compress *.png -o compressed/ --preset web
    cat photo.png | rdpcodec compress - - > photo.rdpc

    IN is a picture in any format that Pillow reads, or - for standard input.

    With a target, the quality is searched for each picture, in at most 8 encodes. The file is never over the
    target, and no more than 1 % under it. `rdpcodec suggest IN` shows what can be had.
    """
    from rdpcodec.weights import find_model

    aim = _aim(quality, preset, targets)
    point = PRESETS[preset] if preset else OperatingPoint(50 if quality is None else quality)
    point = replace(
        point,
        realism=point.realism if realism is None else realism,
        effort=point.effort if effort is None else effort,
    )
    point.check_dials(model, tuple(find_model(model).record["dials"]))
    jobs = _jobs(paths, output_dir, EXTENSION, lambda path: path.suffix.lower() == EXTENSION)

    def run(source: Path, target: Path) -> str:
        from rdpcodec.codec import shared_codec

        codec = shared_codec(model, device)
        given: Any = io.BytesIO(read_input(source)) if source == STANDARD else source
        with named_warnings(source):
            try:
                data = codec.compress(
                    given,
                    None if aim else point.quality,
                    target=aim,
                    realism=point.realism,
                    effort=point.effort,
                    keep_metadata=keep_metadata,
                )
            except UsageError as error:  # a target that this picture cannot meet
                raise UsageError(f"{source}: {error}") from error
        write_output(target, data, force)
        header, _ = read_header(data)
        return (
            f"{target}: {len(data)} bytes, {bits_per_pixel(data):.3f} bits per pixel, "
            f"{header.width}×{header.height}, quality {header.quality:g}"
        )

    _run_all(jobs, run, "compressing", force)


@click.command()
@_PATHS
@click.option("--realism", type=float, help="Realism of decoding, 0 to 1, instead of the file's own.")
@click.option(
    "--region",
    callback=_region,
    metavar="X,Y,W,H",
    help="Only this part of the picture: left, top, width and height. Only the tiles it needs are decoded.",
)
@click.option(
    "--format",
    "extension",
    default="png",
    show_default=True,
    help="Format where the output's name gives none.",
)
@_FOLDER
@FORCE
@DEVICE
def decompress(
    paths: tuple[Path, ...],
    realism: float | None,
    region: tuple[int, int, int, int] | None,
    extension: str,
    output_dir: Path | None,
    force: bool,
    device: str,
) -> None:
    """Decompress .rdpc files to pictures.

    \b
    rdpcodec decompress photo.rdpc                  # → photo.png
    rdpcodec decompress photo.rdpc photo.webp
    rdpcodec decompress *.rdpc -o pictures/ --format jpg
    rdpcodec decompress - - < photo.rdpc > photo.png

    The output's extension sets its format: PNG and WebP are written lossless, JPEG and AVIF at quality 95.
    """
    suffix = "." + extension.lstrip(".").lower()
    _pillow_format(suffix)
    jobs = _jobs(paths, output_dir, suffix, lambda path: path.suffix.lower() != EXTENSION)
    formats = {
        target: _pillow_format(target.suffix.lower() if target != STANDARD else suffix) for _, target in jobs
    }

    def run(source: Path, target: Path) -> str:
        from rdpcodec import container
        from rdpcodec.codec import shared_codec
        from rdpcodec.weights import model_for_file

        data = read_input(source)
        try:
            header = container.read(data).header
            codec = shared_codec(model_for_file(header.model, header.fingerprint).name, device)
            image = codec.decompress(data, realism=realism, region=region)
        except RdpError as error:
            raise type(error)(f"{source}: {error}") from error
        write_output(target, _encoded(image, formats[target], target), force)
        return f"{target}: {image.width}×{image.height} {image.mode}"

    _run_all(jobs, run, "decompressing", force)


def _aim(quality: float | None, preset: str | None, targets: dict[str, Any]) -> Target | None:
    """The target among the options. Raises `UsageError` when more than one of them sets the quality."""
    given = {"quality": quality, "preset": preset, **targets}
    given = {name: value for name, value in given.items() if value is not None}
    if len(given) > 1:
        words = " and ".join("--" + name.replace("_", "-") for name in given)
        raise UsageError(f"{words} each set the quality: give one of them")
    return next((_TARGETS[name][0](value) for name, value in given.items() if name in _TARGETS), None)


def _jobs(
    paths: tuple[Path, ...], folder: Path | None, suffix: str, is_output: Callable[[Path], bool]
) -> list[tuple[Path, Path]]:
    """Pairs of input and output from the arguments: `IN`, `IN OUT`, or `IN… -o DIR`."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        targets = [
            folder / (path.name + suffix if path == STANDARD else path.with_suffix(suffix).name)
            for path in paths
        ]
        for target in targets:
            if targets.count(target) > 1:
                raise UsageError(
                    f"several inputs would be written to {target}: rename them or use several folders"
                )
        return list(zip(paths, targets, strict=True))
    if len(paths) == 1:
        return [(paths[0], STANDARD if paths[0] == STANDARD else paths[0].with_suffix(suffix))]
    if len(paths) == 2 and (paths[1] == STANDARD or is_output(paths[1])):
        return [(paths[0], paths[1])]
    raise UsageError("give IN, or IN and OUT, or several inputs and a folder for the outputs: -o DIR")


def _run_all(
    jobs: list[tuple[Path, Path]], run: Callable[[Path, Path], str], label: str, force: bool
) -> None:
    """Run every job; one that fails is reported and does not stop the others. Exit status 1 if any failed."""
    failed = 0
    with progress(label, len(jobs)) as step:
        for source, target in jobs:
            try:
                check_output(target, force)
                report = run(source, target)
                click.echo(report, err=target == STANDARD)
            except RdpError as error:
                failed += 1
                click.echo(f"error: {error}", err=True)
            except MemoryError:
                failed += 1
                click.echo(f"error: {source}: not enough memory for a picture of this size", err=True)
            step()
    if failed:
        if len(jobs) > 1:
            click.echo(f"error: {failed} of {len(jobs)} failed", err=True)
        sys.exit(1)


def _pillow_format(suffix: str) -> str:
    """Pillow's format for an extension. Raises `UsageError` if Pillow cannot write it."""
    from PIL import Image

    name = Image.registered_extensions().get(suffix)
    if name is None or name not in Image.SAVE:
        raise UsageError(
            f"{suffix or 'no extension'}: not a picture format that can be written; try .png, .webp or .jpg"
        )
    return name


def _encoded(image: Image.Image, name: str, target: Path) -> bytes:
    """An image as the bytes of a file of a Pillow format."""
    options = dict(_SAVE_OPTIONS.get(name, {}))
    options |= {key: image.info[key] for key in ("exif", "icc_profile") if key in image.info}
    buffer = io.BytesIO()
    try:
        image.save(buffer, name, **options)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{target}: {name} cannot hold this picture ({error}); try .png or .webp") from error
    return buffer.getvalue()
