"""Send posts to a node over HTTP and never lose one silently.

A few threads, one keep-alive connection each. Each post carries `Tailrace-Producer: ID;EPOCH;N`, so that one that was stored although
its answer got lost is not stored twice.
"""

from __future__ import annotations

import gzip
import threading

import zstandard

from tailrace.producers.sinks.base import Acked, Journal, Link, Parcel, Refused, Retry, Sink
from tailrace.producers.wire import Outcome, Reply, Wire, parse_address
from tailrace.runtime.clock import Clock

ENCODINGS = ("none", "gzip", "zstd")


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
        self._address, self._params = parse_address(url), params or {}
        self._stamp, self._encoding = f"{producer};{epoch}", encoding
        self._headers = {"Content-Type": content_type} | ({"Authorization": f"Bearer {key}"} if key else {})
        if encoding != "none":
            self._headers["Content-Encoding"] = encoding
        super().__init__(clock, connections=connections, salt=self._stamp, journal=journal)

    def link(self) -> Link:
        return _HttpLink(Wire(self._address, self._params, self._headers), self._stamp, self._encoding)


class _HttpLink:
    def __init__(self, wire: Wire, stamp: str, encoding: str) -> None:
        self._wire, self._stamp, self._encoding = wire, stamp, encoding

    def send(self, parcel: Parcel, give_up: threading.Event) -> Acked:
        if parcel.rest is None:
            parcel.rest = _packed(parcel.post.body, self._encoding)
        reply = self._wire.send(parcel.rest, f"{self._stamp};{parcel.n}")
        match reply.outcome:
            case Outcome.ACKED:
                return _acked(parcel.post.lines, reply)
            case Outcome.AGAIN:
                raise Retry(reply.problem, reply.retry_after_s)
            case _:
                raise Refused(reply.problem)

    def close(self) -> None:
        self._wire.close()


def _packed(body: bytes | memoryview, encoding: str) -> bytes | memoryview:
    match encoding:
        case "gzip":
            return gzip.compress(body, 1, mtime=0)
        case "zstd":
            return zstandard.ZstdCompressor(level=1).compress(body)
        case _:
            return body


def _acked(lines: int, reply: Reply) -> Acked:
    """A 200 counts only if it speaks of as many lines as were sent."""
    acked = Acked(reply.accepted, reply.dead_lettered, reply.deduplicated)
    if reply.accepted + reply.dead_lettered + reply.deduplicated != lines:
        raise Refused(f"{lines} lines were sent, the answer is about others: {acked}")
    return acked
