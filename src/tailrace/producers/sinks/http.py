"""Send posts to a node over HTTP and never lose one silently.

A few threads, one keep-alive connection each. Each post carries `Tailrace-Producer: ID;EPOCH;N`, so that one that was stored although
its answer got lost is not stored twice.
"""

from __future__ import annotations

import gzip
import http.client
import threading
from urllib.parse import urlencode, urlsplit

import msgspec
import zstandard

from tailrace.errors import Invalid
from tailrace.producers.sinks.base import Acked, Journal, Link, Parcel, Refused, Retry, Sink
from tailrace.runtime.clock import Clock
from tailrace.runtime.unreadable import UNREADABLE

TIMEOUT_S = 30.0
ENCODINGS = ("none", "gzip", "zstd")
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class _Acknowledged(msgspec.Struct, frozen=True):
    """`dead_lettered` names the first ones only; servers of old say no more than that."""

    accepted: int
    dead_lettered: list[msgspec.Raw] = []
    dead_lettered_total: int | None = None
    deduplicated: int = 0


class HttpSink(Sink):
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
        encoding: str = "none",
        journal: Journal | None = None,
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
        self._stamp = f"{producer};{epoch}"
        self._headers = {"Content-Type": content_type} | ({"Authorization": f"Bearer {key}"} if key else {})
        if encoding != "none":
            self._headers["Content-Encoding"] = encoding
        super().__init__(clock, connections=connections, salt=self._stamp, journal=journal)

    def link(self) -> Link:
        return _HttpLink(self._host, self._port, self._path, self._stamp, self._headers)


class _HttpLink:
    def __init__(self, host: str, port: int, path: str, stamp: str, headers: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        self._path, self._stamp, self._headers = path, stamp, headers

    def send(self, parcel: Parcel, give_up: threading.Event) -> Acked:
        if parcel.rest is None:
            parcel.rest = _packed(parcel.post.body, self._headers.get("Content-Encoding", "none"))
        try:
            headers = {**self._headers, "Tailrace-Producer": f"{self._stamp};{parcel.n}"}
            self._connection.request("POST", self._path, parcel.rest, headers)
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Retry(f"no answer: {str(error) or type(error).__name__}") from error
        if response.status == 200:
            return _acked(parcel.post.lines, body)
        problem = f"{response.status}: {_message(body)}"
        if response.status in _AGAIN:
            raise Retry(problem, _seconds(response.getheader("Retry-After")))
        raise Refused(problem)

    def close(self) -> None:
        self._connection.close()


def _packed(body: bytes | memoryview, encoding: str) -> bytes | memoryview:
    match encoding:
        case "gzip":
            return gzip.compress(body, 1, mtime=0)
        case "zstd":
            return zstandard.ZstdCompressor(level=1).compress(body)
        case _:
            return body


def _acked(lines: int, body: bytes) -> Acked:
    """A 200 counts only if it speaks of as many lines as were sent."""
    try:
        answer = msgspec.json.decode(body, type=_Acknowledged)
    except UNREADABLE as error:
        raise Refused(f"200 with an answer that does not read: {error}") from error
    total = answer.dead_lettered_total
    acked = Acked(answer.accepted, len(answer.dead_lettered) if total is None else total, answer.deduplicated)
    if acked.accepted + acked.dead_lettered + acked.deduplicated != lines:
        raise Refused(f"{lines} lines were sent, the answer is about others: {body[:200]!r}")
    return acked


def _message(body: bytes) -> str:
    """The message of the one error shape, or the body's beginning."""
    try:
        error = msgspec.json.decode(body)["error"]
        return f"{error['message']} ({error['hint']})" if error.get("hint") else str(error["message"])
    except (*UNREADABLE, KeyError, TypeError, AttributeError):
        return body[:200].decode("utf-8", "backslashreplace")


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.replace(".", "", 1).isdigit() else None
