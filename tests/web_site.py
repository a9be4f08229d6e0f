"""The decoder for browsers as a folder: probed by Node, and served on this machine."""

from __future__ import annotations

import functools
import http.server
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from rdpcodec.web.folder import own_files
from rdpcodec.web.parts import weights_files
from rdpcodec.weights.manifest import manifest

HERE = Path(__file__).parent / "web"
# Where `npm install --prefix tests/web` puts it; package.json there names the version.
RUNTIME = HERE / "node_modules" / "onnxruntime-web"

Probe = Callable[[str, Path], dict[str, str]]
"""What the modules make of the files in a folder, by name: see web/probe.mjs."""


def probe_with(node: str, site: Path) -> Probe:
    """A probe that runs in Node, with the modules and the installed weights in `site`, an empty folder."""
    weights = weights_files(manifest().values())
    files = own_files() | {f"weights/{name}": data for name, data in weights.items()}
    # For Node; in a browser, <script type="module"> says so.
    files["package.json"] = b'{"type": "module"}'
    for name, data in files.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def probe(what: str, folder: Path) -> dict[str, str]:
        words = [node, str(HERE / "probe.mjs"), str(site), what, str(folder)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return probe


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves with the Web's media types and without a log. Its headers let pages use threads, and let pages
    from other origins use these files.
    """

    extensions_map: ClassVar[dict[str, str]] = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
    }

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cross-Origin-Resource-Policy", "cross-origin")
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port of this machine; yields its address."""
    handler = functools.partial(_Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
