"""Which key of a JSON or logfmt line, or group of a pattern, feeds which field.

A field is read from its own key (`Field.key`); a field without a configured source also has the aliases below, tried in
their order when its own key is missing or null. A key that some field names as its own is nobody's alias.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tailrace.model.fields import Fields

ALIASES: dict[str, tuple[str, ...]] = {
    "timestamp": ("@timestamp", "time", "ts"),
    "service": ("service_name", "service.name"),
    "endpoint": ("path", "request_uri"),
    "method": ("request_method", "http_method"),
    "status": ("status_code",),
    "response_ms": ("response_time_ms", "duration_ms", "latency_ms", "elapsed_ms"),
    "ip": ("client_ip", "remote_addr"),
    "level": ("severity", "log.level", "lvl"),
    "trace_id": ("traceId", "trace.id"),
    "message": ("msg",),
}


@dataclass(frozen=True, slots=True)
class Source:
    """The keys of a field, first choice first; `own` of them is the field's own."""

    field: str
    keys: tuple[str, ...]

    @property
    def own(self) -> str:
        return self.keys[0]


@lru_cache(maxsize=16)
def sources(fields: Fields) -> tuple[Source, ...]:
    """One a field, in the fields' order."""
    taken = {each.key for each in fields.all}
    return tuple(
        Source(each.name, (each.key, *(key for key in _aliases(each.name, each.source) if key not in taken)))
        for each in fields.all
    )


def _aliases(name: str, source: str) -> tuple[str, ...]:
    return () if source else ALIASES.get(name, ())
