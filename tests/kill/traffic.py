"""Known lines, posted by threads that do not give up: every post is repeated, under its stamp, until it is acknowledged."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from typing import Self

from tailrace.testing.node import RunningNode

ENDPOINTS = ("/login", "/home", "/profile", "/logout", "/pay")
SERVICES = ("auth", "web", "pay")
FIRST_US = 1_790_000_000_000_000
SPAN_US = 120_000_000
PAUSE_S = 0.1


def make_post(number: int, lines: int) -> list[bytes]:
    """Post `number`: always the same lines. One in twenty lines cannot be read."""
    chance = random.Random(number)
    return [_line(chance, number, line) for line in range(lines)]


def _line(chance: random.Random, number: int, line: int) -> bytes:
    if chance.random() < 0.05:
        return b'{"timestamp":"not a time","post":%d,"line":%d}' % (number, line)
    record = {
        "timestamp": (FIRST_US + chance.randrange(SPAN_US)) // 1000,
        "service": chance.choice(SERVICES),
        "endpoint": chance.choice(ENDPOINTS),
        "status": chance.choice((200, 200, 200, 404, 503)),
        "response_ms": chance.randrange(2_000_000) / 1000,
        "ip": f"10.{chance.randrange(4)}.{chance.randrange(8)}.{chance.randrange(200)}",
        "post": number,
        "line": line,
    }
    return json.dumps(record).encode()


class Traffic:
    """Posts from a few threads until told to stop. `acked`: numbers of the posts that were acknowledged.

    Now and then a thread sends its post before the last once more, as a producer does that has lost the answer.
    Without `stamped` a post whose answer is lost is sent again all the same, so its lines may then be there twice.
    """

    def __init__(self, node: RunningNode, lines_per_post: int, *, stamped: bool = True, threads: int = 3) -> None:
        self.acked: list[int] = []
        self.repeated = self.sent_again = 0
        self.refused: list[str] = []
        self._node = node
        self._lines_per_post = lines_per_post
        self._stamped = stamped
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """The posts under way are seen through first."""
        self._stop.set()
        for thread in self._threads:
            thread.join(90)
            assert not thread.is_alive(), "the last post was not acknowledged within 90 s"

    def wait_acked(self, more: int) -> None:
        """Until so many more posts are acknowledged, so that a slow machine sees as much as a fast one."""
        wanted = len(self.acked) + more
        deadline_s = time.monotonic() + 90
        while len(self.acked) < wanted:
            assert time.monotonic() < deadline_s, f"{len(self.acked)} of {wanted} posts acknowledged after 90 s"
            time.sleep(0.01)

    def _run(self) -> None:
        previous: int | None = None
        while not self._stop.is_set():
            number = next(self._numbers)
            self._see_through(number, b"\n".join(make_post(number, self._lines_per_post)))
            self.acked.append(number)
            if self._stamped and previous is not None and number % 4 == 0:
                self._see_through(previous, b"\n".join(make_post(previous, self._lines_per_post)), known=True)
            previous = number
            self._stop.wait(PAUSE_S)

    def _see_through(self, number: int, body: bytes, *, known: bool = False) -> None:
        while True:
            try:
                answer = self._node.post_logs(body, stamp=f"kill-test;1;{number}" if self._stamped else None)
            except OSError:
                pass
            else:
                if answer.status == 200:
                    found = answer.json
                    total = found["accepted"] + found["dead_lettered_total"] + found["deduplicated"]
                    self.sent_again += known
                    if total != self._lines_per_post or (known and found["deduplicated"] != total):
                        self.refused.append(f"post {number}: {found}")
                    return
                if answer.status not in (429, 503):
                    self.refused.append(f"post {number}: {answer.status} {answer.body.decode()}")
            self.repeated += 1
            time.sleep(0.05)
