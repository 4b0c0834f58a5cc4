"""How much work, memory and disk posts may take: beyond it they are refused, so that a flood never becomes a crash.

Bounds: bytes of bodies held (from the first byte received to the answer), posts that are decoded or stored at once, and how full
the disk may be. A post waits a moment for its turn; a body that would not fit, in memory or on disk, is refused at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tailrace.config.settings import IngestSettings
from tailrace.errors import Backpressure
from tailrace.runtime.clock import Clock
from tailrace.runtime.disk import DiskUse, disk_use
from tailrace.telemetry.metrics import INGEST_DISK_FREE_BYTES, INGEST_HELD_BYTES, INGEST_IN_FLIGHT
from tailrace.telemetry.registry import Registry

DISK_LOOK_S = 1.0
DISK_RETRY_S = 10
_HINT = "send again after `Retry-After` seconds, with smaller posts or over fewer connections"


class DiskGate:
    """Shut while the disk of `folder` is full, so that what is left is for the parts that make room. Used by one event loop.

    It is looked at once a second at most.
    """

    def __init__(self, folder: Path, settings: IngestSettings, clock: Clock, metrics: Registry) -> None:
        self._folder = folder
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._looked_s = float("-inf")
        self._use = DiskUse(0, 1)

    def check(self) -> None:
        """Raises Backpressure while the disk is full."""
        now_s = self._clock.monotonic_s()
        if now_s - self._looked_s >= DISK_LOOK_S:
            self._looked_s, self._use = now_s, disk_use(self._folder)
            self._metrics.set(INGEST_DISK_FREE_BYTES, self._use.free)
        if self._settings.is_full(self._use):
            raise Backpressure(
                f"the disk is full: `{self._use.percent:.0f}` % used, `{self._use.free >> 20}` MiB free",
                retry_after_s=DISK_RETRY_S,
                hint="make room, or let data go sooner with [retention] in tailrace.toml; what was acknowledged is kept",
            )


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
