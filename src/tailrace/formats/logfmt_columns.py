"""logfmt lines that have the same keys in the same order, whole columns at a time. Called by `logfmt`.

The keys of the first line that is left are the shape; in the others each key is compared byte for byte at the places that blanks
outside quotes give. Lines with a backslash, a control byte or a bare `null` are left to `logfmt`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tailrace.formats.arrays import gather, json_objects, json_strings
from tailrace.formats.base import LITERAL, STRING, Lines, Side
from tailrace.formats.json_match import Marks, mark
from tailrace.formats.parts import Part, Place
from tailrace.formats.words import equals
from tailrace.model.sources import Source

_ROWS_MIN = 24
"""Fewer lines than this are read one at a time: a shape would cost more than it saves."""
_ROWS_WORTH = 128
"""A shape with fewer lines than this did not pay; after `_POOR_MAX` of them the rest is read one at a time."""
_POOR_MAX = 8
_KEYS_MAX = 96
_QUOTE, _BLANK = ord('"'), ord(" ")

Pairs = Callable[[bytes], "list[re.Match[bytes]] | None"]


@dataclass(frozen=True, slots=True)
class _Blanks:
    """`at`: positions of the blanks outside quotes; `first`, `count`: those of each line among them."""

    at: Any
    first: Any
    count: Any


def read_columns(lines: Lines, rows: Any, plan: tuple[Source, ...], side: Side, pairs: Pairs) -> tuple[Any, list[Part]]:
    """(lines that no shape took, what the others held). `pairs`: those of one line, or None."""
    if len(rows) < _ROWS_MIN:
        return rows, []
    marks = mark(lines)
    plain = _plain(lines, marks)
    left, alone = rows[plain[rows]], [rows[~plain[rows]]]
    blanks = _blanks(lines, marks, plain)
    parts: list[Part] = []
    poor = 0
    while len(left) >= _ROWS_MIN and poor < _POOR_MAX:
        keys = _keys(lines.text(int(left[0])), pairs)
        found, places = _match(lines, marks, blanks, left, keys) if keys else (left[:0], [])
        poor += len(found) < _ROWS_WORTH
        if not keys or not len(found):
            alone.append(left[:1])
            left = left[1:]
            continue
        parts.append(_read(lines, found, keys, places, plan, side))
        left = left[:0] if len(found) == len(left) else np.setdiff1d(left, found, assume_unique=True)
    return np.sort(np.concatenate([left, *alone])), parts


def _plain(lines: Lines, marks: Marks) -> Any:
    """Mask: lines whose quotes come in pairs, without backslashes and control bytes."""
    plain = (marks.controls == 0) & (marks.count % 2 == 0)
    if len(marks.backslashes):
        plain &= np.searchsorted(marks.backslashes, lines.end) == np.searchsorted(marks.backslashes, lines.start)
    return plain


def _blanks(lines: Lines, marks: Marks, plain: Any) -> _Blanks:
    """Right for the `plain` lines only."""
    quotes = marks.quotes if plain.all() else marks.quotes[np.repeat(plain, marks.count)]
    blanks = np.flatnonzero(lines.buffer[: lines.size] == _BLANK)
    if len(quotes):
        blanks = blanks[np.searchsorted(quotes, blanks) % 2 == 0]
    first = np.searchsorted(blanks, lines.start)
    return _Blanks(blanks, first, np.searchsorted(blanks, lines.end) - first)


def _keys(text: bytes, pairs: Pairs) -> tuple[bytes, ...] | None:
    """The shape of a line: its keys, each with its `=`. None: it has none, or one that is better read alone."""
    found = pairs(text)
    if not found or len(found) > _KEYS_MAX or not any(pair[2] for pair in found):
        return None
    names = {pair[1] for pair in found}
    return tuple(pair[1] + (pair[2] or b"") for pair in found) if len(names) == len(found) else None


def _match(
    lines: Lines, marks: Marks, blanks: _Blanks, rows: Any, keys: tuple[bytes, ...]
) -> tuple[Any, list[tuple[Any, Any]]]:
    """Those of `rows` that have these keys, and start and end of each value in them."""
    text = lines.buffer
    rows = rows[blanks.count[rows] == len(keys) - 1]
    fits, quotes = np.ones(len(rows), bool), np.zeros(len(rows), np.int64)
    places = []
    for at, key in enumerate(keys):
        start = blanks.at[blanks.first[rows] + at - 1] + 1 if at else lines.start[rows]
        until = blanks.at[blanks.first[rows] + at] if at < len(keys) - 1 else lines.end[rows]
        fits &= equals(text, start, key)
        if not key.endswith(b"="):
            fits &= until - start == len(key)
            places.append((start, until))
            continue
        start = np.minimum(start + len(key), until)
        quoted = text[start] == _QUOTE
        fits &= ~quoted | ((until - start >= 2) & (text[until - 1] == _QUOTE))
        fits &= (until - start != len(b"null")) | ~equals(text, start, b"null")
        quotes += 2 * quoted
        places.append((start + quoted, until - quoted))
    fits &= quotes == marks.count[rows]
    return rows[fits], [(start[fits], end[fits]) for start, end in places]


def _read(
    lines: Lines,
    rows: Any,
    keys: tuple[bytes, ...],
    places: list[tuple[Any, Any]],
    plan: tuple[Source, ...],
    side: Side,
) -> Part:
    held = {key.removesuffix(b"=").decode(): (key, place) for key, place in zip(keys, places, strict=True)}
    fields: dict[str, Place] = {}
    for source in plan:
        chosen = next((key for key in source.keys if key in held), None)
        if chosen is not None:
            key, (start, end) = held.pop(chosen)
            kind = STRING if key.endswith(b"=") else LITERAL
            if kind == LITERAL:
                start = np.full(len(rows), side.add(b"true"))
                end = start + len(b"true")
            fields[source.field] = (start, end, np.full(len(rows), kind, np.uint8), None)
    nobody = np.zeros(len(rows), bool)
    rest: list[tuple[str, pa.Array]] = []
    for name, (key, place) in held.items():
        if key.endswith(b"="):
            rest.append((name, json_strings(gather(lines.buffer, *place, nobody, pa.string()))))
        else:
            rest.append((name, pa.repeat("true", len(rows))))
    return rows, fields, json_objects(rest, len(rows))
