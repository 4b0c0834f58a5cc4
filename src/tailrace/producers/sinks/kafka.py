"""Records into a Kafka topic with confluent-kafka: acks=all, idempotent, the endpoint as key.

The library sends again by itself, in order and without doubling, for as long as the run has patience; a post is acknowledged once each
of its records is.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tailrace.errors import Invalid
from tailrace.producers.sinks.base import Acked, Journal, Link, Parcel, Refused, Retry, Sink
from tailrace.producers.spec import RunSpec
from tailrace.runtime.clock import Clock

PATIENCE_S = 2.0
"""After so long without the last acknowledgement of a post, the live line says that the broker is waited for."""


class KafkaSink(Sink):
    """`kafka://HOST:PORT/TOPIC`. Raises Invalid without confluent-kafka, and for an address without a topic."""

    def __init__(self, spec: RunSpec, clock: Clock, journal: Journal | None = None) -> None:
        parts = urlsplit(spec.target)
        self._topic = parts.path.strip("/")
        if not parts.netloc or not self._topic or "/" in self._topic:
            raise Invalid(f"`{spec.target}` names no topic", hint="write kafka://HOST:PORT/TOPIC")
        self._servers = parts.netloc
        _library()
        super().__init__(clock, connections=spec.connections, salt=spec.producer, journal=journal)

    def link(self) -> Link:
        return _KafkaLink(self._servers, self._topic)


@dataclass(slots=True)
class _Pending:
    """Of one post: records that are not acknowledged; what the broker said of one that never will be."""

    left: int
    problem: str = ""

    def delivered(self, error: Any, _: Any) -> None:
        self.left -= 1
        if error is not None:
            self.problem = str(error)


class _KafkaLink:
    """`rest` of a parcel: what is pending; its records are with the library, and are never given to it twice."""

    def __init__(self, servers: str, topic: str) -> None:
        self._topic = topic
        self._problem = "the broker does not answer"
        self._producer = _library().Producer(
            {
                "bootstrap.servers": servers,
                "acks": "all",
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "linger.ms": 5,
                "queue.buffering.max.messages": 1_000_000,
                "error_cb": self._note,
                "log_level": 0,
            }
        )

    def send(self, parcel: Parcel, give_up: threading.Event) -> Acked:
        if parcel.rest is None:
            parcel.rest = self._given(parcel)
        pending: _Pending = parcel.rest
        waited = 0.0
        while pending.left:
            if give_up.is_set() or waited >= PATIENCE_S:
                raise Retry(self._problem)
            self._producer.poll(0.05)
            waited += 0.05
        if pending.problem:
            raise Refused(pending.problem)
        return Acked(parcel.post.lines)

    def close(self) -> None:
        self._producer.purge()
        self._producer.flush(1.0)

    def _given(self, parcel: Parcel) -> _Pending:
        assert parcel.post.keys is not None, "a post for Kafka names the key of each line"
        pending = _Pending(parcel.post.lines)
        lines = bytes(parcel.post.body).split(b"\n")[:-1]
        for line, key in zip(lines, parcel.post.keys, strict=True):
            self._producer.produce(self._topic, line, key, on_delivery=pending.delivered)
        return pending

    def _note(self, error: Any) -> None:
        self._problem = str(error)


def _library() -> Any:
    try:
        import confluent_kafka
    except ImportError as error:
        raise Invalid("kafka:// needs confluent-kafka", hint="pip install 'tailrace[kafka]'") from error
    return confluent_kafka
