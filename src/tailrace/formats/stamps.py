"""Instants written as a format of the settings says, for whole columns. Called by `regex`."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tailrace.formats.timestamps import FIRST_US, LAST_US, calendar, instants
from tailrace.model.stamp_format import compiled


def read(buffer: Any, start: Any, end: Any, present: Any, written: str, zone: str) -> tuple[Any, Any]:
    """(microseconds, mask of those that could be read), as `timestamps.instants`; `written` empty: in any of the known ways."""
    if not written:
        return instants(buffer, start, end, present, zone)
    pattern = compiled(written)
    value, good = np.zeros(len(start), np.int64), np.zeros(len(start), bool)
    known: dict[bytes, int | None] = {}
    for row in np.flatnonzero(present).tolist():
        text = bytes(buffer[start[row] : end[row]])
        if text not in known:
            known[text] = instant(text, pattern, zone)
        found = known[text]
        if found is not None:
            value[row], good[row] = found, True
    return value, good


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
