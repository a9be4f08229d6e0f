"""The decoder for browsers, as `rdpcodec serve` serves it from memory. Its files come from `rdpcodec.web`.

A browser keeps the files, and asks each time whether they are still the same: a later version may have the
same address.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

# Browsers run no files with other types.
_MEDIA_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".json": "application/json",
    ".html": "text/html",
    ".css": "text/css",
}


def decoder_route(files: Mapping[str, bytes]) -> Route:
    """GET /decoder/NAME, for files by name."""

    tags = {name: f'"{hashlib.sha256(data).hexdigest()[:16]}"' for name, data in files.items()}

    def answer(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            raise HTTPException(404, f"the decoder has no file {name}")
        headers = {"Cache-Control": "private, no-cache", "ETag": tags[name]}
        if request.headers.get("if-none-match") == tags[name]:
            return Response(status_code=304, headers=headers)
        kind = _MEDIA_TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")
        return Response(files[name], media_type=kind, headers=headers)

    return Route("/decoder/{name:path}", answer)
