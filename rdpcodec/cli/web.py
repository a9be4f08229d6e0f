"""`rdpcodec web`: a folder with all that a site needs to show .rdpc files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rdpcodec.cli.options import LocalPath, force_option, report_options, runtime_option
from rdpcodec.cli.output import STANDARD
from rdpcodec.errors import UsageError


@click.command()
@click.argument("folder", type=LocalPath(file_okay=False), metavar="DIR")
@runtime_option
@force_option
@report_options
def web(folder: Path, runtime: Path | None, force: bool, quiet: bool, as_json: bool) -> None:
    """Write a folder that lets your web pages show .rdpc files, in browsers from 2023 on.

    \b
    npm pack onnxruntime-web@1.30.0
    rdpcodec web site/ --onnxruntime-web onnxruntime-web-1.30.0.tgz
    python -m http.server --directory site

    It holds JavaScript modules, a page to try them, the installed weights and ONNX Runtime's files. Put it on
    a web server. A page that loads its rdpcodec.js as a module then shows <img data-rdpc="photo.rdpc">.
    """
    from rdpcodec.web.folder import write_folder
    from rdpcodec.web.runtime import HOW

    if folder == STANDARD:
        raise UsageError("- would be standard output, which takes one file: give a folder")
    if runtime is None:
        raise UsageError(f"ONNX Runtime for browsers is not part of this package: {HOW}")
    sizes = write_folder(folder, runtime, force)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "files": sizes}))
    elif not quiet:
        click.echo(f"{folder}: {len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB")
