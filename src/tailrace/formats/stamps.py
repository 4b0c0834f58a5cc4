"""Instants written as a format of the settings says, for whole columns. Called by `regex`."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tailrace.formats.timestamps import FIRST_US, LAST_US, calendar, calendar_column, groups, instants
from tailrace.formats.words import characters
from tailrace.model.stamp_format import compiled

_DIRECTIVE = re.compile(r"%(.)", re.DOTALL)
_OWN_DIGITS = re.compile(r"(?:^|[^%])\d")
_NOT_BY_SHAPE = frozenset("yBIpsDaAZ")


def read(buffer: Any, start: Any, end: Any, present: Any, written: str, zone: str) -> tuple[Any, Any]:
    """(microseconds, mask of those that could be read), as `timestamps.instants`; `written` empty: in any of the known ways."""
    if not written:
        return instants(buffer, start, end, present, zone)
    pattern = compiled(written)
    value, good = np.zeros(len(start), np.int64), np.zeros(len(start), bool)
    if _is_plain(written):
        for rows in groups(end - start, present):
            value[rows], good[rows] = _column(buffer, start[rows], end[rows], pattern, zone)
    known: dict[bytes, int | None] = {}
    for row in np.flatnonzero(present & ~good).tolist():
        text = bytes(buffer[start[row] : end[row]])
        if text not in known:
            known[text] = instant(text, pattern, zone)
        found = known[text]
        if found is not None:
            value[row], good[row] = found, True
    return value, good


def _is_plain(written: str) -> bool:
    """Whether a text's shape alone, byte by byte, says what its parts are: no digits of the format's own, no long names."""
    return not _OWN_DIGITS.search(written) and not _NOT_BY_SHAPE & set(_DIRECTIVE.findall(written))


def _column(buffer: Any, start: Any, end: Any, pattern: re.Pattern[bytes], zone: str) -> tuple[Any, Any]:
    """Texts of one length, all taken to have the shape of the first."""
    nothing = np.zeros(len(start), np.int64), np.zeros(len(start), bool)
    if not len(start):
        return nothing
    first = bytes(buffer[start[0] : end[0]])
    match = pattern.fullmatch(first)
    if match is None or (zone != "UTC" and match.groupdict().get("zone") is None):
        return nothing
    return calendar_column(list(characters(buffer, start, len(first))), match)


def instant(text: bytes, pattern: re.Pattern[bytes], zone: str) -> int | None:
    """Microseconds since 1970 UTC; None unless all of `text` is written so, and is within the years 1 to 9999."""
    match = pattern.fullmatch(text)
    if match is None:
        return None
    part = match.groupdict()
    if part.get("epoch"):
        found: int | None = int(part["epoch"]) * 1_000_000 + int((part.get("f") or b"0")[:6].ljust(6, b"0"))
    else:
        found = calendar(_plain(part), zone)
    return found if found is not None and FIRST_US <= found <= LAST_US else None


def _plain(part: dict[str, bytes | None]) -> dict[str, bytes | None]:
    """A year of four digits, a month's three letters, the hour of twenty-four."""
    if (year := part.get("y")) is not None:
        part["Y"] = (b"19" if int(year) >= 69 else b"20") + year
    if (month := part.get("Mon")) is not None:
        part["Mon"] = month[:3].title()
    if (half := part.get("p")) is not None:
        part["h"] = b"%d" % (int(part["h"] or 0) % 12 + (12 if half in b"pP" else 0))
    return part
