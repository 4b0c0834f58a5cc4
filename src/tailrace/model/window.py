"""Event-time windows: integer microseconds since 1970-01-01 UTC, which is also their origin."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tailrace.errors import Invalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_US = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)")


def duration_us(text: str) -> int:
    """`90s`, `5m`, `1h30m`, `7d` in microseconds. Raises Invalid for anything else."""
    parts = _DURATION.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise Invalid(f"`{text}` is not a duration", hint="write for example 10s, 5m, 1h30m or 7d")
    return sum(int(n) * _UNITS_US[u] for n, u in parts)


def window_start_us(at_us: int, width_us: int) -> int:
    return at_us - at_us % width_us


def datetime_us(value: datetime) -> int:
    """Microseconds since the epoch of an aware datetime."""
    return (value - _EPOCH) // timedelta(microseconds=1)


def us_datetime(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def iso(us: int) -> str:
    """`2026-11-22T10:00:00Z`, with as many fraction digits as needed (0, 3 or 6)."""
    value = us_datetime(us)
    spec = "seconds" if us % 1_000_000 == 0 else "milliseconds" if us % 1_000 == 0 else "microseconds"
    return value.replace(tzinfo=None).isoformat(timespec=spec) + "Z"


def parse_iso(text: str) -> int:
    """An ISO 8601 instant in microseconds; without a zone it is UTC. Raises Invalid."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"`{text}` is not an instant", hint="write it like 2026-11-22T10:00:00Z") from error
    return datetime_us(value if value.tzinfo else value.replace(tzinfo=UTC))
