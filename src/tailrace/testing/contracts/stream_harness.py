"""What the contract of a stream asks of the backend under test, and the fixtures that its cases share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest

from tailrace.runtime.clock import ManualClock
from tailrace.stream.base import Appended, StreamBackend
from tailrace.testing.contracts.stream_samples import sample_batch

HOUR_S = 3600.0
TIMEOUT_S = 60.0


class StreamHarness(Protocol):
    """One stream for one test: two shards, `FIELDS`, a file lasts an hour, duplicates are known for 24 hours.

    `clock` is the one that the stream asks.
    """

    clock: ManualClock

    def open(self) -> StreamBackend:
        """A handle on the stream; for durable backends, another one on the same data, which may be used beside the first."""
        ...


class QueueingHarness(StreamHarness, Protocol):
    """For backends that queue: `queue_bytes_max` is what may be queued before an append is refused (about 1 MiB)."""

    queue_bytes_max: int

    def stalled(self, shard_id: str) -> AbstractContextManager[None]:
        """While it lasts, nothing that is appended to the shard becomes durable."""
        ...


def durable(future: Future[Appended]) -> Appended:
    return future.result(timeout=TIMEOUT_S)


class StreamCase:
    """Fixtures of every case. `make_harness` gets an empty folder of its own for each test."""

    def make_harness(self, folder: Path) -> StreamHarness:
        raise NotImplementedError

    @pytest.fixture
    def harness(self, tmp_path: Path) -> StreamHarness:
        return self.make_harness(tmp_path)

    @pytest.fixture
    def stream(self, harness: StreamHarness) -> Iterator[StreamBackend]:
        stream = harness.open()
        yield stream
        stream.close()

    @pytest.fixture
    def shard_id(self, stream: StreamBackend) -> str:
        return stream.shards()[0].id


def append_from_threads(stream: StreamBackend, shard_id: str, *, threads: int, each: int) -> list[Appended]:
    """`each` posts of 1 to 4 lines from every thread, each waiting for its own; the results by thread, then in order.

    Post `p` of thread `t` has lines numbered from `4 * (t * each + p)`.
    """
    results: list[list[Appended]] = [[] for _ in range(threads)]

    def send(thread: int) -> None:
        for post in range(each):
            first = (thread * each + post) * 4
            batch = sample_batch(shard_id, range(first, first + 1 + post % 4))
            results[thread].append(durable(stream.append(batch)))

    workers = [threading.Thread(target=send, args=(t,)) for t in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(len(r) == each for r in results)
    return [a for result in results for a in result]
