"""What `rdpcodec serve` serves: drop an image, turn the dials, see what becomes of it, take the file.

```text
GET  /                        the page
POST /pictures                an image's file → its id, size, and what is lost of it
GET  /pictures/ID/original    the image as the codec takes it, PNG
GET  /pictures/ID/coded       what its file takes, JSON
GET  /pictures/ID/decoded     what the file decodes to, PNG
GET  /pictures/ID/figures     how far that is from the original, JSON
GET  /pictures/ID/file        the file, with realism as its default
```

The last four take ?quality=Q&realism=R. Everything is in memory: images and what was made of them last.
An error is JSON, {"error": message}.
"""

from __future__ import annotations

import base64
import hashlib
import io
import ipaddress
import secrets
import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rdpcodec import container
from rdpcodec.codec import Codec
from rdpcodec.errors import PictureError, RdpError
from rdpcodec.image import Picture, PictureWarning, load_picture
from rdpcodec.metrics.full_reference import Metrics
from rdpcodec.operating_point import OperatingPoint
from rdpcodec.pages import FOLDER, assembled

# Pillow opens more, but EPS by starting Ghostscript, which is nothing to do with files from a network.
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "PPM", "JPEG2000")
# Of each, three bytes a pixel are kept twice: the original and what was decoded last.
_PICTURES = 4
# Of each image, the qualities seen last. Files are small.
_FILES = 32


@dataclass(frozen=True)
class Limits:
    """What is taken: bytes of an upload, and pixels of the image in it."""

    size: int
    pixels: int


class Held:
    """One image, and what was made of it last. Not to be used by two threads at once."""

    def __init__(self, codec: Codec, picture: Picture) -> None:
        self.picture = picture
        encode = codec.encoder(picture)

        @lru_cache(maxsize=_FILES)
        def file(quality: float) -> bytes:
            return encode(OperatingPoint(quality))

        @lru_cache(maxsize=1)
        def decoded(quality: float, realism: float) -> Image.Image:
            return codec.decompress(file(quality), realism=realism)

        self.file = file
        self.decoded = decoded

    def file_with(self, quality: float, realism: float) -> bytes:
        """The file of a quality with a realism as its default, which is a byte of the header."""
        parsed = container.read(self.file(quality))
        return container.write(replace(parsed, header=replace(parsed.header, realism=realism)))


class Studio:
    """The endpoints, and the images in memory: at most four, those used last.

    The codec works on one image at a time, since its networks use all processors.
    """

    def __init__(self, codec: Codec, limits: Limits) -> None:
        self.codec, self.limits = codec, limits
        self.metrics = Metrics()
        self.held: OrderedDict[str, Held] = OrderedDict()
        self.working = threading.Lock()
        self.html = assembled(
            FOLDER / "serve",
            {
                "model": f"{codec.name}-{codec.fingerprint.hex()}",
                "realism": "realism" in codec.dials,
                "limits": {"size": limits.size, "pixels": limits.pixels},
                "metrics": self.metrics.labels,
                "notes": self.metrics.notes,
            },
            "base",
            "viewer",
        )

    def page(self, request: Request) -> Response:
        return HTMLResponse(self.html, headers={"Content-Security-Policy": _policy(self.html)})

    async def upload(self, request: Request) -> Response:
        body = bytearray()
        claimed = int(request.headers.get("content-length", 0))
        async for chunk in request.stream():
            if max(claimed, len(body) + len(chunk)) > self.limits.size:
                limit = f"{self.limits.size / 1e6:.3g} MB"
                raise HTTPException(413, f"the file is over this server's limit of {limit}")
            body += chunk
        return JSONResponse(await run_in_threadpool(self.hold, bytes(body)), status_code=201)

    def hold(self, data: bytes) -> dict[str, Any]:
        """Read an image and keep it under a new id that cannot be guessed."""
        with self.working:  # warnings are caught for the whole process
            picture, notes = _read(data, self.limits.pixels)
            name = secrets.token_urlsafe(16)
            self.held[name] = Held(self.codec, picture)
            while len(self.held) > _PICTURES:
                self.held.popitem(last=False)
        width, height = picture.size
        return {"id": name, "width": width, "height": height, "notes": notes}

    def original(self, request: Request) -> Response:
        with self.working:
            picture = self._held(request).picture
        return _png(picture.to_pillow())

    def coded(self, request: Request) -> Response:
        quality, _ = self._dials(request)
        with self.working:
            data = self._held(request).file(quality)
        return JSONResponse({"bytes": len(data), "bits_per_pixel": container.bits_per_pixel(data)})

    def decoded(self, request: Request) -> Response:
        quality, realism = self._dials(request)
        with self.working:
            image = self._held(request).decoded(quality, realism)
        return _png(image)

    def figures(self, request: Request) -> Response:
        quality, realism = self._dials(request)
        with self.working:
            held = self._held(request)
            decoded = np.asarray(held.decoded(quality, realism).convert("RGB"))
            return JSONResponse(self.metrics(held.picture.pixels, decoded))

    def file(self, request: Request) -> Response:
        quality, realism = self._dials(request)
        with self.working:
            data = self._held(request).file_with(quality, realism)
        headers = {"Content-Disposition": "attachment"}
        return Response(data, media_type=container.MIME_TYPE, headers=headers)

    def _held(self, request: Request) -> Held:
        name = request.path_params["id"]
        try:
            self.held.move_to_end(name)
        except KeyError:
            raise HTTPException(404, "the image is not in memory any more: choose it again") from None
        return self.held[name]

    def _dials(self, request: Request) -> tuple[float, float]:
        try:
            quality, realism = (float(request.query_params[name]) for name in ("quality", "realism"))
        except (KeyError, ValueError):
            raise HTTPException(400, "give quality and realism as numbers") from None
        OperatingPoint(quality, realism).check_dials(self.codec.name, self.codec.dials)
        # As a file stores them, so that equal files are one.
        return container.stored_quality(quality) / container.QUALITY_STEPS, realism


class Guard:
    """Lets through only what the page itself asks for.

    A page of another site can make a browser send requests here, and can point its own name at this address
    (DNS rebinding) so that the browser takes this server for that site. The first is told by Origin. The
    second by Host, which is then that site's name: an IP address cannot be pointed elsewhere, so that those,
    localhost and the name this server was given are taken.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self.app, self.host = app, host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")

        async def hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        app = self.app
        if not self._known(host):
            app = _error(421, f"{host!r} is no name of this server: use its IP address")
        elif origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            app = _error(403, f"requests from pages of {origin} are refused")
        await app(scope, receive, hardened)

    def _known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in ("localhost", self.host)
        return True


# Images are private: no cache keeps them, no other page shows them.
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def application(codec: Codec, limits: Limits, host: str) -> Starlette:
    """The server as an ASGI application. host: the name or address that it will be reached by."""
    studio = Studio(codec, limits)
    pictures = [
        Route(f"/pictures/{{id}}/{name}", endpoint)
        for name, endpoint in (
            ("original", studio.original),
            ("coded", studio.coded),
            ("decoded", studio.decoded),
            ("figures", studio.figures),
            ("file", studio.file),
        )
    ]
    return Starlette(
        routes=[
            Route("/", studio.page),
            Route("/pictures", studio.upload, methods=["POST"]),
            *pictures,
        ],
        middleware=[Middleware(Guard, host=host)],
        exception_handlers={
            HTTPException: lambda _, error: _error(error.status_code, error.detail),
            RdpError: lambda _, error: _error(400, str(error)),
            ClientDisconnect: lambda *_: _error(400, "the upload ended early"),
            MemoryError: lambda *_: _error(507, "not enough memory for an image of this size"),
        },
    )


def _read(data: bytes, pixels: int) -> tuple[Picture, list[str]]:
    """An uploaded image, and what is lost of it. Raises `PictureError`; `HTTPException` if too large."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
    except Exception as error:  # whatever Pillow's plugins raise on damaged files
        raise PictureError(f"not an image in one of the formats {', '.join(_FORMATS)}") from error
    if width * height > pixels:
        raise HTTPException(
            413,
            f"an image of {width}×{height} pixels is over this server's limit of "
            f"{pixels / 1e6:.3g} megapixels",
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PictureWarning)
        picture = load_picture(io.BytesIO(data))
    notes = [str(warning.message) for warning in caught if issubclass(warning.category, PictureWarning)]
    return picture, notes


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status)


def _png(image: Image.Image) -> Response:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)  # it goes no further than this machine, as a rule
    return Response(buffer.getvalue(), media_type="image/png")


def _policy(html: str) -> str:
    """A content security policy under which the page's own style and script work and nothing else does."""

    def source(before: str, after: str) -> str:
        text = html.rpartition(before)[2].partition(after)[0]
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; connect-src 'self'; img-src blob: data:; "
        f"style-src {source('<style>', '</style>')}; script-src {source('<script>', '</script>')}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
