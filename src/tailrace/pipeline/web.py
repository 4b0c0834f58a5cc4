"""Serve an ASGI application on a unix socket until told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from tailrace.pipeline.sockets import bind_unix

DRAIN_S = 2
"""How long open requests may take to end; live sockets and tails never would."""


def serve(app: Any, path: Path, stop: threading.Event, on_started: Callable[[], None]) -> None:
    """Returns once `stop` is set and connections are closed. `on_started` is called when it accepts."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=DRAIN_S,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
    )
    bound = bind_unix(path)
    try:
        _Server(config, stop, on_started).run(sockets=[bound])
    finally:
        path.unlink(missing_ok=True)


class _Server(uvicorn.Server):
    """Stops on an event; signals are the lifeline's."""

    def __init__(self, config: uvicorn.Config, stop: threading.Event, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop
        self._on_started = on_started

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    async def on_tick(self, counter: int) -> bool:
        return self._stop.is_set() or await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
