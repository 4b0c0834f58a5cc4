"""Known lines, posted by a thread that does not give up: every post is repeated, under its stamp, until it is acknowledged."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import dataclass, field
from typing import Self

from tailrace.testing.node import RunningNode

ENDPOINTS = ("/login", "/home", "/profile", "/logout", "/pay")
SERVICES = ("auth", "web", "pay")
FIRST_US = 1_790_000_000_000_000
SPAN_US = 120_000_000


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


@dataclass(slots=True)
class Traffic:
    """Posts from one thread until told to stop. `acked`: numbers of the posts that were acknowledged, in order.

    Without `stamped` a post whose answer is lost is sent again all the same, so its lines may then be there twice.
    """

    node: RunningNode
    lines_per_post: int
    pause_s: float
    stamped: bool = True
    acked: list[int] = field(default_factory=list)
    repeated: int = 0
    refused: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """The post under way is seen through first."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(60)
            assert not self._thread.is_alive(), "the last post was not acknowledged within a minute"

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            self._see_through(number, b"\n".join(make_post(number, self.lines_per_post)))
            self.acked.append(number)
            number += 1
            self._stop.wait(self.pause_s)

    def _see_through(self, number: int, body: bytes) -> None:
        while True:
            try:
                answer = self.node.post_logs(body, stamp=f"kill-test;1;{number}" if self.stamped else None)
            except OSError:
                status = 0
            else:
                status = answer.status
                if status == 200:
                    found = answer.json
                    total = found["accepted"] + len(found["dead_lettered"]) + found["deduplicated"]
                    if total != self.lines_per_post:
                        self.refused.append(f"post {number}: {found}")
                    return
                if status not in (429, 503):
                    self.refused.append(f"post {number}: {status} {answer.body.decode()}")
            self.repeated += 1
            threading.Event().wait(0.05)
