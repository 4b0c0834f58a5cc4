"""From a source to a sink at the pace that the source asks for."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tailrace.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class Post:
    """Lines to send together, each ended by a newline. `due_us`: wall time at which the newest of them has happened.

    `n`: its number in the producer's epoch; None: the sink counts. `again`: the same number has been sent before, on purpose.
    `dead`: lines that cannot be read, if that is known. `keys`: the partition key of each line, for sinks that ask for it.
    """

    body: bytes | memoryview
    lines: int
    due_us: int
    n: int | None = None
    again: bool = False
    dead: int | None = None
    keys: Sequence[str] | None = None


class Sink(Protocol):
    """Takes posts from one thread and sends them from its own."""

    def put(self, post: Post, stop: threading.Event) -> bool:
        """Take a post over; waits while too much is in flight. False if `stop` came first: then the post is still the caller's."""
        ...


def feed(posts: Iterable[Post], sink: Sink, clock: Clock, stop: threading.Event) -> int:
    """Hand each post over once it is due, in order, until the source ends or `stop` is set; returns the lines handed over."""
    lines = 0
    for post in posts:
        if not wait_until(post.due_us, clock, stop) or not sink.put(post, stop):
            return lines
        lines += post.lines
    return lines


def wait_until(due_us: int, clock: Clock, stop: threading.Event) -> bool:
    """False if `stop` is set before that."""
    while (early_us := due_us - clock.now_us()) > 0:
        if stop.wait(min(early_us / 1e6, 1.0)):
            return False
    return not stop.is_set()
