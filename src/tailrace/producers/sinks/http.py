"""Send posts to a node over HTTP and never lose one silently.

A few threads, one keep-alive connection each. A post is sent again until it is acknowledged, refused for good, or the sink is
closed and its time is up; whatever it was, it is counted. Each post carries `Tailrace-Producer: ID;EPOCH;N`, so that one that
was stored although its answer got lost is not stored twice.
"""

from __future__ import annotations

import http.client
import queue
import threading
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import msgspec

from tailrace.errors import Invalid
from tailrace.producers.backoff import backoff_s
from tailrace.producers.feed import Post
from tailrace.producers.tally import SinkCounts, Tally
from tailrace.runtime.clock import Clock
from tailrace.runtime.unreadable import UNREADABLE

TIMEOUT_S = 30.0
QUEUED_PER_CONNECTION = 4
"""Posts that wait for a connection; with those in flight they bound the memory."""
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class _Acknowledged(msgspec.Struct, frozen=True):
    accepted: int
    dead_lettered: list[msgspec.Raw] = []
    deduplicated: int = 0


@dataclass(frozen=True, slots=True)
class _Numbered:
    """A post and its number in the producer's epoch."""

    n: int
    post: Post


class HttpSink:
    """`producer`: a stable id; `epoch`: a new, higher one whenever numbering begins again. `put` is called by one thread."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        producer: str,
        epoch: int,
        connections: int = 2,
        params: dict[str, str] | None = None,
        content_type: str = "application/x-ndjson",
        key: str = "",
    ) -> None:
        """`key`: the secret of one of the node's keys, if it has any.

        `params` go into the query of the address, e.g. the format. Raises Invalid for an address that is not http.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise Invalid(f"`{url}` is no address to send to", hint="for example http://127.0.0.1:8080")
        self._host, self._port = parts.hostname, parts.port or 80
        self._path = "/v1/logs" + (f"?{urlencode(params)}" if params else "")
        self._clock = clock
        self._stamp = f"{producer};{epoch}"
        self._content_type = content_type
        self._shown = {"Authorization": f"Bearer {key}"} if key else {}
        self._queue: queue.Queue[_Numbered | None] = queue.Queue(connections * QUEUED_PER_CONNECTION)
        self._give_up = threading.Event()
        self._tally = Tally()
        self._next_n = 0
        self._threads = [threading.Thread(target=self._run, name=f"sink-{i}", daemon=True) for i in range(connections)]
        for thread in self._threads:
            thread.start()

    def put(self, post: Post, stop: threading.Event) -> bool:
        """See Sink."""
        while not stop.is_set():
            try:
                self._queue.put(_Numbered(self._next_n, post), timeout=0.1)
            except queue.Full:
                continue
            self._next_n += 1
            self._tally.sent(post.lines)
            return True
        return False

    def counts(self) -> SinkCounts:
        """As of now, from any thread."""
        return self._tally.counts()

    def close(self, timeout_s: float = 10.0) -> SinkCounts:
        """Send what was put, for at most `timeout_s`; what is not acknowledged by then is counted as failed."""
        timer = threading.Timer(timeout_s, self._give_up.set)
        timer.daemon = True
        timer.start()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(timeout_s + TIMEOUT_S)
        timer.cancel()
        return self.counts()

    def _run(self) -> None:
        """One connection's thread: everything it takes from the queue ends as acked or failed."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        try:
            while (item := self._queue.get()) is not None:
                self._deliver(connection, item)
        finally:
            connection.close()

    def _deliver(self, connection: http.client.HTTPConnection, item: _Numbered) -> None:
        started_s = self._clock.monotonic_s()
        salt = f"{self._stamp};{item.n}"
        attempt = 0
        while not self._give_up.is_set():
            attempt += 1
            retry_after_s = None
            try:
                status, retry_after, body = self._send(connection, item)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                problem = f"no answer: {str(error) or type(error).__name__}"
            else:
                if status == 200:
                    self._note_ack(item.post.lines, body, (self._clock.monotonic_s() - started_s) * 1000)
                    return
                problem = f"{status}: {_message(body)}"
                if status not in _AGAIN:
                    self._tally.failed(item.post.lines, problem)
                    return
                retry_after_s = _seconds(retry_after)
            self._tally.retried(problem)
            self._give_up.wait(backoff_s(attempt, salt, retry_after_s))
        self._tally.failed(item.post.lines, self.counts().problem or "not sent in time")

    def _send(self, connection: http.client.HTTPConnection, item: _Numbered) -> tuple[int, str | None, bytes]:
        headers = {"Content-Type": self._content_type, "Tailrace-Producer": f"{self._stamp};{item.n}", **self._shown}
        connection.request("POST", self._path, item.post.body, headers)
        response = connection.getresponse()
        return response.status, response.getheader("Retry-After"), response.read()

    def _note_ack(self, lines: int, body: bytes, ack_ms: float) -> None:
        """A 200 counts only if it speaks of as many lines as were sent."""
        try:
            answer = msgspec.json.decode(body, type=_Acknowledged)
        except UNREADABLE as error:
            self._tally.failed(lines, f"200 with an answer that does not read: {error}")
            return
        dead = len(answer.dead_lettered)
        if answer.accepted + dead + answer.deduplicated != lines:
            self._tally.failed(lines, f"{lines} lines were sent, the answer is about others: {body[:200]!r}")
            return
        self._tally.acked(lines, dead, answer.deduplicated, ack_ms)


def _message(body: bytes) -> str:
    """The message of the one error shape, or the body's beginning."""
    try:
        error = msgspec.json.decode(body)["error"]
        return f"{error['message']} ({error['hint']})" if error.get("hint") else str(error["message"])
    except (*UNREADABLE, KeyError, TypeError, AttributeError):
        return body[:200].decode("utf-8", "backslashreplace")


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.replace(".", "", 1).isdigit() else None
