"""Find and move the time stamp of a raw log line, leaving all else as it stands, byte for byte.

Access logs: the first `[17/May/2015:10:05:03 +0000]`. JSON: the value of one key, ISO text or a number of s, ms, us or ns since
1970. A line whose stamp cannot be read is passed on as it is: the node shall judge it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from tailrace.errors import Invalid
from tailrace.model.window import datetime_us, iso, parse_iso, us_datetime
from tailrace.runtime.unreadable import UNREADABLE

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ACCESS = re.compile(rb"\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\]")
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_UNITS_US = ((1e17, 0.001), (1e14, 1.0), (1e11, 1e3), (0.0, 1e6))
"""Numbers from the first are ns, from the next us, ms, else s: each unit covers 1973 to 5138."""


@dataclass(frozen=True, slots=True)
class Stamps:
    """`format`: the name that `POST /v1/logs?format=` takes. `read`: microseconds or None. `move`: the line with another stamp."""

    format: str
    read: Callable[[bytes], int | None]
    move: Callable[[bytes, int], bytes]


def sniff(line: bytes, key: str) -> Stamps:
    """By the first line of a file. `key`: where JSON lines keep their stamp. Raises Invalid if it is neither JSON nor an access log."""
    if line.lstrip().startswith(b"{"):
        return Stamps("json", lambda text: read_json(text, key), lambda text, us: move_json(text, us, key))
    if _ACCESS.search(line):
        return Stamps("combined", read_access, move_access)
    raise Invalid(
        f"the first line is neither JSON nor an access log: `{line[:80].decode('utf-8', 'backslashreplace')}`",
        hint="replay takes NDJSON and the common and combined formats of Apache and nginx",
    )


def read_access(line: bytes) -> int | None:
    match = _ACCESS.search(line)
    if match is None:
        return None
    day, month, year, hour, minute, second, sign, zone_h, zone_m = (part.decode() for part in match.groups())
    try:
        at = datetime(
            int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), min(int(second), 59), tzinfo=UTC
        )
    except ValueError:
        return None
    offset_us = (int(zone_h) * 60 + int(zone_m)) * 60_000_000
    return datetime_us(at) - (offset_us if sign == "+" else -offset_us)


def move_access(line: bytes, at_us: int) -> bytes:
    """Whole seconds, as the format has no more; in UTC."""
    at = us_datetime(at_us)
    stamp = f"[{at.day:02d}/{_MONTHS[at.month - 1]}/{at.year:04d}:{at.hour:02d}:{at.minute:02d}:{at.second:02d} +0000]"
    return _ACCESS.sub(stamp.encode(), line, count=1)


def read_json(line: bytes, key: str) -> int | None:
    try:
        value = msgspec.json.decode(_OBJECT.decode(line)[key])
        if isinstance(value, str):
            return parse_iso(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return round(value * _unit_us(value))
    except (*UNREADABLE, KeyError, Invalid, OverflowError):
        return None


def move_json(line: bytes, at_us: int, key: str) -> bytes:
    """The same kind of value as before, in the same unit; text becomes ISO 8601 in UTC."""
    fields = _OBJECT.decode(line)
    value = msgspec.json.decode(fields[key])
    moved = iso(at_us) if isinstance(value, str) else _rescale(at_us, _unit_us(value), whole=isinstance(value, int))
    return msgspec.json.encode({**fields, key: moved})


def _unit_us(value: float) -> float:
    return next(unit for bound, unit in _UNITS_US if abs(value) >= bound)


def _rescale(at_us: int, unit_us: float, *, whole: bool) -> float:
    return round(at_us / unit_us) if whole else at_us / unit_us
