"""Limits on the connections of `rdpcodec serve`: how many, and how long they may keep it waiting.

uvicorn bounds their number, but waits for ever for a request to begin. The rest of an upload is
bounded where it is read, in `serve`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

# Idle connections take only a descriptor, and end soon.
_CONNECTIONS = 256
HEAD_SECONDS = 10.0
"""How long a connection may take to send the head of a request; at worst, twice that."""


class ImpatientProtocol(H11Protocol):
    """HTTP that closes a connection on which no request begins. `HEAD_SECONDS` says when."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        waits = self.cycle is None or self.cycle.response_complete
        unsent = self.transport.get_write_buffer_size()
        self._timer = self.loop.call_later(HEAD_SECONDS, self._look, self.cycle, waits, unsent)

    def _look(self, before: Any, waited: bool, unsent: int) -> None:
        if waited and self.cycle is before:  # since then no request has begun
            left = self.transport.get_write_buffer_size()
            if not left:
                self.transport.close()
                return
            if left == unsent:  # the client took nothing of the answer, and `close` would wait for that
                self.transport.abort()
                return
        self._watch()


def server_config(app: ASGIApp) -> uvicorn.Config:
    """How the application is served."""
    return uvicorn.Config(
        app,
        log_level="error",
        http=ImpatientProtocol,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=5,
    )
