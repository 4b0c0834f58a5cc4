"""Text to an instant: microseconds since 1970-01-01 UTC, truncated towards the past.

`instant` says what a text means, one at a time; `instants` does the usual shapes for a whole column and leaves the rest
to it. Both give the same integers (property test).

Accepted: ISO 8601 (`2026-11-22T10:00:00.123+02:00`; blank, `/` and basic zones too), a date alone (its midnight), the stamp
of access logs (`22/Nov/2026:10:00:00 +0200`), and a number since the epoch whose magnitude tells s, ms, us or ns. Without a
zone the field's own applies. Second 60 is second 0 of the next minute. Years 1 to 9999.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from tailrace.formats.numbers import scan, split
from tailrace.formats.words import characters, equals
from tailrace.model.window import datetime_us

FIRST_US = datetime_us(datetime(1, 1, 1, tzinfo=UTC))
LAST_US = datetime_us(datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))

_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_ZONE = rb"(?P<zone>Z|z|UTC|GMT|(?P<sign>[+-])(?P<zh>\d\d)(?::?(?P<zm>\d\d))?)"
_ISO = re.compile(
    rb"(?P<Y>\d{4})([-/])(?P<M>\d\d)\2(?P<D>\d\d)"
    rb"(?:[Tt ](?P<h>\d\d):(?P<m>\d\d)(?::(?P<s>\d\d)(?:[.,](?P<f>\d+))?)?(?: ?" + _ZONE + rb")?)?"
)
_ACCESS = re.compile(
    rb"(?P<D>\d\d)/(?P<Mon>[A-Z][a-z]{2})/(?P<Y>\d{4}):(?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d)(?: " + _ZONE + rb")?"
)
_SECOND_US = 1_000_000
_DAY_US = 86_400 * _SECOND_US
_WIDTH_MAX = 40
_GROUPS_MAX = 4
"""Lengths of text that are done as a column; a fifth is done one at a time, as are columns of fewer than _COLUMN_MIN."""
_COLUMN_MIN = 8


def instant(text: bytes, zone: str = "UTC") -> int | None:
    """None if `text` is no instant, or is outside the years 1 to 9999."""
    text = text.strip(b" \t\r\n")
    match = _ISO.fullmatch(text) or _ACCESS.fullmatch(text)
    found = calendar(match.groupdict(), zone) if match else _since_epoch(text)
    return found if found is not None and FIRST_US <= found <= LAST_US else None


def _since_epoch(text: bytes) -> int | None:
    """By magnitude: below 1e11 seconds, below 1e14 ms, below 1e17 us, else ns."""
    parts = split(text, 0, 20)
    if parts is None:
        return None
    size = parts[1]
    places = 6 if size < 10**11 else 3 if size < 10**14 else 0 if size < 10**17 else -3
    negative, units, dropped = split(text, places, 20) or parts
    return -units - bool(dropped.strip(b"0")) if negative else units


def calendar(part: dict[str, bytes | None], zone: str) -> int | None:
    """From texts Y, M or Mon, D, h, m, s, f, zone (sign, zh, zm), as far as there are; None if there is no such time."""
    month = part.get("Mon")
    if month is not None and month not in _MONTHS:
        return None
    numbers = [int(part.get(name) or 0) for name in ("Y", "D", "h", "m", "s", "zh", "zm")]
    year, day, hour, minute, second, zone_hour, zone_minute = numbers
    if hour > 23 or minute > 59 or second > 60 or zone_hour > 23 or zone_minute > 59:
        return None
    try:
        midnight = date(year, _MONTHS.index(month) + 1 if month else int(part["M"] or 0), day)
    except ValueError:
        return None
    micros = int((part.get("f") or b"0")[:6].ljust(6, b"0"))
    local = (midnight.toordinal() - 719_163) * _DAY_US + (hour * 3600 + minute * 60 + second) * _SECOND_US + micros
    if part.get("zone") is None:
        return local - _zone_offset_us(zone, local)
    offset = (zone_hour * 3600 + zone_minute * 60) * _SECOND_US
    return local + offset if part.get("sign") == b"-" else local - offset


def _zone_offset_us(zone: str, local_us: int) -> int:
    """Of an IANA zone at a local time; where clocks are set back the first of the two, as `datetime.fold` 0."""
    if zone == "UTC":
        return 0
    bounded = min(max(local_us, FIRST_US + 2 * _DAY_US), LAST_US - 2 * _DAY_US)
    local = datetime(1970, 1, 1) + timedelta(microseconds=bounded)  # noqa: DTZ001 - a wall clock, its zone is asked next
    offset = _zone(zone).utcoffset(local)
    return round((offset or timedelta()) / timedelta(microseconds=1))


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def instants(buffer: Any, start: Any, end: Any, present: Any, zone: str) -> tuple[Any, Any]:
    """(microseconds, mask of those that could be read) of the texts at `start`..`end` where `present`."""
    value, good = np.zeros(len(start), np.int64), np.zeros(len(start), bool)
    for rows in groups(end - start, present):
        micros, done = _column(buffer, start[rows], end[rows], zone)
        value[rows], good[rows] = micros, done
    for row in np.flatnonzero(present & ~good).tolist():
        found = instant(bytes(buffer[start[row] : end[row]]), zone)
        if found is not None:
            value[row], good[row] = found, True
    return value, good


def groups(length: Any, present: Any) -> Iterator[Any]:
    """Rows by length of text, the commonest lengths only."""
    counts: Any = np.bincount(np.where(present, np.minimum(length, _WIDTH_MAX + 1), 0), minlength=2)
    counts[0] = counts[_WIDTH_MAX + 1 :] = 0
    if counts.max() == len(length):
        yield slice(None)
        return
    for size in np.argsort(-counts, kind="stable")[:_GROUPS_MAX].tolist():
        if counts[size] >= _COLUMN_MIN:
            yield np.flatnonzero(present & (length == size))


def _column(buffer: Any, start: Any, end: Any, zone: str) -> tuple[Any, Any]:
    """Texts of one length, all taken to have the shape of the first."""
    first = bytes(buffer[start[0] : end[0]])
    match = _ISO.fullmatch(first) or _ACCESS.fullmatch(first)
    if match is None:
        return _epoch_column(buffer, start, end)
    if match["zone"] is None and zone != "UTC":
        return np.zeros(len(start), np.int64), np.zeros(len(start), bool)
    if match["s"] is not None and equals(buffer, start, first[: match.start("s")]).all():
        micros, good = _within_minute(buffer, start, match)
        if good.all():
            return micros, good
    return calendar_column(list(characters(buffer, start, len(first))), match)


def _epoch_column(buffer: Any, start: Any, end: Any) -> tuple[Any, Any]:
    if int(end[0] - start[0]) == 19:  # nanoseconds of this century: the last three digits are below a microsecond
        micros, rest = scan(buffer, start, end - 3), scan(buffer, end - 3, end)
        whole = (
            micros.plain & rest.plain & (micros.places == 0) & (rest.places == 0) & ~micros.negative & ~rest.negative
        )
        return micros.digits, whole & (micros.digits >= 10**14) & (micros.digits <= LAST_US)
    found = scan(buffer, start, end)
    size = found.digits // 10 ** np.clip(found.places, 0, 18)
    up = np.select([size < 10**11, size < 10**14, size < 10**17], [6, 3, 0], -3) - found.places
    fits = found.plain & ~found.negative & (found.digits < 10 ** (18 - np.clip(up, 0, 18)))
    value = np.where(fits, found.digits, 0) * 10 ** np.clip(up, 0, 18) // 10 ** np.clip(-up, 0, 18)
    return value, fits & (value <= LAST_US)


def _within_minute(buffer: Any, start: Any, match: re.Match[bytes]) -> tuple[Any, Any]:
    """Texts that are the same up to the minute, as those of a post mostly are: only seconds and what follows are read.

    Good where the text has the shape of `match`, and ends with the same zone.
    """
    first, head = match.string, match.start("s")
    zone_at = match.end("f" if match.groupdict().get("f") else "s")
    minute = instant(first[:head] + b"00" + first[zone_at:])
    columns = list(characters(buffer, start + head, len(first) - head))
    good = np.full(len(start), minute is not None)
    for at, byte in enumerate(first[head:], head):
        column = columns[at - head]
        good &= column - np.uint8(48) <= 9 if at < zone_at and 48 <= byte <= 57 else column == byte
    second = (columns[0] - np.uint8(48)).astype(np.int64) * 10 + (columns[1] - np.uint8(48))
    good &= second <= 60
    local = (minute or 0) + second * _SECOND_US + _fraction(columns, match, head)
    return local, good & (local >= FIRST_US) & (local <= LAST_US)


def calendar_column(columns: list[Any], match: re.Match[bytes]) -> tuple[Any, Any]:
    """`columns`: the n-th byte of every text. Good where a text has the shape of `match` and names a real time.

    `match` has groups as `calendar`. Every digit in it is taken to be one of a number.
    """
    good = np.ones(len(columns[0]), bool)
    free = {match.start(name) for name in ("sign",) if name in match.re.groupindex and match[name]}
    if "Mon" in match.re.groupindex:
        free |= set(range(*match.span("Mon")))
    for at, byte in enumerate(match.string):
        if 48 <= byte <= 57:
            good &= columns[at] - np.uint8(48) <= 9
        elif at not in free:
            good &= columns[at] == byte

    def number(name: str) -> Any:
        if name not in match.re.groupindex or match[name] is None:
            return np.int64(0)
        total = np.int64(0)
        for at in range(*match.span(name)):
            total = total * 10 + (columns[at] - np.uint8(48)).astype(np.int64)
        return total

    year, day = number("Y"), number("D")
    month = _month_column(columns[slice(*match.span("Mon"))]) if "Mon" in match.re.groupindex else number("M")
    hour, minute, second, zone_hour, zone_minute = (number(name) for name in ("h", "m", "s", "zh", "zm"))
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (hour <= 23) & (minute <= 59) & (second <= 60)
    good &= (zone_hour <= 23) & (zone_minute <= 59)
    month = np.clip(month, 1, 12)
    good &= day <= _DAYS[month] + ((month == 2) & (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0)))
    micros = _fraction(columns, match, 0)
    local = _days_since_1970(year, month, day) * _DAY_US
    local += (hour * 3600 + minute * 60 + second) * _SECOND_US + micros
    if "sign" in match.re.groupindex and match["sign"]:
        sign = columns[match.start("sign")]
        good &= (sign == ord("+")) | (sign == ord("-"))
        local -= np.where(sign == ord("-"), -1, 1) * (zone_hour * 3600 + zone_minute * 60) * _SECOND_US
    return local, good & (local >= FIRST_US) & (local <= LAST_US)


_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_MONTH_KEYS = np.array([int.from_bytes(name, "big") for name in _MONTHS])
_MONTH_ORDER = np.argsort(_MONTH_KEYS)


def _month_column(letters: list[Any]) -> Any:
    """1 to 12, or 0 where the three letters name no month."""
    key = (letters[0].astype(np.int64) << 16) | (letters[1].astype(np.int64) << 8) | letters[2]
    at = _MONTH_ORDER[np.clip(np.searchsorted(_MONTH_KEYS, key, sorter=_MONTH_ORDER), 0, 11)]
    return np.where(_MONTH_KEYS[at] == key, at + 1, 0)


def _fraction(columns: list[Any], match: re.Match[bytes], head: int) -> Any:
    """Microseconds: the fraction of the second, cut to six digits. `columns` begin at byte `head` of the texts."""
    if "f" not in match.re.groupindex or match["f"] is None:
        return 0
    first, last = (at - head for at in match.span("f"))
    total = np.int64(0)
    for at in range(first, min(last, first + 6)):
        total = total * 10 + (columns[at] - np.uint8(48)).astype(np.int64)
    return total * 10 ** max(6 - (last - first), 0)


def _days_since_1970(year: Any, month: Any, day: Any) -> Any:
    """Source: H. Hinnant, "chrono-compatible low-level date algorithms", days_from_civil."""
    year = year - (month <= 2)
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468
