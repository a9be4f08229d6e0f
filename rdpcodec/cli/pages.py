"""`rdpcodec compare` and `rdpcodec serve`: images in a browser."""

from __future__ import annotations

import ipaddress
import json
import socket
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rdpcodec.cli.options import (
    LocalPath,
    device_option,
    force_option,
    inputs,
    megapixels,
    millions,
    model_option,
    qualities_option,
    report_options,
    runtime_option,
)
from rdpcodec.cli.output import STANDARD, check_output, end, read_image, write_output
from rdpcodec.cli.progress import progress
from rdpcodec.errors import UsageError, in_a_line
from rdpcodec.operating_point import OperatingPoint

if TYPE_CHECKING:
    from rdpcodec.image import ImageData

_QUALITIES = (20, 40, 60)


def _page(context: click.Context, parameter: click.Parameter, value: Path) -> Path:
    """Check that a name is one that browsers take for a page."""
    if value != STANDARD and value.suffix.lower() not in (".html", ".htm"):
        raise click.BadParameter(f"{value}: the page needs a name that ends in .html")
    return value


@click.command()
@inputs("sources", "IN...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=LocalPath(),
    callback=_page,
    help="Page to write, .html.",
)
@qualities_option(_QUALITIES)
@click.option("--effort", type=int, default=0, show_default=True, help="How long to search, 0 to 9.")
@runtime_option
@model_option
@force_option
@report_options
@device_option
def compare(
    sources: tuple[Path, ...],
    output: Path,
    qualities: tuple[float, ...],
    effort: int,
    runtime: Path | None,
    model: str,
    force: bool,
    quiet: bool,
    as_json: bool,
    device: str,
) -> None:
    """Make a page that shows images beside JPEG, WebP and AVIF at equal bytes.

    \b
    rdpcodec compare photo.png -o page.html
    rdpcodec compare *.png -o page.html -q 20 -q 60

    IN is an image in any format that Pillow reads, or - for standard input. The page is one file that loads
    nothing else. A line wipes between any two versions. Images over 2 megapixels are cut to their middle.
    With --onnxruntime-web the page can change realism: it then holds a decoder too, and is 14 MB larger.
    """
    check_output(output, force)
    for quality in qualities:
        OperatingPoint(quality, effort=effort)
    from rdpcodec.codec import shared_codec
    from rdpcodec.pages.compare import compare_page, middle

    decoder = _decoder(model, runtime)
    sources = tuple(dict.fromkeys(sources))
    images = _images(sources)
    errors = len(sources) - len(images)
    if not images:
        end(errors, len(sources))
    for name, image in images.items():
        for note in middle(image)[1]:
            click.echo(f"warning: {name}: {note}", err=True)
    codec = shared_codec(model, device)
    with progress("comparing", len(images) * len(set(qualities)), shown=not quiet) as bar:
        page = compare_page(codec, images, qualities, effort, bar.step, decoder)
    written = page.encode(errors="backslashreplace")  # names need not be UTF-8
    write_output(output, written, force)
    if as_json or not quiet:
        click.echo(_written(output, len(images), len(written), as_json), err=output == STANDARD)
    end(errors, len(sources))


def _written(output: Path, images: int, size: int, as_json: bool) -> str:
    """A page of `size` bytes, in words or as JSON."""
    if as_json:
        return json.dumps({"output": str(output), "images": images, "bytes": size})
    count = f"{images} images" if images > 1 else "1 image"
    return f"{output}: {count}, {size / 1e6:.1f} MB"


def _images(sources: Sequence[Path]) -> dict[str, ImageData]:
    """The images that can be read, by short names that differ. For any other, an error is printed."""
    from rdpcodec.pages.compare import names_of

    images = {}
    for name, source in zip(names_of(sources), sources, strict=True):
        try:
            images[name] = read_image(source)
        except Exception as error:  # from a decoder, say: one bad image never stops the rest
            click.echo(f"error: {in_a_line(error, source)}", err=True)
    return images


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8765,
    show_default=True,
    help="Port to listen on; 0 for any free one.",
)
@click.option(
    "--max-size",
    type=click.FloatRange(0, min_open=True),
    default=64,
    show_default=True,
    callback=millions,
    help="Largest upload, MB.",
)
@click.option(
    "--max-pixels",
    type=click.FloatRange(0, min_open=True),
    default=24,
    show_default=True,
    callback=megapixels,
    help="Largest image, megapixels.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@runtime_option
@report_options
@model_option
@device_option
def serve(
    host: str,
    port: int,
    max_size: int,
    max_pixels: int,
    open_page: bool,
    runtime: Path | None,
    quiet: bool,
    as_json: bool,
    model: str,
    device: str,
) -> None:
    """Serve a page that codes a dropped image at any setting, shows bytes and measures, and offers the file.

    Only this machine can reach it, unless --host says otherwise; there is no password. Images stay in memory.
    With --onnxruntime-web the browser changes realism itself, without asking the server.
    Stop it with Ctrl-C. --json prints its address and model. Needs the extra: pip install 'rdpcodec[web]'.
    """
    _need_server()
    import uvicorn

    from rdpcodec.codec import shared_codec
    from rdpcodec.pages.connections import server_config
    from rdpcodec.pages.serve import Limits, application

    decoder = _decoder(model, runtime)
    listening = _listening(host, port)
    codec = shared_codec(model, device)
    app = application(codec, Limits(max_size, max_pixels), host, decoder)
    url = _url(host, listening)
    if as_json or not quiet:
        line = json.dumps({"url": url, "model": codec.weights.name})
        click.echo(line if as_json else f"serving at {url}, stop with Ctrl-C")
    if open_page:
        webbrowser.open(url)
    with suppress(KeyboardInterrupt):  # uvicorn has shut down, and passes it on
        uvicorn.Server(server_config(app)).run(sockets=[listening])
    if not (quiet or as_json):
        click.echo("stopped")


def _need_server() -> None:
    """Raise `UsageError` unless the server's packages are installed."""
    for package in ("uvicorn", "starlette"):
        try:
            import_module(package)
        except ModuleNotFoundError as error:
            if error.name != package:
                raise
            raise UsageError(
                f"serve needs {package}, which is not installed: pip install 'rdpcodec[web]'"
            ) from None


def _decoder(model: str, runtime: Path | None) -> dict[str, bytes]:
    """The files of the decoder for browsers; none without ONNX Runtime.

    Raises `UsageError` for a runtime that is not ONNX Runtime, and `WeightsError`.
    """
    if runtime is None:
        return {}
    from rdpcodec.web.folder import site_files
    from rdpcodec.weights.manifest import find_model

    return site_files(runtime, [find_model(model)])


def _url(host: str, listening: socket.socket) -> str:
    """The address of the server. Warns if other machines can reach it."""
    address, port = listening.getsockname()[:2]
    if not ipaddress.ip_address(address).is_loopback:
        click.echo("warning: others on the network can use this server; it asks for no password", err=True)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _listening(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `UsageError` if there can be none."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "no name or address of a machine"
        raise UsageError(f"{host}:{port}: cannot listen there: {why}") from error
