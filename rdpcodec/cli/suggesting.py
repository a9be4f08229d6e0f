"""`rdpcodec suggest`: what a few operating points give an image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from rdpcodec.cli.options import device_option, model_option
from rdpcodec.cli.output import image_source, named_warnings
from rdpcodec.cli.progress import progress
from rdpcodec.container import bits_per_pixel
from rdpcodec.operating_point import OperatingPoint

_QUALITIES = (10, 30, 50, 70, 90)
_COLUMNS = {
    "psnr": ("PSNR dB", ".2f"),
    "ms_ssim": ("MS-SSIM", ".4f"),
    "ssimulacra2": ("SSIMULACRA2", ".1f"),
    "lpips": ("LPIPS", ".4f"),
}


@click.command()
@click.argument("source", type=click.Path(path_type=Path), metavar="IN")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable; null where a metric is missing.")
@model_option
@device_option
def suggest(source: Path, as_json: bool, model: str, device: str) -> None:
    """Show the size and the errors of an image at five qualities, each at realism 0 and 1.

    IN is an image in any format that Pillow reads, or - for standard input. PSNR, MS-SSIM, SSIMULACRA2 and
    LPIPS are those of the decoded image; LPIPS and MS-SSIM need more than a plain installation.
    """
    given = image_source(source)
    import numpy as np

    from rdpcodec.codec import shared_codec
    from rdpcodec.image import load_picture
    from rdpcodec.metrics.full_reference import Metrics

    with named_warnings(source):
        picture = load_picture(given)
    codec = shared_codec(model, device)
    metrics = Metrics()
    encode = codec.encoder(picture)
    points: list[dict[str, Any]] = []
    realisms = (0, 1) if "realism" in codec.dials else (0,)
    with progress("measuring", len(_QUALITIES)) as bar:
        for quality in _QUALITIES:
            data = encode(OperatingPoint(quality))
            size = {"bytes": len(data), "bits_per_pixel": round(bits_per_pixel(data), 4)}
            for realism in realisms:
                decoded = np.asarray(codec.decompress(data, realism=realism).convert("RGB"))
                errors = metrics(picture.pixels, decoded)
                points.append({"quality": quality, "realism": realism, **size, **errors})
            bar.step()
    width, height = picture.size
    if as_json:
        click.echo(json.dumps({"file": str(source), "width": width, "height": height, "points": points}))
    else:
        _print_table(f"{source}, {width}×{height}", points)
    for note in (*metrics.notes, *metrics.undefined(points)):
        click.echo(note, err=True)


def _print_table(title: str, points: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in ("quality", "realism", "bytes", "bpp", *(label for label, _ in _COLUMNS.values())):
        table.add_column(column, justify="right")
    for point in points:
        values = [
            "-" if point[name] is None else format(point[name], form) for name, (_, form) in _COLUMNS.items()
        ]
        shown = [str(point[name]) for name in ("quality", "realism", "bytes")]
        table.add_row(*shown, f"{point['bits_per_pixel']:.3f}", *values)
    Console().print(table)
