"""`rdpcodec compress` and `rdpcodec decompress`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from os.path import getsize, isfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rdpcodec.batch.plan import Task
from rdpcodec.batch.work import Compression, Decompression, Outcome, check_work, note_of_growth
from rdpcodec.cli.jobs import Done, Names, job_options, jobs_of, run_all
from rdpcodec.cli.options import background_option, compression, compression_options, format_option, inputs
from rdpcodec.cli.output import STANDARD, image_source, read_coded
from rdpcodec.errors import UsageError
from rdpcodec.file_type import EXTENSION
from rdpcodec.format.container import bits_per_pixel, decimal_realism, read_header

if TYPE_CHECKING:
    from rdpcodec.mosaic import Region


def _region(context: click.Context, parameter: click.Parameter, value: str | None) -> Region | None:
    """Four numbers with commas between them."""
    if value is None:
        return None
    try:
        left, top, width, height = (int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not four whole numbers with commas between them") from None
    return left, top, width, height


def _is_own(suffix: str) -> bool:
    return suffix == EXTENSION


@click.command()
@inputs("paths", "IN... [OUT]")
@compression_options
@job_options
def compress(
    paths: tuple[Path, ...], output: Path | None, force: bool, quiet: bool, as_json: bool, **chosen: Any
) -> None:
    """Compress images to .rdpc files.

    \b
    rdpcodec compress photo.png                     # → photo.rdpc
    rdpcodec compress photo.jpg small.rdpc -q 20
    rdpcodec compress photo.jpg --target-size 50kB
    rdpcodec compress *.png -o compressed/ --preset web
    cat photo.png | rdpcodec compress - - > photo.rdpc

    IN is an image in any format that Pillow reads, or - for standard input. OUT ends in .rdpc.

    With a target, the quality is searched for each image, in at most 8 encodes. The file is never larger, or
    its image never worse, than the target, and as a rule at most 1 % smaller or better. `rdpcodec suggest IN`
    shows what is possible.
    """
    from rdpcodec.image import is_readable

    work = compression(**chosen)
    names = Names("compress", suffix=EXTENSION, is_read=is_readable, is_written=_is_own, outputs=EXTENSION)
    check_work(work)
    jobs = jobs_of(paths, output, names)
    run = partial(_compressed, work)
    run_all(jobs, run, "compressing", force=force, quiet=quiet, as_json=as_json)


def _compressed(work: Compression, source: Path, place: Path) -> Done:
    """Compress one image, for `place`. Raises `RdpError`."""
    given = image_source(source)
    before = getsize(source) if given == source and isfile(source) else None
    data = work.coded(given, source)
    header, _ = read_header(data)
    bpp = bits_per_pixel(data)
    growth = note_of_growth(before, len(data)) if before else ""
    text = (
        f"{place}: {len(data)} bytes, {bpp:.3f} bits per pixel, "
        f"{header.width}×{header.height}, quality {header.quality:g}"
    )
    if header.realism:
        text += f", realism {decimal_realism(header.realism):g}"
    outcome = Outcome.of(Task(str(source), str(place)), (before, len(data)), header, bpp)
    return Done(data, replace(outcome, warnings=(growth,) if growth else ()), text)


@click.command()
@inputs("paths", "IN... [OUT]")
@click.option("--realism", type=float, help="Realism of decoding, 0 to 1, instead of the file's own.")
@click.option(
    "--region",
    callback=_region,
    metavar="X,Y,W,H",
    help="Only this part of the image: left, top, width and height. Only the tiles it needs are decoded.",
)
@format_option
@background_option
@job_options
def decompress(
    paths: tuple[Path, ...],
    suffix: str,
    output: Path | None,
    force: bool,
    quiet: bool,
    as_json: bool,
    **decoding: Any,
) -> None:
    """Decompress .rdpc files to images.

    \b
    rdpcodec decompress photo.rdpc                  # → photo.png
    rdpcodec decompress photo.rdpc photo.webp
    rdpcodec decompress *.rdpc -o images/ --format jpg
    rdpcodec decompress - - < photo.rdpc > photo.png

    The output's extension sets its format: PNG and WebP are written lossless, JPEG and AVIF at quality 95.
    """
    from rdpcodec.image import is_writable, writable_format

    wanted = writable_format(suffix)
    check_work(work := Decompression(suffix, **decoding))
    written = ".png, .webp, .jpg or the like"
    names = Names("decompress", suffix=suffix, is_read=_is_own, is_written=is_writable, outputs=written)
    jobs = jobs_of(paths, output, names)
    for _, place in jobs:
        given = click.get_current_context().get_parameter_source("suffix") is ParameterSource.COMMANDLINE
        if given and place != STANDARD and writable_format(place.suffix.lower()) != wanted:
            raise UsageError(f"{place}: is not a name for --format {suffix[1:]}: leave one of them out")
    run = partial(_decompressed, work)
    run_all(jobs, run, "decompressing", force=force, quiet=quiet, as_json=as_json)


def _decompressed(work: Decompression, source: Path, place: Path) -> Done:
    """Decompress one file, for `place`. Raises `RdpError`."""
    from rdpcodec.image import encode_image, writable_format

    data = read_coded(source)
    image = work.image(data, source)
    suffix = work.suffix if place == STANDARD else place.suffix.lower()
    encoded = encode_image(image, writable_format(suffix), place)
    task, sizes, (header, _) = Task(str(source), str(place)), (len(data), len(encoded)), read_header(data)
    outcome = Outcome.of(task, sizes, header, bits_per_pixel(data), work.realism)
    return Done(encoded, outcome, f"{place}: {image.width}×{image.height} {image.mode}")
