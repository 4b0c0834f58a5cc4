"""Threads that send posts, a connection each, until each post is acknowledged or refused for good."""

from __future__ import annotations

import gzip
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import zstandard

from tailrace.producers.backoff import backoff_s
from tailrace.producers.ship.cut import BLOCK_BYTES
from tailrace.producers.ship.tailed import Block
from tailrace.producers.wire import Outcome, Reply, Wire
from tailrace.runtime.clock import Clock

POSTS_MAX = 256
"""On their way at once, where they are small."""
Pack = Callable[[bytes | memoryview], bytes | memoryview]
_PACKS: dict[str, Pack] = {
    "gzip": lambda body: gzip.compress(body, 4),
    "zstd": lambda body: zstandard.ZstdCompressor(level=1).compress(body),
}


def packing(name: str) -> tuple[Pack, dict[str, str]]:
    """How a body is made smaller, and the header that says so. `name`: gzip, zstd or none."""
    pack = _PACKS.get(name)
    return (pack, {"Content-Encoding": name}) if pack else (lambda body: body, {})


@dataclass(frozen=True, slots=True)
class Planned:
    """A post: bytes of a file. `params`: of the address's query, as JSON."""

    stamp: str
    file: int
    block: Block
    params: str


@dataclass(slots=True)
class Trouble:
    """The newest reason for which posts wait, and how many attempts have failed. Written by the senders, read by anybody."""

    text: str = ""
    retries: int = 0


class Senders:
    """`put` and `settled` are for one thread. `connect`: a new connection for posts with these parameters.

    `queued`: blocks that may wait beside those being sent.
    """

    def __init__(self, connect: Callable[[str], Wire], pack: Pack, clock: Clock, connections: int, queued: int) -> None:
        self.trouble = Trouble()
        self.under_way = 0
        self.changed = threading.Event()
        self._connect, self._pack, self._clock = connect, pack, clock
        self._queue: queue.Queue[Planned | None] = queue.Queue()
        self._bytes, self._bytes_max = 0, (connections + queued) * BLOCK_BYTES
        self._done: deque[tuple[Planned, Reply]] = deque()
        self._give_up = threading.Event()
        self._threads = [threading.Thread(target=self._run, name=f"ship-{i}", daemon=True) for i in range(connections)]
        for thread in self._threads:
            thread.start()

    @property
    def free_posts(self) -> int:
        """How many more posts may be put, as long as `free_bytes` is above 0."""
        return max(0, POSTS_MAX - self.under_way) if self.free_bytes > 0 else 0

    @property
    def free_bytes(self) -> int:
        """How many more bytes may be put; the last post may have more. It bounds the memory."""
        return self._bytes_max - self._bytes

    def put(self, post: Planned) -> None:
        self.under_way += 1
        self._bytes += len(post.block.body)
        self._queue.put(post)

    def settled(self) -> list[tuple[Planned, Reply]]:
        """Those that need not be sent again since the last call."""
        found = [self._done.popleft() for _ in range(len(self._done))]
        self.under_way -= len(found)
        self._bytes -= sum(len(post.block.body) for post, _ in found)
        return found

    def close(self) -> None:
        """End now; what is not acknowledged is not settled."""
        self._give_up.set()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(2.0)

    def _run(self) -> None:
        wires: dict[str, Wire] = {}
        while (post := self._queue.get()) is not None and not self._give_up.is_set():
            wire = wires.get(post.params) or wires.setdefault(post.params, self._connect(post.params))
            reply = self._deliver(wire, post)
            if reply is not None:
                self._done.append((post, reply))
                self.changed.set()
        for wire in wires.values():
            wire.close()

    def _deliver(self, wire: Wire, post: Planned) -> Reply | None:
        body, attempt = self._pack(post.block.body), 0
        while not self._give_up.is_set():
            attempt += 1
            reply = wire.send(body, post.stamp)
            if reply.outcome is not Outcome.AGAIN:
                if reply.outcome is Outcome.ACKED:
                    self.trouble.text = ""
                return reply
            self.trouble.text = reply.problem
            self.trouble.retries += 1
            self._give_up.wait(backoff_s(attempt, post.stamp, reply.retry_after_s))
        return None
