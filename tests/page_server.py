"""`rdpcodec serve` on a free port of this machine, and what its page shows."""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import uvicorn
from PIL import Image

from rdpcodec import Codec
from rdpcodec.pages.connections import server_config
from rdpcodec.pages.serve import Limits, application

LIMITS = Limits(size=300_000, pixels=50_000)
# Run in a browser: the RGBA levels of the image on the right.
SHOWN = """() => {
  const image = document.querySelector(".layer.right img"), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  return [...pen.getImageData(0, 0, canvas.width, canvas.height).data];
}"""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """A server on a free port of this machine, in a thread."""

    def __init__(self, codec: Codec, decoder: Mapping[str, bytes] | None = None) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        app = application(codec, LIMITS, "My-Machine", decoder or {})
        self._server = uvicorn.Server(server_config(app))
        self._thread = threading.Thread(target=self._server.run, args=([listening],))
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._server.server_state.connections)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def ask(self, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a GET, or a POST if there is a body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        found = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        connection.close()
        return found

    def upload(self, image: Image.Image) -> str:
        """Upload an image; returns what its paths begin with."""
        answer = self.ask("/images", png(image))
        assert answer.status == 201, answer.body
        return f"/images/{answer.json['id']}"


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def settled(view: Any, quality: int) -> None:
    """Wait until the page shows a quality, and all of its figures."""
    from playwright.sync_api import expect

    expect(view.locator(".tag.right")).to_have_text(f"Quality {quality}", timeout=60_000)
    expect(view.locator("#state")).to_have_text("", timeout=60_000)
    expect(view.locator("#figures .old")).to_have_count(0)


def figure(view: Any, name: str) -> str:
    return view.locator("#figures > div", has=view.get_by_text(name, exact=True)).locator("dd").inner_text()
