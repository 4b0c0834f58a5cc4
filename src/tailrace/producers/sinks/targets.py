"""Where posts go, by the address: `http://`, `kinesis://STREAM`, `kafka://HOST:PORT/TOPIC`, `file://PATH`, `stdout`."""

from __future__ import annotations

from tailrace.errors import Invalid
from tailrace.producers.sinks.base import Journal, Sink
from tailrace.producers.spec import RunSpec
from tailrace.runtime.clock import Clock

_SCHEMES = ("http", "https", "kinesis", "kafka", "file", "stdout")
_HINT = "http:// or https://HOST:PORT, kinesis://STREAM, kafka://HOST:PORT/TOPIC, file://PATH or stdout"


def kind_of(target: str) -> str:
    """Raises Invalid for an address of no kind that is known."""
    if target in ("stdout", "-"):
        return "stdout"
    scheme, found, rest = target.partition("://")
    if not found or scheme not in _SCHEMES or not rest:
        raise Invalid(f"`{target}` is no target", hint=f"use {_HINT}")
    return "http" if scheme == "https" else scheme


def make_sink(spec: RunSpec, clock: Clock, journal: Journal | None, key: str = "") -> Sink:
    """`key`: what a node is shown that asks for one. Raises Invalid for an address that cannot be, or whose library is not installed."""
    match kind_of(spec.target):
        case "kinesis":
            from tailrace.producers.sinks.kinesis import KinesisSink

            return KinesisSink(spec, clock, journal)
        case "kafka":
            from tailrace.producers.sinks.kafka import KafkaSink

            return KafkaSink(spec, clock, journal)
        case "file" | "stdout":
            from tailrace.producers.sinks.file import FileSink

            return FileSink(spec.target, clock, journal)
        case _:
            from tailrace.producers.sinks.http import HttpSink

            return HttpSink(
                spec.target,
                clock,
                producer=spec.producer,
                epoch=0,
                connections=spec.connections,
                params={"format": "json"},
                encoding=spec.encoding,
                journal=journal,
                key=key,
            )
