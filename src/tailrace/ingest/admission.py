"""How much work and memory posts may hold at once: beyond it they are refused, so that a flood never becomes a crash.

Two bounds: bytes of bodies held (from the first byte received to the answer), and posts that are decoded or stored at once.
A post waits a moment for its turn; a body that would not fit is refused at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tailrace.errors import Backpressure
from tailrace.telemetry.metrics import INGEST_HELD_BYTES, INGEST_IN_FLIGHT
from tailrace.telemetry.registry import Registry

_HINT = "send again after `Retry-After` seconds, with smaller posts or over fewer connections"


class Gate:
    """Used by one event loop. `bytes_max`, `posts_max`: the two bounds; `wait_s`: how long a post may wait for its turn."""

    def __init__(self, posts_max: int, bytes_max: int, metrics: Registry, wait_s: float = 2.0) -> None:
        self._turns = asyncio.Semaphore(posts_max)
        self._bytes_max = bytes_max
        self._wait_s = wait_s
        self._metrics = metrics
        self._held = 0

    def hold(self, size: int) -> None:
        """Count `size` more bytes. Raises Backpressure, and counts nothing, if they do not fit."""
        if self._held + size > self._bytes_max:
            raise Backpressure(f"posts of `{self._held}` bytes are being worked on already", hint=_HINT)
        self._held += size
        self._metrics.set(INGEST_HELD_BYTES, self._held)

    def release(self, size: int) -> None:
        self._held -= size
        self._metrics.set(INGEST_HELD_BYTES, self._held)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One of the places in which a post is decoded and stored. Raises Backpressure if none gets free in time."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._turns.acquire()
        except TimeoutError:
            raise Backpressure("too many posts are being worked on already", hint=_HINT) from None
        self._metrics.add(INGEST_IN_FLIGHT, 1)
        try:
            yield
        finally:
            self._metrics.add(INGEST_IN_FLIGHT, -1)
            self._turns.release()
