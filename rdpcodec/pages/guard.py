"""What keeps other sites away from `rdpcodec serve`: which requests are answered, and with which headers."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Images are private: unless an answer says otherwise, no cache keeps it; no other page shows one. Being
# isolated from other sites also lets the page use threads.
_PRIVATE = "no-store"
_HEADERS = {
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Lets through only what the page itself asks for.

    A page of another site can make a browser send requests here, and can point its own name at this address
    (DNS rebinding) so that the browser takes this server for that site. Origin reveals the first. Host
    reveals the second: it is then that site's name. An IP address cannot be pointed elsewhere, so IP
    addresses are accepted, as are localhost and the name this server was given.
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
                answered = MutableHeaders(scope=message)
                answered.update(_HEADERS)
                answered.setdefault("Cache-Control", _PRIVATE)
            await send(message)

        app = self.app
        if not self._known(host):
            app = error_response(421, f"{host!r} is no name of this server: use its IP address")
        elif origin is not None and _place(origin) != host.lower():
            app = error_response(403, f"requests from pages of {origin} are refused")
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


def _place(origin: str) -> str | None:
    """Host and port of an origin; None if it is not a URL."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def content_policy(html: str) -> str:
    """A content security policy that allows the page's own style and script, and the decoder for browsers
    that this server gives out; nothing else.
    """

    def source(before: str, after: str) -> str:
        text = html.rpartition(before)[2].partition(after)[0]
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; connect-src 'self'; img-src blob: data:; "
        f"style-src {source('<style>', '</style>')}; "
        f"script-src 'self' 'wasm-unsafe-eval' {source('<script>', '</script>')}; worker-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def error_response(status: int, message: str) -> JSONResponse:
    """An error as the page expects it: JSON, {"error": message}."""
    return JSONResponse({"error": message}, status_code=status)
