"""Find the lines that have a template's shape, and the places of their values. Called by `json` with whole chunks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from tailrace.formats.base import Lines
from tailrace.formats.json_template import Template
from tailrace.formats.lines import control_counts, unescaped_quotes
from tailrace.formats.numbers import Scan, scan
from tailrace.formats.words import equals

_BACKSLASH = 0x5C
_CACHED_BYTES_MAX = 32
_WORDS = frozenset({b"true", b"false", b"null"})
_ANY = msgspec.json.Decoder(msgspec.Raw)
_TEXT = msgspec.json.Decoder(str)


@dataclass(frozen=True, slots=True)
class Marks:
    """Of n lines: `quotes` (positions of those not escaped), `first` and `count` (of a line's quotes among them),
    `backslashes` (positions), `controls` (bytes below 0x20 a line). `even`: every line has as many quotes, and none are
    outside lines."""

    quotes: Any
    first: Any
    count: Any
    backslashes: Any
    controls: Any
    even: bool

    def positions(self, rows: Any, quote: int) -> Any:
        """Where the `quote`-th of the line stands, for each of `rows`."""
        if self.even:
            column = self.quotes.reshape(len(self.first), -1)[:, quote]
            return column if len(rows) == len(column) else column[rows]
        return self.quotes[self.first[rows] + quote]


def mark(lines: Lines) -> Marks:
    backslashes = np.flatnonzero(lines.buffer[: lines.size] == _BACKSLASH)
    quotes = unescaped_quotes(lines.buffer, backslashes)
    controls = control_counts(lines)
    each, rest = divmod(len(quotes), max(lines.count, 1))
    if each and not rest:  # the usual case: as many in every line, told without a search
        table = quotes.reshape(-1, each)
        if (table[:, 0] >= lines.start).all() and (table[:, -1] < lines.end).all():
            first = np.arange(lines.count) * each
            return Marks(quotes, first, np.full(lines.count, each), backslashes, controls, True)
    first = np.searchsorted(quotes, lines.start)
    return Marks(quotes, first, np.searchsorted(quotes, lines.end) - first, backslashes, controls, False)


@dataclass(frozen=True, slots=True)
class Match:
    """`rows`: the lines of the shape. `starts`, `ends`: one array a slot; `literals`: where each literal begins.

    `escaped`: for each slot a mask of texts with a backslash, or None. `scans`: for each slot its numbers, where known.
    """

    rows: Any
    starts: list[Any]
    ends: list[Any]
    literals: list[Any]
    escaped: list[Any]
    scans: list[Scan | None]

    def narrowed(self, keep: Any) -> Match:
        """Only the lines of the mask `keep`."""
        starts, ends, literals, escaped = (
            [None if each is None else each[keep] for each in group]
            for group in (self.starts, self.ends, self.literals, self.escaped)
        )
        return Match(self.rows[keep], starts, ends, literals, escaped, [None] * len(self.scans))


def match(template: Template, lines: Lines, marks: Marks, rows: Any, depth_max: int) -> Match:
    """Those of `rows` (ascending indices) that have the shape and whose values are all valid."""
    rows = _keep(rows, (marks.count[rows] == template.quotes) & (marks.controls[rows] == template.controls))
    starts, ends = _places(template, lines, marks, rows)
    fits = np.ones(len(rows), bool)
    for at, literal in enumerate(template.literals):
        begin = ends[at - 1] if at else lines.start[rows]
        until = starts[at] if at < len(starts) else lines.end[rows]
        fits &= until - begin == len(literal)
    rows, starts, ends = _narrow(fits, rows, starts, ends)
    fits = np.ones(len(rows), bool)
    for at, literal in enumerate(template.literals):
        fits &= equals(lines.buffer, ends[at - 1] if at else lines.start[rows], literal)
    rows, starts, ends = _narrow(fits, rows, starts, ends)
    escaped: list[Any] = [None] * len(starts)
    scans: list[Scan | None] = [None] * len(starts)
    fits = np.ones(len(rows), bool)
    for at, slot in enumerate(template.slots):
        if not slot.string:
            found = scans[at] = scan(lines.buffer, starts[at], ends[at])
            fits &= _valid_literals(found, lines.buffer, starts[at], ends[at], depth_max - slot.depth)
        elif len(marks.backslashes):
            escaped[at] = _has(marks.backslashes, starts[at], ends[at])
            fits &= _valid_escapes(lines.buffer, starts[at], ends[at], escaped[at])
    shaped = Match(rows, starts, ends, [lines.start[rows], *ends], escaped, scans)
    return shaped if fits.all() else shaped.narrowed(fits)


def _places(template: Template, lines: Lines, marks: Marks, rows: Any) -> tuple[list[Any], list[Any]]:
    end = lines.end[rows]
    starts, ends = [], []
    for slot in template.slots:
        starts.append(marks.positions(rows, slot.quote) + slot.after)
        ends.append((end if slot.last else marks.positions(rows, slot.quote + 1)) - slot.before)
    return starts, ends


def _keep(values: Any, mask: Any) -> Any:
    return values if mask.all() else values[mask]


def _narrow(fits: Any, rows: Any, starts: list[Any], ends: list[Any]) -> tuple[Any, list[Any], list[Any]]:
    if fits.all():
        return rows, starts, ends
    return rows[fits], [each[fits] for each in starts], [each[fits] for each in ends]


def _has(positions: Any, start: Any, end: Any) -> Any:
    return np.searchsorted(positions, end) > np.searchsorted(positions, start)


def _valid_literals(found: Scan, buffer: Any, start: Any, end: Any, depth_max: int) -> Any:
    """Mask: is the text a JSON value without quotes, nested no deeper than `depth_max`, without blanks around it?"""
    good = found.json.copy()
    for row in np.flatnonzero(~good).tolist():
        text = bytes(buffer[start[row] : max(end[row], start[row])])
        good[row] = (_is_literal if len(text) <= _CACHED_BYTES_MAX else _is_literal.__wrapped__)(text, depth_max)
    return good


@lru_cache(maxsize=4096)
def _is_literal(text: bytes, depth_max: int) -> bool:
    if text in _WORDS:
        return True
    if text != text.strip() or text.count(b"{") + text.count(b"[") > depth_max:
        return False
    return _decodes(_ANY, text)


def _valid_escapes(buffer: Any, start: Any, end: Any, escaped: Any) -> Any:
    good = np.ones(len(start), bool)
    for row in np.flatnonzero(escaped).tolist():
        good[row] = _decodes(_TEXT, bytes(buffer[start[row] - 1 : end[row] + 1]))
    return good


def _decodes(decoder: msgspec.json.Decoder[Any], text: bytes) -> bool:
    try:
        decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
