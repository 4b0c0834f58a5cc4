"""The streams under test, for the contract suite."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tailrace.config.settings import StreamSettings
from tailrace.runtime.clock import ManualClock
from tailrace.stream.backends.embedded import EmbeddedStream, open_embedded
from tailrace.stream.backends.memory import MemoryStream
from tailrace.testing.contracts.stream_samples import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUEUE_BYTES_MAX = 1 << 20


class EmbeddedHarness:
    queue_bytes_max = QUEUE_BYTES_MAX

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.folder = folder / "logs"
        self.settings = StreamSettings(queue_bytes_max=QUEUE_BYTES_MAX)

    def open(self, *, read_only: bool = False) -> EmbeddedStream:
        return open_embedded(self.folder, self.settings, FIELDS, self.clock, read_only=read_only)

    @contextmanager
    def stalled(self, shard_id: str) -> Iterator[None]:
        handle = os.open(self.folder / shard_id / "append.lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


class MemoryHarness:
    def __init__(self) -> None:
        self.clock = ManualClock()

    def open(self) -> MemoryStream:
        return MemoryStream(FIELDS, 2, self.clock)
