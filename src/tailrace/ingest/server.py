"""Serve an ASGI app on a listening socket that somebody else has bound, until told to stop."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from tailrace.ingest.http2 import HttpProtocol

DRAIN_S = 5
"""How long posts in flight may take to be answered once the server is told to stop."""
_KEEP_ALIVE_S = 75


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A socket on which TLS is spoken."""

    sock: socket.socket
    context: ssl.SSLContext


def run_server(
    app: ASGIApp,
    sock: socket.socket,
    should_exit: threading.Event,
    on_started: Callable[[], None] | None = None,
    encrypted: Encrypted | None = None,
) -> None:
    """Returns once `should_exit` is set, requests in flight are answered and connections closed.

    Several processes may serve the same sockets. `on_started` is called when this one accepts. Signals are left alone. The
    sockets are closed here for this process only.
    """
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=HttpProtocol,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_true)
    _Server(config, should_exit, on_started or (lambda: None), encrypted).run(sockets=[sock])


def _is_true(record: logging.LogRecord) -> bool:
    """uvicorn 0.54 says of every handshake that was answered with an HTTP error that it was not completed."""
    return "without completing handshake" not in record.getMessage()


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        stop: threading.Event,
        on_started: Callable[[], None],
        encrypted: Encrypted | None,
    ) -> None:
        super().__init__(config)
        self._stop = stop
        self._on_started = on_started
        self._encrypted = encrypted

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._encrypted is not None:
            await self._accept(self._encrypted)
        self._on_started()

    async def _accept(self, encrypted: Encrypted) -> None:
        """The same, under TLS: uvicorn itself would encrypt all sockets or none."""

        def connection() -> asyncio.Protocol:
            return HttpProtocol(self.config, self.server_state, self.lifespan.state)

        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_server(connection, sock=encrypted.sock, ssl=encrypted.context))

    async def on_tick(self, counter: int) -> bool:
        return self._stop.is_set() or await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
