"""Event-time windows: integer microseconds since 1970-01-01 UTC, which is also their origin."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tailrace.errors import Invalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_US = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_DURATION = re.compile(r"([0-9]+)(ms|s|m|h|d)")
_DURATION_DAYS_MAX = 36_500
_DIGITS_MAX = 15
_SHOWN_MAX = 40
_YEAR_2000_US = 946_684_800_000_000
_CALENDAR_YEARS = 400
_CALENDAR_US = 146_097 * _UNITS_US["d"]
"""After so many years the calendar repeats."""


def duration_us(text: str) -> int:
    """`90s`, `5m`, `1h30m`, `7d` in microseconds, at most 36,500 days. Raises Invalid for anything else."""
    parts = _DURATION.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise Invalid(f"`{text[:_SHOWN_MAX]}` is not a duration", hint="write for example 10s, 5m, 1h30m or 7d")
    too_long = any(len(n) > _DIGITS_MAX for n, _ in parts)
    if too_long or (us := sum(int(n) * _UNITS_US[u] for n, u in parts)) > _DURATION_DAYS_MAX * _UNITS_US["d"]:
        raise Invalid(f"`{text[:_SHOWN_MAX]}` is too long", hint=f"ask for at most {_DURATION_DAYS_MAX}d")
    return us


def window_start_us(at_us: int, width_us: int) -> int:
    return at_us - at_us % width_us


def datetime_us(value: datetime) -> int:
    """Microseconds since the epoch of an aware datetime."""
    return (value - _EPOCH) // timedelta(microseconds=1)


def us_datetime(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def iso(us: int) -> str:
    """`2026-11-22T10:00:00Z`, with as many fraction digits as needed (0, 3 or 6), for every `us`.

    Years other than 0 to 9999 are written as ISO 8601 expands them, which JavaScript reads: `-000001`, `+010000`.
    """
    cycle, rest = divmod(us - _YEAR_2000_US, _CALENDAR_US)
    value = us_datetime(_YEAR_2000_US + rest).replace(tzinfo=None)
    year = value.year + cycle * _CALENDAR_YEARS
    spec = "seconds" if us % 1_000_000 == 0 else "milliseconds" if us % 1_000 == 0 else "microseconds"
    return f"{year:{'04d' if 0 <= year <= 9999 else '+07d'}}{value.isoformat(timespec=spec)[4:]}Z"


def instant_us(text: str, now_us: int) -> int:
    """`now`, `now-30s` or an ISO 8601 instant, in microseconds. Raises Invalid."""
    try:
        if text == "now" or text.startswith("now-"):
            return now_us - (duration_us(text.removeprefix("now-")) if text != "now" else 0)
        return parse_iso(text)
    except Invalid as error:
        raise Invalid(error.message, hint="write it like now, now-30s or 2026-11-22T10:00:00Z") from error


def parse_iso(text: str) -> int:
    """An ISO 8601 instant in microseconds; without a zone it is UTC. Raises Invalid."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"`{text}` is not an instant", hint="write it like 2026-11-22T10:00:00Z") from error
    return datetime_us(value if value.tzinfo else value.replace(tzinfo=UTC))
