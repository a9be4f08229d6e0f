"""`rdpcodec info` and `rdpcodec models`: what a file or an installation holds. Answers without torch."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rdpcodec import file_info
from rdpcodec.cli.options import inputs, json_option, report_options
from rdpcodec.cli.output import end, read_coded
from rdpcodec.errors import in_a_line
from rdpcodec.files.source import named
from rdpcodec.weights.manifest import DEFAULT_MODEL, hours_by_device, manifest


@click.command()
@inputs("paths", "IN.rdpc...")
@report_options
def info(paths: tuple[Path, ...], quiet: bool, as_json: bool) -> None:
    """Show what .rdpc files hold, and whether they are intact.

    \b
    rdpcodec info photo.rdpc
    rdpcodec info *.rdpc --json             # a line for each
    rdpcodec info *.rdpc --quiet            # only what is damaged
    """
    errors = 0
    for path in paths:
        try:
            data = read_coded(path)
            with named(path):
                described = file_info.info(data)
        except Exception as error:  # whatever happens with one file, the rest go on
            click.echo(f"error: {(message := in_a_line(error, path))}", err=True)
            if as_json:
                click.echo(json.dumps({"file": str(path), "error": message}))
            errors += 1
            continue
        if as_json:
            click.echo(json.dumps({"file": str(path), **described.record()}))
        elif not quiet:
            click.echo(_text(path, described))
    end(errors, len(paths))


def _text(path: Path, file: file_info.FileInfo) -> str:
    channels = ("gray" if file.gray else "colour") + " + alpha" * file.alpha
    state = "installed" if file.weights_installed else "NOT installed"
    segments = ", ".join(f"{name} {size} bytes" for name, size in file.segments.items())
    weights = file.model if file.model.endswith(file.fingerprint) else f"{file.model}-{file.fingerprint}"
    return (
        f"{path}: intact, {file.bytes} bytes, {file.bpp:.3f} bits per pixel\n"
        f"  image     {file.width}×{file.height}, {channels}\n"
        f"  settings  quality {file.quality:g}, realism {file.realism:g}\n"
        f"  weights   {weights} ({state})\n"
        f"  format    version {file.format_version}; {segments}"
    )


@click.command()
@json_option
def models(as_json: bool) -> None:
    """List the installed models, their settings and measured results."""
    entries = manifest()
    if as_json:
        click.echo(json.dumps({name: entry.record for name, entry in entries.items()}))
        return
    for name, entry in entries.items():
        record = entry.record
        default = " (default)" if name == DEFAULT_MODEL else ""
        if not entry.encodes:
            others = [key for key, other in entries.items() if other.path == entry.path and other.encodes]
            size = f"with the weights of {others[0]}" if others else f"{record['bytes'] / 1e6:.1f} MB"
            click.echo(f"{name}\n  decodes   files of an earlier version, {size}")
            continue
        parameters = record["parameters"] + record.get("realism", {}).get("parameters", 0)
        click.echo(f"{name}{default}")
        click.echo(f"  files     say {name}-{entry.fingerprint.hex()}")
        click.echo(f"  settings  {', '.join(record['dials'])}")
        click.echo(f"  size      {parameters / 1e6:.1f} million parameters, {record['bytes'] / 1e6:.1f} MB")
        click.echo(
            f"  training  {hours_by_device(record['training'])}, "
            f"{record['training']['gigapixels']:.1f} gigapixels"
        )
        for line in record.get("results", []):
            click.echo(f"  results   {line}")
