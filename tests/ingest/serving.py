"""A real ingest server on loopback, in a thread of the test, and what it needs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tailrace.config.settings import IngestSettings, Settings
from tailrace.ingest.app import create_app
from tailrace.ingest.server import run_server
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.runtime.clock import SystemClock
from tailrace.stream.backends.memory.stream import MemoryStream

STAMP = "2026-11-22T10:00:00Z"


def line(n: int = 0, endpoint: str = "/a") -> bytes:
    return f'{{"timestamp":"{STAMP}","endpoint":"{endpoint}","status":{n}}}\n'.encode()


def settings(folder: Path, **ingest: Any) -> Settings:
    return Settings(data_dir=folder, views_dir=folder / "views", ingest=IngestSettings(**ingest))


def memory_stream(shards: int = 2) -> MemoryStream:
    return MemoryStream(DEFAULT_FIELDS, shards, SystemClock())


def with_queue(given: Settings, queue_bytes_max: int) -> Settings:
    return replace(given, stream=replace(given.stream, queue_bytes_max=queue_bytes_max))


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The base URL of a server that ends with the block."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen(64)
    port = bound.getsockname()[1]
    stop, started = threading.Event(), threading.Event()
    thread = threading.Thread(target=run_server, args=(app, bound, stop, started.set), daemon=True)
    thread.start()
    assert started.wait(20)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def ingesting(stream: Any, given: Settings, node: Path | None = None) -> Iterator[str]:
    with serving(create_app(stream, given, node)) as url:
        yield url
