"""Client processes whose lines can be counted and put in order: every key belongs to one client, and its lines are numbered from 0."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any, Self

SPAWN = multiprocessing.get_context("spawn")
KEYS = 12
"""Of each client. A post has one line of each."""
FIRST_MS = 1_790_000_000_000
SPAN_MS = 120_000
PAUSE_S = 0.02


def key_of(client: int, key: int) -> str:
    return f"/client-{client}/key-{key}"


def make_post(client: int, number: int) -> bytes:
    """Post `number`: line `number` of every key; the number stands in `response_ms`, whose values are exact."""
    rows = [
        {
            "timestamp": FIRST_MS + (number * 37 + key) % SPAN_MS,
            "endpoint": key_of(client, key),
            "status": 200,
            "response_ms": number,
        }
        for key in range(KEYS)
    ]
    return b"\n".join(json.dumps(row).encode() for row in rows)


def send_until_told(port: int, client: int, stop: Any, result: Connection) -> None:
    """One post after the other, each repeated under its stamp until it is acknowledged. Sends (posts, complaints) at the end."""
    number = 0
    complaints: list[str] = []
    while not stop.is_set() and not complaints:
        body, repeated = make_post(client, number), False
        while (answer := _post(port, body, f"ordered-{client};1;{number}")) is None:
            repeated = True
            time.sleep(0.05)
        status, found = answer
        counts = (found.get("accepted"), found.get("deduplicated"), found.get("dead_lettered_total"))
        if status != 200 or counts[2] or sum(counts) != KEYS or (counts[1] and not repeated):
            complaints.append(f"client {client}, post {number}: {status} {found}")
        number += 1
        time.sleep(PAUSE_S)
    result.send((number, complaints))


def _post(port: int, body: bytes, stamp: str) -> tuple[int, dict[str, Any]] | None:
    """None if it is to be sent again: no answer, or one that says so."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/v1/logs", body, {"Tailrace-Producer": stamp})
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if response.status in (429, 503):
        assert response.headers["Retry-After"], content
        return None
    return response.status, json.loads(content)


class OrderedClients:
    """`count` client processes between enter and exit. `posts[c]`: how many client c was told are stored."""

    def __init__(self, port: int, count: int) -> None:
        self.posts: list[int] = []
        self.complaints: list[str] = []
        self._stop = SPAWN.Event()
        self._ends = [SPAWN.Pipe(duplex=False) for _ in range(count)]
        self._processes = [
            SPAWN.Process(target=send_until_told, args=(port, c, self._stop, out), daemon=True)
            for c, (_, out) in enumerate(self._ends)
        ]

    def __enter__(self) -> Self:
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        """The posts under way are seen through first."""
        self._stop.set()
        for (end, _), process in zip(self._ends, self._processes, strict=True):
            assert end.poll(120), "the last post was not acknowledged within 120 s"
            posts, complaints = end.recv()
            self.posts.append(posts)
            self.complaints += complaints
            process.join(30)
