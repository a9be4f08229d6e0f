"""`python -m bench measure browser`: how long a browser takes from a page's address to its first image."""

from __future__ import annotations

import functools
import http.server
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from bench.codecs import weights_identity
from bench.folder import FOLDER, open_rgb
from bench.options import json_option
from bench.record import write_record
from rdpcodec import Codec
from rdpcodec.errors import UsageError

REALISMS = (0.0, 0.5, 1.0)
# The empty icon keeps the browser from asking for one.
_PAGE = (
    '<!doctype html><link rel="icon" href="data:,"><script type="module" src="rdpcodec.js"></script>'
    '<img data-rdpc="{name}.rdpc" onload="this.dataset.took = performance.now()">'
)
_PATIENCE_MS = 300_000


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the Web's file types without a log, and sends the headers that let pages use threads."""

    def guess_type(self, path: Any) -> str:
        return "text/javascript" if str(path).endswith((".js", ".mjs")) else super().guess_type(path)

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@click.command()
@click.argument("site", type=FOLDER)
@click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--browser", required=True, type=click.Path(exists=True, dir_okay=False), help="Chromium.")
@click.option("--quality", type=float, default=50, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@json_option
def browser(site: Path, image: Path, browser: str, quality: float, repeats: int, out: Path | None) -> None:
    """Time to the first image of a page, in a browser that has just been started.

    SITE is a folder that `rdpcodec web` made. IMAGE is compressed at realism 0, ½ and 1, and each file is
    shown by a page of its own. A server on this machine delivers both, so loading takes next to no time.
    """
    codec = Codec()
    opened = open_rgb(image)
    files = {f"{realism:g}": codec.compress(opened, quality, realism=realism) for realism in REALISMS}
    found = first_images(site, files, browser, repeats)
    Console().print(_table(found))
    if out:
        setup = {"weights": weights_identity(codec), "size": list(opened.size), "quality": quality}
        write_record(out, {**setup, "repeats": repeats, "realism": found}, indent=1)


def first_images(site: Path, files: dict[str, bytes], browser: str, repeats: int) -> dict[str, Any]:
    """For each file, by name: the median milliseconds from navigation and from the last response until the
    image is there, and the bytes loaded.

    site: a folder with the decoder, which is left unchanged; browser: the path of a Chromium. Raises
    `UsageError` without Playwright, which drives the browser, or if the browser or a page fails.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise UsageError("playwright is missing: pip install playwright") from error
    found = {}
    with tempfile.TemporaryDirectory() as temporary, _served(Path(temporary) / "site") as (folder, address):
        shutil.copytree(site, folder)
        for name, data in files.items():
            (folder / f"{name}.rdpc").write_bytes(data)
            (folder / f"{name}.html").write_text(_PAGE.format(name=name))
        with sync_playwright() as driver:
            try:
                for name in files:
                    visits = [_visit(driver, browser, f"{address}{name}.html") for _ in range(repeats)]
                    found[name] = {what: median(visit[what] for visit in visits) for what in visits[0]}
            except Error as error:
                # What follows the first line is a log.
                raise UsageError(f"{browser}: {str(error).splitlines()[0]}") from error
    return found


@contextmanager
def _served(folder: Path) -> Iterator[tuple[Path, str]]:
    """Serve a folder, which may be created later, on a free port here; yields the folder and its address."""
    handler = functools.partial(_Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield folder, f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def _visit(driver: Any, browser: str, address: str) -> dict[str, float]:
    """One visit with a fresh browser that has nothing cached."""
    running = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
    try:
        page = running.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        requests: list[Any] = []
        page.on("requestfinished", lambda request: requests.append(request))
        page.goto(address)
        page.wait_for_selector("img[data-took]")
        took = float(page.get_attribute("img", "data-took"))
        # blob: and data: addresses are the page's own.
        timings = [r.timing for r in requests if r.url.startswith("http")]
        sizes = [r.sizes()["responseBodySize"] for r in requests if r.url.startswith("http")]
        last = max(timing["startTime"] + timing["responseEnd"] for timing in timings)
        loaded = last - page.evaluate("performance.timeOrigin")
        return {"navigation_ms": took, "last_file_ms": took - loaded, "loaded_bytes": sum(sizes)}
    finally:
        running.close()


def _table(found: dict[str, Any]) -> Table:
    table = Table("realism", "from navigation, ms", "from the last file, ms", "loaded, MB")
    for name, row in found.items():
        loaded = f"{row['loaded_bytes'] / 1e6:.1f}"
        table.add_row(name, f"{row['navigation_ms']:.0f}", f"{row['last_file_ms']:.0f}", loaded)
    return table
