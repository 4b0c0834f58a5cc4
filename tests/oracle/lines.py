"""Log lines to records, for the well-formed subset that the tests write. Python's own json, decimal and datetime only."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COMBINED = re.compile(
    r'(?P<ip>\S+) \S+ \S+ \[(?P<at>[^\]]+)\] "(?P<method>[A-Z]+) (?P<target>\S+) HTTP/[\d.]+" (?P<status>\d{3}) \S+'
    r'(?: "[^"]*" "[^"]*"(?: (?P<response>\d+(?:\.\d+)?)$)?)?'
)


@dataclass(frozen=True, slots=True)
class Record:
    """One good line. `at_us`: microseconds since 1970; `response`: thousandths of a millisecond."""

    at_us: int
    service: str | None = None
    endpoint: str | None = None
    method: str | None = None
    status: int | None = None
    response: int | None = None
    ip: str | None = None
    level: str | None = None
    trace_id: str | None = None
    message: str | None = None


def parse_json(line: bytes) -> Record | None:
    """A record, or None where the line is a dead letter."""
    try:
        found = json.loads(line.decode("utf-8"), parse_float=Decimal)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    at_us = _instant(found.get("timestamp"))
    if at_us is None:
        return None
    return Record(
        at_us=at_us,
        service=_text(found.get("service")),
        endpoint=_path(_text(found.get("endpoint"))),
        method=_text(found.get("method")),
        status=_integer(found.get("status")),
        response=_thousandths(found.get("response_ms")),
        ip=_text(found.get("ip")),
        level=_text(found.get("level")),
        trace_id=_text(found.get("trace_id")),
        message=_text(found.get("message")),
    )


def parse_combined(line: bytes) -> Record | None:
    """Apache's and nginx's combined or common format. A response time at the end: seconds with a point, else microseconds."""
    match = _COMBINED.match(line.decode("utf-8"))
    if match is None:
        return None
    response = match["response"]
    return Record(
        at_us=_us(datetime.strptime(match["at"], "%d/%b/%Y:%H:%M:%S %z")),
        endpoint=_path(match["target"]),
        method=match["method"],
        status=int(match["status"]),
        response=None if response is None else int(Decimal(response) * (1_000_000 if "." in response else 1)),
        ip=match["ip"],
    )


def _instant(value: Any) -> int | None:
    """ISO 8601 (UTC where it has no zone), or an epoch number whose size says its unit."""
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            return None
        return _us(at if at.tzinfo else at.replace(tzinfo=UTC))
    if isinstance(value, int) and not isinstance(value, bool):
        for limit, factor in ((10**11, 10**6), (10**14, 10**3), (10**17, 1)):
            if abs(value) < limit:
                return value * factor
        return value // 1000
    return None


def _us(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31 else None


def _thousandths(value: Any) -> int | None:
    """Rounded half away from zero; None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return int((Decimal(value) * 1000).quantize(Decimal(1), ROUND_HALF_UP))


def _path(endpoint: str | None) -> str | None:
    """An endpoint is the path without its query string."""
    return endpoint.partition("?")[0] if endpoint is not None else None
