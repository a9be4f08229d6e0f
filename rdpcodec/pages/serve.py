"""What `rdpcodec serve` serves: drop an image, change the settings, see the result, take the file.

```text
GET  /                      the page
POST /images                an image's file → its id, size, and what is lost of it
GET  /images/ID/original    the image as the codec takes it, PNG
GET  /images/ID/coded       the size of its file, JSON
GET  /images/ID/decoded     what the file decodes to, PNG
GET  /images/ID/figures     how far that is from the original, JSON
GET  /images/ID/file        the file, with realism as its default
GET  /images/ID/avif        an AVIF file of about as many bytes; /jpeg and /webp likewise
GET  /decoder/NAME          the decoder for browsers, if the server has it
```

Those from coded to avif take ?quality=Q&realism=R. Everything is in memory: images and what was last made of
them. An error is JSON, {"error": message}.
"""

from __future__ import annotations

import asyncio
import io
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from rdpcodec.codec import Codec
from rdpcodec.errors import ImageError, RdpError, collected_warnings
from rdpcodec.file_type import MIME_TYPE
from rdpcodec.files.source import name_of
from rdpcodec.format import container
from rdpcodec.image import ImageData, load_image
from rdpcodec.metrics.full_reference import Metrics
from rdpcodec.operating_point import OperatingPoint
from rdpcodec.pages import FOLDER, assembled
from rdpcodec.pages.compare import PEER_NAMES
from rdpcodec.pages.decoder import decoder_route
from rdpcodec.pages.guard import Guard, content_policy, error_response
from rdpcodec.pages.loaded_image import LoadedImage, Settings
from rdpcodec.peers import usable_peers

# Pillow opens more, but for EPS it starts Ghostscript. The last two need plugins (the extra `formats`).
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "PPM", "JPEG2000", "HEIF", "JXL")
# An opaque one keeps three bytes a pixel for the original, as many for the last decoded image, and as a rule
# at most as many each for our files and for those of other formats.
_IMAGES = 4
# Uploads that may arrive, or wait to be read, at once: each may be as large as the limit.
_UPLOADS = 4
# Limits for an upload: longer ones would keep others out.
PAUSE_SECONDS, UPLOAD_SECONDS = 15.0, 300.0


@dataclass(frozen=True)
class Limits:
    """The most that is accepted: bytes of an upload, and pixels of the image in it."""

    size: int
    pixels: int


class ImageServer:
    """The endpoints, and the images in memory: at most four, those used last.

    The codec works on one image at a time, since its networks use all processors. Reading an image and making
    another format's file do not wait for the codec, nor does the codec wait for them.
    """

    def __init__(self, codec: Codec, limits: Limits, *, decodes: bool) -> None:
        self.codec, self.limits = codec, limits
        self.metrics = Metrics()
        self.peers, _ = usable_peers(PEER_NAMES)
        self.loaded: OrderedDict[str, LoadedImage] = OrderedDict()
        self.uploads = 0
        self.lock = threading.Lock()
        self.reading = threading.Lock()  # warnings are caught for the whole process
        self.comparing = asyncio.Lock()
        self.html = assembled(
            FOLDER / "serve",
            {
                "model": str(codec.weights),
                "realism": codec.weights.has_realism,
                "limits": {"size": limits.size, "pixels": limits.pixels},
                "metrics": self.metrics.labels,
                "notes": self.metrics.notes,
                "peers": {name: peer.label for name, peer in self.peers.items()},
                "decodes": decodes,
            },
            "base",
            "viewer",
        )

    def page(self, request: Request) -> Response:
        """The page itself, under a policy that lets it load nothing from elsewhere."""
        return HTMLResponse(self.html, headers={"Content-Security-Policy": content_policy(self.html)})

    async def upload(self, request: Request) -> Response:
        """Take an image's file. Raises `HTTPException` as soon as it is known to be too large or slow."""
        if self.uploads >= _UPLOADS:
            raise HTTPException(503, "other images are being uploaded: try again in a moment")
        self.uploads += 1
        try:
            body = await self._body(request)
            return JSONResponse(await run_in_threadpool(self.hold, body), status_code=201)
        finally:
            self.uploads -= 1

    async def _body(self, request: Request) -> bytes:
        body, chunks = bytearray(), request.stream()
        claimed = int(request.headers.get("content-length", 0))
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                while True:
                    try:
                        # Not `wait_for`, which before Python 3.12 loses the outer timeout if a chunk arrives
                        # at that moment.
                        async with asyncio.timeout(PAUSE_SECONDS):
                            chunk = await anext(chunks)
                    except StopAsyncIteration:
                        return bytes(body)
                    if max(claimed, len(body) + len(chunk)) > self.limits.size:
                        limit = f"{self.limits.size / 1e6:.3g} MB"
                        raise HTTPException(413, f"the file is over this server's limit of {limit}")
                    body += chunk
        except TimeoutError:
            raise HTTPException(408, "the upload took too long") from None

    def hold(self, data: bytes) -> dict[str, Any]:
        """Read an image and keep it under a new id that cannot be guessed."""
        with self.reading:
            image, notes = _read(data, self.limits.pixels)
        with self.lock:
            name = secrets.token_urlsafe(16)
            self.loaded[name] = LoadedImage(self.codec, image)
            while len(self.loaded) > _IMAGES:
                self.loaded.popitem(last=False)
        width, height = image.size
        return {"id": name, "width": width, "height": height, "notes": notes}

    def original(self, request: Request) -> Response:
        """The image as the codec takes it, PNG."""
        with self.lock:
            image = self._find(request).image
        return _png(image.to_pillow())

    def coded(self, request: Request) -> Response:
        """The size of its file: bytes and bits per pixel."""
        settings = settings_of(request, self.codec)
        with self.lock:
            data = self._find(request).file(settings.quality)
        return JSONResponse({"bytes": len(data), "bpp": container.bits_per_pixel(data)})

    def decoded(self, request: Request) -> Response:
        """What its file decodes to, PNG."""
        settings = settings_of(request, self.codec)
        with self.lock:
            image = self._find(request).decoded(settings)
        return _png(image)

    def figures(self, request: Request) -> Response:
        """How far the decoded image is from the original: a value per metric, null where there is none."""
        settings = settings_of(request, self.codec)
        with self.lock:
            loaded = self._find(request)
            decoded = np.asarray(loaded.decoded(settings).convert("RGB"))
            return JSONResponse(self.metrics(loaded.seen, decoded))

    def file(self, request: Request) -> Response:
        """The .rdpc file, for download."""
        settings = settings_of(request, self.codec)
        with self.lock:
            data = self._find(request).file_with(settings)
        headers = {"Content-Disposition": "attachment"}
        return Response(data, media_type=MIME_TYPE, headers=headers)

    async def peer(self, request: Request) -> Response:
        """Another format's file of about as many bytes as ours."""
        settings, name = settings_of(request, self.codec), request.url.path.rpartition("/")[2]
        loaded, size = await run_in_threadpool(self._sized, request, settings)
        async with self.comparing:
            if await request.is_disconnected():  # while it waited
                raise HTTPException(499, "the request was cancelled")
            data = await run_in_threadpool(loaded.peer_file, name, size)
        return Response(data, media_type=f"image/{name}")

    def _sized(self, request: Request, settings: Settings) -> tuple[LoadedImage, int]:
        """The image of a request, and the bytes of its file."""
        with self.lock:
            loaded = self._find(request)
            return loaded, len(loaded.file(settings.quality))

    def _find(self, request: Request) -> LoadedImage:
        name = request.path_params["id"]
        try:
            self.loaded.move_to_end(name)
        except KeyError:
            raise HTTPException(404, "the image is not in memory any more: choose it again") from None
        return self.loaded[name]


def settings_of(request: Request, codec: Codec) -> Settings:
    """The settings in a query. Raises `HTTPException`, or `UsageError` for what the codec cannot do."""
    try:
        quality, realism = (float(request.query_params[name]) for name in ("quality", "realism"))
    except (KeyError, ValueError):
        raise HTTPException(400, "give quality and realism as numbers") from None
    codec.weights.check_point(OperatingPoint(quality, realism))
    # As a file stores it, so that equal files are made once.
    return Settings(container.rounded_quality(quality), realism)


def application(codec: Codec, limits: Limits, host: str, decoder: Mapping[str, bytes]) -> ASGIApp:
    """The server as an ASGI application.

    host: the name or address that it will be reached by; decoder: the files of the decoder for browsers by
    name, or none; with them, pages change realism themselves.
    """
    server = ImageServer(codec, limits, decodes=bool(decoder))
    endpoints = [
        Route(f"/images/{{id}}/{name}", endpoint)
        for name, endpoint in (
            ("original", server.original),
            ("coded", server.coded),
            ("decoded", server.decoded),
            ("figures", server.figures),
            ("file", server.file),
            *((name, server.peer) for name in server.peers),
        )
    ]
    served = Starlette(
        routes=[
            Route("/", server.page),
            Route("/images", server.upload, methods=["POST"]),
            decoder_route(decoder),
            *endpoints,
        ],
        exception_handlers={
            HTTPException: lambda _, error: error_response(error.status_code, error.detail),
            RdpError: lambda _, error: error_response(400, str(error)),
            ClientDisconnect: lambda *_: error_response(400, "the upload ended early"),
            MemoryError: lambda *_: error_response(507, "not enough memory for an image of this size"),
            # Starlette raises it again, so that the log has its traceback.
            Exception: lambda *_: error_response(500, "the server failed: its log says how"),
        },
    )
    # Not as Starlette's middleware, outside of which unexpected errors are answered.
    return Guard(served, host)


def _read(data: bytes, pixels: int) -> tuple[ImageData, list[str]]:
    """An uploaded image, and notes on what it loses. Raises `ImageError`."""
    with collected_warnings() as notes:
        try:
            image = load_image(data, max_pixels=pixels, formats=_FORMATS)
        except ImageError as error:  # the page puts the file's own name before it
            raise ImageError(str(error).removeprefix(f"{name_of(data)}: ")) from error
    return image, notes


def _png(image: Image.Image) -> Response:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)  # as a rule it does not leave this machine
    return Response(buffer.getvalue(), media_type="image/png")
