"""From a source to a sink at the pace that the source asks for."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from tailrace.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class Post:
    """Lines to send together, each ended by a newline. `due_us`: wall time at which the newest of them has happened."""

    body: bytes | memoryview
    lines: int
    due_us: int


class Sink(Protocol):
    """Takes posts from one thread and sends them from its own."""

    def put(self, post: Post, stop: threading.Event) -> bool:
        """Take a post over; waits while too much is in flight. False if `stop` came first: then the post is still the caller's."""
        ...


def feed(posts: Iterable[Post], sink: Sink, clock: Clock, stop: threading.Event) -> int:
    """Hand each post over once it is due, in order, until the source ends or `stop` is set; returns the lines handed over."""
    lines = 0
    for post in posts:
        while (early_us := post.due_us - clock.now_us()) > 0:
            if stop.wait(min(early_us / 1e6, 1.0)):
                return lines
        if stop.is_set() or not sink.put(post, stop):
            return lines
        lines += post.lines
    return lines
