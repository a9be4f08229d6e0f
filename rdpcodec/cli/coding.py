"""`rdpcodec compress` and `rdpcodec decompress`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from rdpcodec.cli.options import (
    compression_options,
    device_option,
    force_option,
    format_option,
    operating_point,
)
from rdpcodec.cli.output import STANDARD, check_output, image_source, named_warnings, read_input, write_output
from rdpcodec.cli.progress import progress
from rdpcodec.container import EXTENSION, bits_per_pixel, read_header
from rdpcodec.errors import RdpError, UsageError

_PATHS = click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IN... [OUT]"
)
_FOLDER = click.option(
    "-o",
    "--output-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the outputs of several inputs.",
)


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
@compression_options
@_FOLDER
@force_option
@device_option
def compress(
    paths: tuple[Path, ...],
    model: str,
    keep_metadata: bool,
    output_dir: Path | None,
    force: bool,
    device: str,
    **chosen: Any,
) -> None:
    """Compress images to .rdpc files.

    \b
    rdpcodec compress photo.png                     # → photo.rdpc
    rdpcodec compress photo.jpg small.rdpc -q 20
    rdpcodec compress photo.jpg --target-size 50kB
    rdpcodec compress *.png -o compressed/ --preset web
    cat photo.png | rdpcodec compress - - > photo.rdpc

    IN is an image in any format that Pillow reads, or - for standard input.

    With a target, the quality is searched for each image, in at most 8 encodes. The file is never over the
    target, and no more than 1 % under it. `rdpcodec suggest IN` shows what can be had.
    """
    point = operating_point(model, **chosen)
    jobs = _jobs(paths, output_dir, EXTENSION, lambda path: path.suffix.lower() == EXTENSION)

    def run(source: Path, output: Path) -> str:
        from rdpcodec.codec import shared_codec

        codec = shared_codec(model, device)
        try:
            (data,) = codec.compress_batch([image_source(source)], point, keep_metadata=keep_metadata)
        except UsageError as error:  # a target that this image cannot meet
            raise UsageError(f"{source}: {error}") from error
        write_output(output, data, force)
        return f"{output}: {_about(data)}"

    _run_all(jobs, run, "compressing", force)


def _about(data: bytes) -> str:
    """What a file takes and holds, in words."""
    header, _ = read_header(data)
    return (
        f"{len(data)} bytes, {bits_per_pixel(data):.3f} bits per pixel, "
        f"{header.width}×{header.height}, quality {header.quality:g}"
    )


@click.command()
@_PATHS
@click.option("--realism", type=float, help="Realism of decoding, 0 to 1, instead of the file's own.")
@click.option(
    "--region",
    callback=_region,
    metavar="X,Y,W,H",
    help="Only this part of the image: left, top, width and height. Only the tiles it needs are decoded.",
)
@format_option
@_FOLDER
@force_option
@device_option
def decompress(
    paths: tuple[Path, ...],
    realism: float | None,
    region: tuple[int, int, int, int] | None,
    extension: str,
    output_dir: Path | None,
    force: bool,
    device: str,
) -> None:
    """Decompress .rdpc files to images.

    \b
    rdpcodec decompress photo.rdpc                  # → photo.png
    rdpcodec decompress photo.rdpc photo.webp
    rdpcodec decompress *.rdpc -o images/ --format jpg
    rdpcodec decompress - - < photo.rdpc > photo.png

    The output's extension sets its format: PNG and WebP are written lossless, JPEG and AVIF at quality 95.
    """
    from rdpcodec.image import encode_picture, writable_format

    suffix = "." + extension.lstrip(".").lower()
    writable_format(suffix)
    jobs = _jobs(paths, output_dir, suffix, lambda path: path.suffix.lower() != EXTENSION)
    formats = {
        output: writable_format(output.suffix.lower() if output != STANDARD else suffix) for _, output in jobs
    }

    def run(source: Path, output: Path) -> str:
        from rdpcodec import codec

        data = read_input(source)
        try:
            image = codec.decompress(data, realism=realism, region=region, device=device)
        except RdpError as error:
            raise type(error)(f"{source}: {error}") from error
        write_output(output, encode_picture(image, formats[output], output), force)
        return f"{output}: {image.width}×{image.height} {image.mode}"

    _run_all(jobs, run, "decompressing", force)


def _jobs(
    paths: tuple[Path, ...], folder: Path | None, suffix: str, is_output: Callable[[Path], bool]
) -> list[tuple[Path, Path]]:
    """Pairs of input and output from the arguments: `IN`, `IN OUT`, or `IN… -o DIR`."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        outputs = [
            folder / (path.name + suffix if path == STANDARD else path.with_suffix(suffix).name)
            for path in paths
        ]
        for output in outputs:
            if outputs.count(output) > 1:
                raise UsageError(
                    f"several inputs would be written to {output}: rename them or use several folders"
                )
        return list(zip(paths, outputs, strict=True))
    if len(paths) == 1:
        return [(paths[0], STANDARD if paths[0] == STANDARD else paths[0].with_suffix(suffix))]
    if len(paths) == 2 and (paths[1] == STANDARD or is_output(paths[1])):
        return [(paths[0], paths[1])]
    raise UsageError("give IN, or IN and OUT, or several inputs and a folder for the outputs: -o DIR")


def _run_all(
    jobs: list[tuple[Path, Path]], run: Callable[[Path, Path], str], label: str, force: bool
) -> None:
    """Run every job; one that fails is reported and does not stop the others. Exit status 1 if any failed."""
    errors = 0
    with progress(label, len(jobs)) as bar:
        for source, output in jobs:
            try:
                check_output(output, force)
                with named_warnings(source, bar.echo):
                    report = run(source, output)
                bar.echo(report, err=output == STANDARD)
            except RdpError as error:
                errors += 1
                bar.echo(f"error: {error}", err=True)
            except MemoryError:
                errors += 1
                bar.echo(f"error: {source}: not enough memory for an image of this size", err=True)
            bar.step()
    if errors:
        if len(jobs) > 1:
            click.echo(f"error: {errors} of {len(jobs)} failed", err=True)
        sys.exit(1)
