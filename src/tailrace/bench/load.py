"""The loader: a process of its own that posts as fast as the node answers, or at a rate.

Prints `ready` once its lines are made, waits for a line on its input, loads, and prints one JSON object when done.

    echo go | python -m tailrace.bench.load --port 8080 --lines 1000000

Raw sockets, keep-alive, one thread a connection. A post is repeated (429, 503, a broken connection) under the same
`Tailrace-Producer` stamp until it is acknowledged.
"""

from __future__ import annotations

import argparse
import os
import socket
import time
from functools import partial
from typing import Any

import numpy as np

from tailrace.bench.lines import SPREAD_MS, freshen, mark, pool
from tailrace.bench.tallies import Tally, run_load


class Connection:
    """One keep-alive connection; opens again when it breaks. `answer`: body of the last one."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self.answer = b""

    def post(self, path: str, stamp: str, body: Any) -> tuple[int, float]:
        """Status and the seconds that the node asks to wait; (0, 0.2) if the connection broke."""
        return self.send(
            path, f"Content-Type: application/x-ndjson\r\nTailrace-Producer: {stamp}\r\n", memoryview(body).cast("B")
        )

    def send(self, path: str, headers: str, body: memoryview) -> tuple[int, float]:
        """The same with `headers` of one's own, a line each."""
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n{headers}Content-Length: {body.nbytes}\r\n\r\n"
        try:
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self._port))
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(head.encode())
            self._socket.sendall(body)
            return self._answer(self._socket)
        except OSError:
            self.close()
            return 0, 0.2

    def _answer(self, connection: socket.socket) -> tuple[int, float]:
        received = b""
        while b"\r\n\r\n" not in received:
            received += _some(connection)
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        while len(rest) < int(headers["content-length"]):
            rest += _some(connection)
        self.answer = rest
        if headers.get("connection") == "close":
            self.close()
        return int(first.split()[1]), float(headers.get("retry-after", 0))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _some(connection: socket.socket) -> bytes:
    part = connection.recv(65536)
    if not part:
        raise ConnectionResetError("the node closed the connection")
    return part


def drive(number: int, options: argparse.Namespace, bodies: list[Any], posts: int, tally: Tally) -> None:
    """Post until `posts` are acknowledged or the time is up; a post that was begun is finished."""
    stop_at_s = time.monotonic() + options.seconds if options.seconds else float("inf")
    chance = np.random.default_rng(number)
    connection = Connection(options.port)
    name = f"bench-{os.getpid()}-{number}"
    pause_s = options.connections * options.lines_per_post / options.rate if options.rate else 0.0
    due_s = time.monotonic() + pause_s * number / options.connections
    while tally.posts < posts and time.monotonic() < stop_at_s:
        if pause_s:
            time.sleep(max(0.0, due_s - time.monotonic()))
            due_s += pause_s
        body = _body(bodies, tally.posts, posts, options, chance)
        started_s = time.monotonic()
        while True:
            status, wait_s = connection.post("/v1/logs", f"{name};1;{tally.posts + 1}", body)
            if status == 200:
                break
            if status not in (0, 429, 503):
                tally.failure = f"the node answered {status}: {connection.answer[:500]!r}"
                return
            tally.retries += 1
            time.sleep(min(wait_s, 1.0) or 0.05)
        tally.ack_s.append(time.monotonic() - started_s)
        tally.posts += 1
    connection.close()


def _body(bodies: list[Any], number: int, posts: int, options: argparse.Namespace, chance: Any) -> Any:
    """What is sent as post `number` of `posts` on this connection: of now, or of its part of the days before."""
    body = bodies[number % len(bodies)]
    now_ms, spread_ms = time.time_ns() // 1_000_000, SPREAD_MS
    if options.days:
        spread_ms = max(SPREAD_MS, round(options.days * 86_400_000 / posts))
        now_ms -= spread_ms * (posts - 1 - number)
    freshen(body, now_ms, chance, spread_ms, options.ids)
    return mark(body, options.token.encode()) if options.token and number < options.marked else body


def main() -> None:
    options = arguments()
    each = max(1, 20 // options.connections)
    bodies = pool(each * options.connections, options.lines_per_post, options.seed, options.endpoints)
    posts = -(-options.lines // options.lines_per_post) if options.lines else 1 << 60
    shares = [posts // options.connections + (n < posts % options.connections) for n in range(options.connections)]
    drives = [partial(drive, n, options, bodies[n :: options.connections], share) for n, share in enumerate(shares)]
    run_load(drives, options.lines_per_post)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--lines", type=int, default=0, help="stop after this many lines")
    parser.add_argument("--seconds", type=float, default=0, help="stop after this time")
    parser.add_argument(
        "--rate", type=float, default=0, help="lines a second over all connections; 0: as fast as it goes"
    )
    parser.add_argument("--connections", type=int, default=3)
    parser.add_argument("--lines-per-post", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--endpoints", type=int, default=0, help="so many, all as frequent; 0: ten of a small shop")
    parser.add_argument("--ids", type=int, default=0, help="trace ids are drawn from so many; 0: each is new")
    parser.add_argument("--days", type=float, default=0, help="event times go over the days before now; needs --lines")
    parser.add_argument("--token", default="", help="a word that the message of some lines has")
    parser.add_argument("--marked", type=int, default=1, help="posts of each connection with one such line")
    options = parser.parse_args()
    if not options.lines and not options.seconds:
        parser.error("say --lines or --seconds")
    if options.days and not options.lines:
        parser.error("--days needs --lines")
    return options


if __name__ == "__main__":
    main()
