"""A stand-in for a node that keeps what it is sent, knows stamps as the node does, and fails in ways that a test chooses."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = Callable[[], str]
"""What happens to a post: `` (nothing), `away` (no answer, nothing stored), `forgets` (stored, no answer), or a status."""


class Node:
    """`lines`: as stored, in order. `wrong`: posts that came again with other bytes or parameters than before."""

    def __init__(self, fault: Fault, body_bytes_max: int) -> None:
        self.fault, self.body_bytes_max = fault, body_bytes_max
        self.lines: list[bytes] = []
        self.posts: dict[str, tuple[str, bytes]] = {}
        self.again = 0
        self.wrong: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()
        self.url = ""

    def store(self, stamp: str, path: str, body: bytes) -> tuple[int, int]:
        """(accepted, deduplicated) lines."""
        with self.lock:
            lines = [line for line in body.split(b"\n") if line.strip()]
            if stamp and stamp in self.posts:
                self.again += 1
                if self.posts[stamp] != (path, body):
                    self.wrong.append(stamp)
                return 0, len(lines)
            self.posts[stamp or str(len(self.posts))] = (path, body)
            self.lines += lines
            return len(lines), 0


def flaky(seed: int) -> Fault:
    chance = random.Random(seed)
    return lambda: chance.choice(["", "", "", "away", "forgets", "503", "429"])


@contextmanager
def running(fault: Fault = lambda: "", body_bytes_max: int = 32 << 20) -> Iterator[Node]:
    node = Node(fault, body_bytes_max)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            node.headers.append(dict(self.headers))
            fault = node.fault()
            if fault == "away":
                self.close_connection = True
                return
            if len(body) > node.body_bytes_max:
                self.answer(413, {"error": {"message": "too large"}})
                return
            if fault.isdigit():
                self.answer(int(fault), {"error": {"message": "not now"}})
                return
            accepted, known = node.store(self.headers.get("Tailrace-Producer", ""), self.path, body)
            if fault == "forgets":
                self.close_connection = True
                return
            self.answer(200, {"accepted": accepted, "dead_lettered": [], "deduplicated": known})

        def answer(self, status: int, value: object) -> None:
            text = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            if status == 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that was killed is none."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    node.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield node
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
