"""Verify waits for a node that is starting, and not for one that is not there."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from tailrace.cli.verify_node import PatientClient
from tailrace.errors import Unavailable
from tailrace.runtime.clock import ManualClock

STARTING = b'{"error": {"code": "unavailable", "message": "the query process is starting again", "hint": "ask again"}}'


@pytest.fixture
def node() -> Iterator[tuple[str, list[int]]]:
    """Answers with the statuses of the list, one after another, then with 503."""
    statuses: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = statuses.pop(0) if statuses else 503
            body = b'{"n": 1}' if status == 200 else STARTING
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", statuses
        server.shutdown()
        thread.join()


def test_what_is_starting_is_asked_again(node: tuple[str, list[int]]) -> None:
    url, statuses = node
    statuses += [503, 503, 200]
    clock = ManualClock()
    assert PatientClient(url, clock, 60).get("/v1/pipeline") == {"n": 1}
    assert clock.monotonic_s() == 1.0


def test_for_as_long_as_it_was_told_to_wait(node: tuple[str, list[int]]) -> None:
    clock = ManualClock()
    with pytest.raises(Unavailable, match="starting again"):
        PatientClient(node[0], clock, 7).get("/v1/pipeline")
    assert clock.monotonic_s() == 7.0


def test_a_node_that_was_never_met_is_not_waited_for() -> None:
    clock = ManualClock()
    with pytest.raises(Unavailable, match="no node answers"):
        PatientClient("http://127.0.0.1:9", clock, 60).get("/v1/pipeline")
    assert clock.monotonic_s() == 0.0
