"""The HTTP sink against a real server that fails in every way it can: each line ends as acknowledged or counted as failed."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tailrace.errors import InternalError, Invalid
from tailrace.producers.backoff import LONGEST_S, backoff_s
from tailrace.producers.feed import Post, feed
from tailrace.producers.sinks.base import Acked
from tailrace.producers.sinks.http import HttpSink
from tailrace.producers.worker import Producer
from tailrace.runtime.clock import ManualClock, SystemClock

Answer = tuple[int, dict[str, str], bytes] | None
"""Status, headers, body; None: break the connection off without a word."""


def accept(lines: int, **more: Any) -> Answer:
    return 200, {}, json.dumps({"accepted": lines, "dead_lettered": [], "deduplicated": 0, **more}).encode()


class Server:
    """`script(stamp, lines, attempt)` decides each answer; what was sent and acknowledged is kept."""

    def __init__(self, script: Callable[[str, int, int], Answer]) -> None:
        self.script = script
        self.attempts: Counter[str] = Counter()
        self.stored: dict[str, bytes] = {}
        self.paths: set[str] = set()
        self.lock = threading.Lock()


@contextmanager
def serving(script: Callable[[str, int, int], Answer]) -> Iterator[tuple[Server, str]]:
    server = Server(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            stamp = self.headers["Tailrace-Producer"]
            with server.lock:
                server.attempts[stamp] += 1
                server.paths.add(self.path)
                attempt = server.attempts[stamp]
            answer = server.script(stamp, body.count(b"\n"), attempt)
            if answer is None:
                self.close_connection = True
                return
            status, headers, text = answer
            if status == 200:
                with server.lock:
                    server.stored[stamp] = body
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{httpd.server_address[1]}"
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def posts(count: int, lines: int = 3) -> list[Post]:
    return [Post(b"".join(b"%d-%d\n" % (n, i) for i in range(lines)), lines, 0) for n in range(count)]


def send(sink: HttpSink, made: list[Post]) -> None:
    assert feed(made, sink, SystemClock(), threading.Event()) == sum(p.lines for p in made)


def sink_to(url: str, **more: Any) -> HttpSink:
    return HttpSink(url, SystemClock(), producer="p", epoch=7, **more)


def test_posts_are_numbered_and_acknowledged_once_each() -> None:
    with serving(lambda stamp, lines, attempt: accept(lines)) as (server, url):
        sink = sink_to(url, params={"format": "combined"})
        send(sink, posts(20))
        counts = sink.close()
    assert server.attempts == {f"p;7;{n}": 1 for n in range(20)}
    assert server.stored == {f"p;7;{n}": p.body for n, p in enumerate(posts(20))}
    assert server.paths == {"/v1/logs?format=combined"}
    assert (counts.sent, counts.acked, counts.failed, counts.retries, counts.posts) == (60, 60, 0, 0, 20)
    assert counts.ack_p50_ms is not None
    assert counts.ack_p99_ms is not None
    assert 0 < counts.ack_p50_ms <= counts.ack_p99_ms


REFUSALS: dict[str, Answer] = {
    "breaks off": None,
    "429": (429, {"Retry-After": "0"}, b'{"error":{"code":"backpressure","message":"full","hint":""}}'),
    "503": (503, {}, b"not json"),
    "500": (500, {}, b""),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_is_refused_for_now_comes_again_with_the_same_stamp(refusal: str) -> None:
    def script(stamp: str, lines: int, attempt: int) -> Answer:
        return REFUSALS[refusal] if attempt <= 2 and int(stamp.rpartition(";")[2]) % 3 == 0 else accept(lines)

    with serving(script) as (server, url):
        sink = sink_to(url)
        send(sink, posts(9))
        counts = sink.close()
    assert server.attempts == {f"p;7;{n}": 3 if n % 3 == 0 else 1 for n in range(9)}
    assert len(server.stored) == 9
    assert (counts.acked, counts.failed, counts.retries) == (27, 0, 6)
    assert counts.problem


def test_what_is_refused_for_good_is_counted_with_its_reason_and_not_sent_again() -> None:
    refused: Answer = (413, {}, b'{"error":{"code":"too_large","message":"too large","hint":"send less"}}')
    with serving(lambda stamp, lines, attempt: refused if stamp == "p;7;1" else accept(lines)) as (server, url):
        sink = sink_to(url)
        send(sink, posts(3))
        counts = sink.close()
    assert server.attempts["p;7;1"] == 1
    assert (counts.acked, counts.failed) == (6, 3)
    assert counts.problem == "413: too large (send less)"


@pytest.mark.parametrize("answer", [accept(2), (200, {}, b"ok"), (200, {}, b"{}")])
def test_a_yes_to_other_lines_is_no_yes(answer: Answer) -> None:
    with serving(lambda stamp, lines, attempt: answer) as (_, url):
        sink = sink_to(url)
        send(sink, posts(1))
        counts = sink.close()
    assert (counts.acked, counts.failed) == (0, 3)


def test_dead_letters_and_duplicates_are_acknowledged_and_counted() -> None:
    dead = [{"line": 0, "reason": "bad"}]
    with serving(
        lambda stamp, lines, attempt: accept(1, dead_lettered=dead, dead_lettered_total=1, deduplicated=1)
    ) as (_, url):
        sink = sink_to(url)
        send(sink, posts(2))
        counts = sink.close()
    assert (counts.acked, counts.dead_lettered, counts.deduplicated, counts.failed) == (6, 2, 2, 0)


def test_what_cannot_be_sent_in_time_is_counted_as_failed() -> None:
    with serving(lambda stamp, lines, attempt: (503, {}, b"")) as (_, url):
        sink = sink_to(url, connections=1)
        send(sink, posts(3))
        counts = sink.close(timeout_s=0.2)
    assert (counts.sent, counts.acked, counts.failed) == (9, 0, 9)


def test_a_server_that_is_not_there_yet_gets_everything_once_it_is() -> None:
    opened = threading.Event()
    with serving(lambda stamp, lines, attempt: accept(lines) if opened.is_set() else None) as (server, url):
        sink = sink_to(url)
        send(sink, posts(4))
        while sum(server.attempts.values()) < 6:
            SystemClock().sleep(0.01)
        opened.set()
        counts = sink.close()
    assert (counts.acked, counts.failed, len(server.stored)) == (12, 0, 4)


def test_memory_is_bounded_while_nothing_is_acknowledged() -> None:
    stop = threading.Event()
    with serving(lambda stamp, lines, attempt: (429, {}, b"")) as (_, url):
        sink = sink_to(url, connections=1)
        threading.Timer(0.5, stop.set).start()
        handed_over = feed(posts(100), sink, SystemClock(), stop)
        counts = sink.close(timeout_s=0.1)
    assert handed_over == counts.sent == counts.failed
    assert counts.sent <= 3 * 5  # one in flight, four waiting


def test_a_producer_stops_when_told_and_loses_nothing() -> None:
    def endless() -> Iterator[Post]:
        while True:
            yield from posts(1)

    with serving(lambda stamp, lines, attempt: accept(lines)) as (server, url):
        producer = Producer(endless(), sink_to(url), SystemClock())
        while producer.counts().acked < 30:
            SystemClock().sleep(0.01)
        counts = producer.stop()
    assert counts.sent == counts.acked == 3 * len(server.stored)


def test_a_producer_passes_on_what_its_source_raises() -> None:
    def broken() -> Iterator[Post]:
        yield from posts(1)
        raise Invalid("unreadable")

    with serving(lambda stamp, lines, attempt: accept(lines)) as (_, url):
        producer = Producer(broken(), sink_to(url), SystemClock())
        assert producer.wait(10)
        with pytest.raises(Invalid, match="unreadable"):
            producer.stop()
        assert producer.counts().acked == 3


def test_posts_wait_until_they_are_due() -> None:
    class Recorder:
        def put(self, post: Post, stop: threading.Event) -> bool:
            seen.append(clock.now_us())
            return True

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            clock.advance(timeout or 0.0)
            return False

    clock = ManualClock(1_000_000)
    seen: list[int] = []
    feed([Post(b"a\n", 1, 500_000), Post(b"b\n", 1, 4_500_000)], Recorder(), clock, Stop())
    assert seen == [1_000_000, 4_500_000]


@pytest.mark.parametrize("url", ["ftp://x", "localhost:8080", "http://", "https:///a", ""])
def test_an_address_must_be_http(url: str) -> None:
    with pytest.raises(Invalid, match="no address"):
        sink_to(url)


def test_pauses_grow_differ_by_producer_and_respect_the_server() -> None:
    pauses = [backoff_s(attempt, "a") for attempt in range(1, 40)]
    assert all(0.5 * LONGEST_S <= p <= LONGEST_S for p in pauses[8:])
    assert pauses[0] < 0.06
    assert len({backoff_s(3, f"p{n}") for n in range(20)}) == 20
    assert backoff_s(1, "a", 3.0) >= 3.0
    assert backoff_s(1, "a", 1e9) <= 75


class FullDisk:
    """A journal."""

    def acked(self, post: Post, n: int, acked: Acked) -> None:
        raise OSError("no space left")

    refused = left_open = lambda self, post, n, problem: None


def test_a_journal_that_cannot_be_written_is_raised_and_not_waited_for() -> None:
    def until_it_fails(sink: HttpSink) -> None:
        while sink.put(Post(b"{}\n", 1, 0), threading.Event()):
            pass

    with serving(lambda stamp, lines, attempt: accept(lines)) as (_, url):
        sink = sink_to(url, journal=FullDisk())
        with pytest.raises(InternalError, match="no space left"):
            until_it_fails(sink)
        with pytest.raises(InternalError, match="no space left"):
            sink.close()
