"""One JSON line at a time: the meaning of a line, against which the fast way (`json_template`) is tested.

msgspec's parser is strict about RFC 8259; UTF-8 was checked before. Two things that real writers do are let through:
`NaN` and `Infinity` as values count as the strings of that name, and the escape of half a surrogate pair as U+FFFD.
Of keys that repeat, the last counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from tailrace.formats.arrays import json_text
from tailrace.formats.base import ABSENT, LITERAL, STRING, Lines, Side
from tailrace.formats.lines import unescaped_quotes
from tailrace.formats.parts import Place
from tailrace.model.sources import Source
from tailrace.model.verdict import Verdict

_CACHED_KEY_MAX = 64
Members = dict[str, msgspec.Raw]
"""Raw JSON text by key."""

_MEMBERS = msgspec.json.Decoder(Members)
_ANY = msgspec.json.Decoder(msgspec.Raw)
# A string that is never closed reaches to the end, possessively: a search that tried again at each of its quotes would be
# quadratic in the length of the line.
_STRING_OR_WORD = re.compile(rb'"(?:[^"\\]|\\.)*+"?|(?<![\w.+-])(?:NaN|-?Infinity)(?=[ \t\r\n]*[,}\]])', re.DOTALL)
_BRACKETS = np.zeros(256, np.int64)
_BRACKETS[list(b"{[")], _BRACKETS[list(b"}]")] = 1, -1
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)


def members(line: bytes, depth_max: int) -> Members | Verdict:
    """The members of a line's object (raw JSON text by key), or why there are none."""
    if line.count(b"{") + line.count(b"[") > depth_max and depth(line) > depth_max:
        return Verdict.TOO_DEEP
    for text in (line, None):
        try:
            return _MEMBERS.decode(_mended(line) if text is None else text)
        except (msgspec.ValidationError, msgspec.DecodeError, RecursionError):
            continue
    try:
        _ANY.decode(_mended(line))
    except (msgspec.DecodeError, RecursionError):
        return Verdict.MALFORMED
    return Verdict.NOT_AN_OBJECT


def depth(line: bytes) -> int:
    """The deepest nesting of brackets outside strings."""
    text = np.frombuffer(line + b"\0", np.uint8)
    quotes = unescaped_quotes(text)
    brackets = np.flatnonzero(_BRACKETS[text] != 0)
    outside = brackets[np.searchsorted(quotes, brackets) % 2 == 0]
    return int(np.cumsum(_BRACKETS[text[outside]]).max(initial=0))


def _mended(line: bytes) -> bytes:
    """`line` with bare NaN and Infinity as strings and half surrogate pairs as U+FFFD."""
    if b"NaN" not in line and b"Infinity" not in line and b"\\u" not in line:
        return line
    return _STRING_OR_WORD.sub(_mend, line)


def _mend(match: re.Match[bytes]) -> bytes:
    found = match[0]
    if not found.startswith(b'"'):
        return b'"' + found + b'"'
    return _ESCAPE.sub(lambda escape: b"\\ufffd" if escape[1] else escape[0], found) if b"\\u" in found else found


def tokenize_rows(
    lines: Lines, rows: Any, plan: tuple[Source, ...], read: Callable[[bytes], Members | Verdict], side: Side
) -> tuple[dict[str, Place], pa.Array]:
    """Fields of the lines `rows`: (start, end, kind, None) by field name, and `extra`. Text goes to `side`; sets verdicts.

    `read`: the members of one line, or why it has none.
    """
    texts: list[bytes] = []
    kinds = bytearray()
    extra: list[str | None] = []
    choices = [(source.own, source.keys[1:]) for source in plan]
    for row in rows.tolist():
        found = read(lines.text(row))
        if isinstance(found, Verdict):
            lines.verdict[row] = found
            found = {}
        for own, aliases in choices:
            text = _take(found, own, aliases)
            if text[:1] == b'"':
                kinds.append(STRING)
                texts.append(unquoted(text))
            else:
                kinds.append(LITERAL if text else ABSENT)
                texts.append(text)
        extra.append(rest_as_json(found))
    size = np.fromiter(map(len, texts), np.int64, len(texts))
    end: Any = side.base + side.size + np.cumsum(size)
    side.extend(texts)
    start, end = (each.reshape(len(rows), len(plan)) for each in (end - size, end))
    kind = np.frombuffer(kinds, np.uint8).reshape(len(rows), len(plan))
    columns: dict[str, Place] = {
        source.field: (start[:, at], end[:, at], kind[:, at].copy(), None) for at, source in enumerate(plan)
    }
    return columns, pa.array(extra, pa.string())


def _take(found: Members, own: str, aliases: tuple[str, ...]) -> bytes:
    """Take a field's value out of `found`; empty if there is none. A null under the field's own key counts as missing."""
    raw = found.pop(own, None)
    if raw is not None and (text := bytes(raw)) != b"null":
        return text
    for key in aliases:
        if key in found and (text := bytes(found[key])) != b"null":
            del found[key]
            return text
    return b""


def unquoted(token: bytes) -> bytes:
    """The text of a valid JSON string."""
    if b"\\" not in token:
        return token[1:-1]
    return msgspec.json.decode(token, type=str).encode()


def rest_as_json(found: Members) -> str | None:
    """What no field took, as one object in the order it came."""
    if not found:
        return None
    return "{" + ",".join(f"{_key(key)}:{bytes(raw).decode()}" for key, raw in found.items()) + "}"


def _key(key: str) -> str:
    return _cached_key(key) if len(key) <= _CACHED_KEY_MAX else json_text(key)


@lru_cache(maxsize=4096)
def _cached_key(key: str) -> str:
    return json_text(key)
