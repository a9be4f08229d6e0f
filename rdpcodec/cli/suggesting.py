"""`rdpcodec suggest`: size and errors of an image at a few operating points."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rdpcodec.cli.options import device_option, model_option, report_options
from rdpcodec.cli.output import end, image_source, in_a_line, named_warnings
from rdpcodec.cli.progress import Bar, progress
from rdpcodec.container import bits_per_pixel
from rdpcodec.operating_point import OperatingPoint

if TYPE_CHECKING:
    from rdpcodec.codec import Codec
    from rdpcodec.image import ImageData
    from rdpcodec.metrics.full_reference import Metrics

_QUALITIES = (10, 30, 50, 70, 90)
_COLUMNS = {
    "psnr": ("PSNR dB", ".2f"),
    "ms_ssim": ("MS-SSIM", ".4f"),
    "ssimulacra2": ("SSIMULACRA2", ".1f"),
    "lpips": ("LPIPS", ".4f"),
}
Point = dict[str, Any]
"""Quality, realism, bytes, bpp and the metrics by name, as JSON has them."""


@click.command()
@click.argument(
    "sources", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False), metavar="IN..."
)
@report_options
@model_option
@device_option
def suggest(sources: tuple[Path, ...], quiet: bool, as_json: bool, model: str, device: str) -> None:
    """Show the size and the errors of images at five qualities, each at realism 0 and 1.

    \b
    rdpcodec suggest photo.png
    rdpcodec suggest *.png --json           # a line for each; null where a metric is missing

    IN is an image in any format that Pillow reads, or - for standard input. PSNR, MS-SSIM, SSIMULACRA2 and
    LPIPS are those of the decoded image; LPIPS needs more than a plain installation.
    """
    from rdpcodec.codec import shared_codec
    from rdpcodec.metrics.full_reference import Metrics

    codec, metrics, measured = shared_codec(model, device), Metrics(), []
    with progress("measuring", len(sources) * len(_QUALITIES), shown=not quiet) as bar:
        errors = 0
        for source in sources:
            try:
                image = _loaded(source, bar)
                points = list(_points(codec, image, metrics, bar.step))
            except Exception as error:  # from a decoder, say: one bad image never stops the rest
                bar.echo(f"error: {in_a_line(error, source)}", err=True)
                errors += 1
                continue
            measured += points
            bar.echo(_described(source, image.size, points, as_json))
    if measured and not quiet:
        for note in (*metrics.notes, *metrics.undefined(measured)):
            click.echo(note, err=True)
    end(errors, len(sources))


def _loaded(source: Path, bar: Bar) -> ImageData:
    """Load an image, and show the warnings. Raises `RdpError`."""
    from rdpcodec.image import load_image

    with named_warnings(source, bar.echo):
        return load_image(image_source(source))


def _points(codec: Codec, image: ImageData, metrics: Metrics, step: Callable[[], None]) -> Iterator[Point]:
    """Size and errors of an image, by quality, then realism."""
    import numpy as np

    from rdpcodec.encoder.transparency import simplified

    encode, original = codec.encoder(image), simplified(image).pixels
    realisms = (0, 1) if "realism" in codec.dials else (0,)
    for quality in _QUALITIES:
        data = encode(OperatingPoint(quality))
        size = {"bytes": len(data), "bpp": round(bits_per_pixel(data), 4)}
        for realism in realisms:
            decoded = np.asarray(codec.decompress(data, realism=realism).convert("RGB"))
            errors = metrics(original, decoded)
            yield {"quality": quality, "realism": realism, **size, **errors}
        step()


def _described(source: Path, size: tuple[int, int], points: list[Point], as_json: bool) -> str:
    """A line of JSON, or a table with a title."""
    width, height = size
    if as_json:
        return json.dumps({"file": str(source), "width": width, "height": height, "points": points})
    return _table(f"{source}, {width}×{height}", points)


def _table(title: str, points: list[Point]) -> str:
    """Points as a table, as wide as the terminal allows."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    for column in ("quality", "realism", "bytes", "bpp", *(label for label, _ in _COLUMNS.values())):
        table.add_column(column, justify="right")
    for point in points:
        values = [
            "-" if point[name] is None else format(point[name], form) for name, (_, form) in _COLUMNS.items()
        ]
        shown = [str(point[name]) for name in ("quality", "realism", "bytes")]
        table.add_row(*shown, f"{point['bpp']:.3f}", *values)
    console = Console()
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip("\n")
