"""`rdpcodec info` and `rdpcodec models`: what a file or an installation holds. Answers without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from rdpcodec import container
from rdpcodec.cli.output import read_input
from rdpcodec.errors import FormatError, WeightsError
from rdpcodec.weights.manifest import DEFAULT_MODEL, hours_by_device, manifest, model_for_file, model_name


@click.command()
@click.argument("path", type=click.Path(path_type=Path), metavar="IN.rdpc")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def info(path: Path, as_json: bool) -> None:
    """Show what an .rdpc file holds, and whether it is intact."""
    data = read_input(path)
    try:
        file = container.read(data)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    header = file.header
    try:
        model_for_file(header)
        installed = True
    except WeightsError:
        installed = False
    record: dict[str, Any] = {
        "file": str(path),
        "bytes": len(data),
        "format_version": file.version,
        "width": header.width,
        "height": header.height,
        "bits_per_pixel": round(len(data) * 8 / (header.width * header.height), 4),
        "channels": ("gray" if file.gray else "colour")
        + (" + alpha" if container.Segment.ALPHA in file.segments else ""),
        "quality": header.quality,
        "realism": round(header.realism, 3),
        "model": model_name(header),
        "fingerprint": header.fingerprint.hex(),
        "weights_installed": installed,
        "segments": {kind.name.lower(): len(payload) for kind, payload in file.segments.items()},
    }
    if as_json:
        click.echo(json.dumps(record))
        return
    segments = ", ".join(f"{name} {size} bytes" for name, size in record["segments"].items())
    click.echo(f"{path}: intact, {record['bytes']} bytes, {record['bits_per_pixel']:.3f} bits per pixel")
    click.echo(f"  image   {header.width}×{header.height}, {record['channels']}")
    click.echo(f"  dials     quality {header.quality:g}, realism {record['realism']:g}")
    state = "installed" if installed else "NOT installed"
    click.echo(f"  weights   {record['model']}-{record['fingerprint']} ({state})")
    click.echo(f"  segments  {segments}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def models(as_json: bool) -> None:
    """List the installed models, their dials and measured results."""
    entries = manifest()
    if as_json:
        click.echo(json.dumps({name: entry.record for name, entry in entries.items()}))
        return
    for name, entry in entries.items():
        record = entry.record
        default = " (default)" if name == DEFAULT_MODEL else ""
        click.echo(f"{name}-{entry.fingerprint.hex()}{default}")
        click.echo(f"  dials     {', '.join(record['dials'])}")
        click.echo(
            f"  size      {record['parameters'] / 1e6:.1f} million parameters, {record['bytes'] / 1e6:.1f} MB"
        )
        click.echo(
            f"  training  {hours_by_device(record['training'])}, "
            f"{record['training']['gigapixels']:.1f} gigapixels"
        )
        for line in record.get("results", []):
            click.echo(f"  results   {line}")
