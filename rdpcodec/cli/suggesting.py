"""`rdpcodec suggest`: size and errors of an image at a few operating points."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rdpcodec.cli.options import (
    device_option,
    inputs,
    model_option,
    process_options,
    qualities_option,
    report_options,
)
from rdpcodec.cli.output import end, read_image
from rdpcodec.cli.progress import Bar, progress
from rdpcodec.errors import in_a_line
from rdpcodec.format.container import bits_per_pixel
from rdpcodec.operating_point import OperatingPoint

if TYPE_CHECKING:
    from rdpcodec.codec import Codec
    from rdpcodec.image import ImageData
    from rdpcodec.metrics.full_reference import Metrics

_QUALITIES = (10, 30, 50, 70, 90)
# Columns of the table: head, width, format. Without LPIPS, which a light installation lacks, a row has 59
# characters. A longer figure makes its row longer: none is ever cut.
_COLUMNS = {
    "quality": ("quality", 7, "g"),
    "realism": ("realism", 7, "g"),
    "bytes": ("bytes", 8, ".0f"),
    "bpp": ("bpp", 6, ".3f"),
    "psnr": ("PSNR dB", 7, ".2f"),
    "ms_ssim": ("MS-SSIM", 7, ".4f"),
    "ssimulacra2": ("SSIMULACRA2", 11, ".1f"),
    "lpips": ("LPIPS", 6, ".4f"),
}
_SETTINGS = ("quality", "realism", "bytes", "bpp")  # the columns that are no metrics
Point = dict[str, Any]
"""Quality, realism, bytes, bpp and the metrics by name, as JSON has them."""


@click.command()
@inputs("sources", "IN...")
@qualities_option(_QUALITIES)
@report_options
@model_option
@device_option
@process_options
def suggest(
    sources: tuple[Path, ...],
    qualities: tuple[float, ...],
    quiet: bool,
    as_json: bool,
    model: str,
    device: str,
) -> None:
    """Show bytes and measures of images at some qualities, each at realism 0 and 1.

    \b
    rdpcodec suggest photo.png
    rdpcodec suggest photo.png -q 35 -q 45
    rdpcodec suggest *.png --json           # a line for each; null where a measure is missing

    IN is an image in any format that Pillow reads, or - for standard input. PSNR, MS-SSIM, SSIMULACRA2 and
    LPIPS are those of the decoded image; LPIPS needs more than the light installation.
    """
    points = [OperatingPoint(quality) for quality in dict.fromkeys(qualities)]
    from rdpcodec.codec import shared_codec
    from rdpcodec.metrics.full_reference import Metrics

    codec, metrics = shared_codec(model, device), Metrics()
    measured: list[Point] = []
    with progress("measuring", len(sources) * len(points), shown=not quiet) as bar:
        errors = 0
        for source in sources:
            lines, line = _lines(source, points, codec, metrics, bar, as_json, measured), ""
            while True:
                try:
                    line = next(lines)
                except StopIteration:
                    break
                except Exception as error:  # from a decoder, say: one bad image never stops the rest
                    bar.echo(f"error: {in_a_line(error, source)}", err=True)
                    errors += 1
                    break
                bar.echo(line)  # where this fails, it is not the image's fault
    if measured and not quiet:
        for note in (*metrics.notes, *metrics.undefined(measured)):
            click.echo(note, err=True)
    end(errors, len(sources))


def _lines(
    source: Path,
    points: Sequence[OperatingPoint],
    codec: Codec,
    metrics: Metrics,
    bar: Bar,
    as_json: bool,
    measured: list[Point],
) -> Iterator[str]:
    """Measure an image. Yields the lines to print: a table, row by row as its points are made, or a line of
    JSON. Adds the points to `measured`.

    Raises `RdpError`, or whatever a decoder raises.
    """
    image, found = read_image(source, bar.echo), []
    width, height = image.size
    shown = [name for name in _COLUMNS if name in (*_SETTINGS, *metrics.labels)]
    if not as_json:
        heads = (f"{head:>{wide}}" for head, wide, _ in map(_COLUMNS.__getitem__, shown))
        yield f"{source}, {width}×{height}\n{' '.join(heads)}"
    for point in _points(codec, image, points, metrics, bar.step):
        found.append(point)
        if not as_json:
            yield " ".join(_cell(point[name], name) for name in shown)
    if as_json:
        yield json.dumps({"file": str(source), "width": width, "height": height, "points": found})
    measured += found


def _cell(value: float | None, column: str) -> str:
    """A figure as wide as its column. Where there is none, PSNR is infinite, others are not defined."""
    _, width, form = _COLUMNS[column]
    if value is None:
        return f"{'exact' if column == 'psnr' else '-':>{width}}"
    return f"{value:{width}{form}}"


def _points(
    codec: Codec,
    image: ImageData,
    points: Sequence[OperatingPoint],
    metrics: Metrics,
    step: Callable[[], None],
) -> Iterator[Point]:
    """Size and errors of an image, by quality, then realism."""
    import numpy as np

    from rdpcodec.encoder.transparency import simplified

    encode, original = codec.encoder(image), simplified(image).pixels
    realisms = (0, 1) if codec.weights.has_realism else (0,)
    for point in points:
        data = encode(point)
        size = {"bytes": len(data), "bpp": round(bits_per_pixel(data), 4)}
        for realism in realisms:
            decoded = np.asarray(codec.decompress(data, realism=realism).convert("RGB"))
            errors = metrics(original, decoded)
            yield {"quality": point.quality, "realism": realism, **size, **errors}
        step()
