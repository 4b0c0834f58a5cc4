"""Access log lines of the usual shapes, whole columns at a time: the parts are found from the places of quotes and blanks.

Called by `clf`, which reads every line that deviates in anything.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tailrace.formats.base import ABSENT, LITERAL, STRING, Lines, Tokens
from tailrace.formats.json_match import Marks, mark
from tailrace.formats.numbers import scan
from tailrace.formats.words import characters, equals

_QUOTES = (6, 2, 8)
"""Combined, Common, Combined with a forwarded address."""
_TIME_BYTES = len("17/May/2015:10:05:03 +0000")
_METHOD_BYTES_MAX = 8
_USER_BYTES_MAX = 256
_ROWS_MIN = 24
Spans = dict[str, tuple[Any, Any]]


def read_columns(lines: Lines, rows: Any, found: dict[str, Tokens]) -> Any:
    """Fill `found` for those of `rows` that have a usual shape; returns the others."""
    if len(rows) < _ROWS_MIN:
        return rows
    marks = mark(lines)
    sentinels = np.full(8, lines.size)
    blanks = np.append(np.flatnonzero(lines.buffer[: lines.size] == ord(" ")), sentinels)
    escaped = np.searchsorted(marks.backslashes, lines.end) > np.searchsorted(marks.backslashes, lines.start)
    rows_left = [rows[escaped[rows]]]
    rows = rows[~escaped[rows]]
    for quotes in _QUOTES:
        chosen = marks.count[rows] == quotes
        if not chosen.any():
            continue
        fits = _read(lines, marks, blanks, rows[chosen], quotes, found)
        rows_left.append(rows[chosen][~fits])
        rows = rows[~chosen]
    return np.sort(np.concatenate([*rows_left, rows]))


def _read(lines: Lines, marks: Marks, blanks: Any, rows: Any, quotes: int, found: dict[str, Tokens]) -> Any:
    """Mask of `rows` (each with that many quotes) that were read."""
    text, start, end = lines.buffer, lines.start[rows], lines.end[rows]
    at = [marks.positions(rows, quote) for quote in range(quotes)]
    spans: Spans = {}
    fits = _head(text, blanks, start, at[0], spans) & _request(text, blanks, at[0], at[1], spans)
    fits &= _numbers(text, blanks, at[1], at[2] - 1 if quotes > 2 else end, quotes == 2, spans)
    tail = spans["bytes"][1]
    if quotes >= 6:
        spans |= {"referer": (at[2] + 1, at[3]), "user_agent": (at[4] + 1, at[5])}
        fits &= (text[at[3] + 1] == ord(" ")) & (at[4] == at[3] + 2)
        tail = at[5] + 1
    if quotes == 8:
        spans["forwarded_for"] = (at[6] + 1, at[7])
        fits &= (text[at[5] + 1] == ord(" ")) & (at[6] == at[5] + 2)
        tail = at[7] + 1
    timed, shift, fitting = _tail(text, blanks, tail, end)
    fits &= fitting
    for name, (first, last) in spans.items():
        _put(found[name], rows, fits, first, last, text)
    found["bytes"].kind[rows[fits & (found["bytes"].kind[rows] == STRING)]] = LITERAL
    timed &= fits
    time = found["response_ms"]
    time.start[rows[timed]], time.end[rows[timed]] = tail[timed] + 1, end[timed]
    time.kind[rows[timed]], time.shift[rows[timed]] = STRING, shift[timed]
    return fits


def _put(tokens: Tokens, rows: Any, fits: Any, start: Any, end: Any, text: Any) -> None:
    rows, start, end = (rows, start, end) if fits.all() else (rows[fits], start[fits], end[fits])
    none = (end - start == 1) & (text[start] == ord("-"))
    tokens.start[rows], tokens.end[rows] = start, end
    tokens.kind[rows] = np.where(none, ABSENT, STRING)


def _head(text: Any, blanks: Any, start: Any, quote: Any, spans: Spans) -> Any:
    """`ip ident user [time] ` up to the first quote."""
    first = np.searchsorted(blanks, start)
    one, two, three = (blanks[np.minimum(first + n, len(blanks) - 1)] for n in range(3))
    bracket = np.maximum(quote - _TIME_BYTES - 3, 0)
    spans |= {"ip": (start, one), "ident": (one + 1, two), "user": (two + 1, three)}
    spans["timestamp"] = (bracket + 1, bracket + 1 + _TIME_BYTES)
    fits = (
        (three == bracket - 1)
        & (one > start)
        & (two > one + 1)
        & (three > two + 1)
        & (three <= two + 1 + _USER_BYTES_MAX)
    )
    return fits & (text[bracket] == ord("[")) & (text[quote - 2] == ord("]")) & (text[quote - 1] == ord(" "))


def _request(text: Any, blanks: Any, opening: Any, closing: Any, spans: Spans) -> Any:
    """`METHOD target HTTP/...` between two quotes."""
    first = np.searchsorted(blanks, opening)
    one, two = blanks[first], blanks[np.minimum(first + 1, len(blanks) - 1)]
    spans |= {"method": (opening + 1, one), "endpoint": (one + 1, two), "protocol": (two + 1, closing)}
    length = one - opening - 1
    fits = (np.searchsorted(blanks, closing) - first == 2) & (two > one + 1)
    fits &= (length > 0) & (length <= _METHOD_BYTES_MAX)
    for n, letter in enumerate(characters(text, opening + 1, _METHOD_BYTES_MAX)):
        fits &= (letter - np.uint8(ord("A")) < 26) | (n >= length)
    return fits & equals(text, np.minimum(two + 1, closing), b"HTTP/")


def _numbers(text: Any, blanks: Any, quote: Any, until: Any, common: bool, spans: Spans) -> Any:
    """` status bytes` behind a quote, up to `until` or (`common`) the next blank before it."""
    first = np.searchsorted(blanks, quote)
    before, between, behind = (blanks[np.minimum(first + n, len(blanks) - 1)] for n in range(3))
    last = np.minimum(behind, until) if common else behind
    spans |= {"status": (quote + 2, between), "bytes": (between + 1, last)}
    fits = (before == quote + 1) & (between == quote + 5) & (last > between + 1) & (common | (last == until))
    for digit in characters(text, quote + 2, 3):
        fits &= digit - np.uint8(ord("0")) <= 9
    count = scan(text, between + 1, np.maximum(last, between + 1))
    whole = count.json & ~count.negative & (count.places == 0)
    return fits & (whole | ((last - between == 2) & (text[between + 1] == ord("-"))))


def _tail(text: Any, blanks: Any, tail: Any, end: Any) -> tuple[Any, Any, Any]:
    """(mask: a response time stands there, 10**shift to milliseconds, mask: nothing or just that stands there)."""
    empty = tail >= end
    if empty.all():
        return np.zeros(len(end), bool), np.zeros(len(end), np.int64), empty
    first = np.searchsorted(blanks, tail)
    alone = (blanks[first] == tail) & (blanks[np.minimum(first + 1, len(blanks) - 1)] >= end)
    time = scan(text, np.minimum(tail + 1, end), end)
    timed = ~empty & alone & time.plain & ~time.negative
    return timed, np.where(time.places > 0, 3, -3), empty | timed
