"""logfmt: `key=value key="quoted \\"value\\"" flag`, as Go's loggers and Heroku write it. Registered in `decode`.

A line means the JSON object with the same members, so fields, aliases and `extra` are those of JSON: a value is a text, a key
alone is `true`, and `null` without quotes is null. Keys end at a blank, `=` or `"`; a value without quotes may hold `=`, not `"`.
Quoted text has the escapes of JSON and of Go's `%q`. A line without any `key=value` is none. Many lines with the same keys are
read a column at a time (`logfmt_columns`), to the same outcome (property test).
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import numpy as np

from tailrace.formats.arrays import json_text
from tailrace.formats.base import Limits, Lines, Options, Record, Side
from tailrace.formats.json_careful import Members, tokenize_rows
from tailrace.formats.logfmt_columns import read_columns
from tailrace.formats.parts import joined
from tailrace.model.fields import Fields
from tailrace.model.sources import sources
from tailrace.model.verdict import Verdict

# Every part is possessive, so that no line, however made, costs more than its length.
_PAIR = re.compile(
    rb'[\x00-\x20]*+([^\x00-\x20="]++)(?:(=)(?:"((?:[^"\\]|\\.)*+)"|([^\x00-\x20"]*+)))?(?=[\x00-\x20]|\Z)', re.DOTALL
)
_BLANK = bytes(range(0x21))
_ESCAPE = re.compile(
    r'\\(?:(["\\/\'])|([abfnrtv])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})(?:\\u([dD][c-fC-F][0-9a-fA-F]{2}))?|U([0-9a-fA-F]{8})|(.|\Z))',
    re.DOTALL,
)
_CONTROLS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_REPLACEMENT = "\ufffd"


class _BadEscapeError(ValueError):
    """A backslash before something that is no escape."""


def tokenize(lines: Lines, fields: Fields, limits: Limits, options: Options) -> Record:
    """Lines with the same keys together, the others one at a time."""
    plan, side = sources(fields), Side(lines.size)
    left, parts = read_columns(lines, np.flatnonzero(lines.verdict == 0), plan, side, pairs)
    if len(left):
        parts.append((left, *tokenize_rows(lines, left, plan, members, side)))
    return joined(parts, fields.names, lines.count, side)


def members(line: bytes) -> Members | Verdict:
    """The members of a line (raw JSON text by key). Of keys that repeat, the last counts."""
    found = pairs(line)
    if found is None or not any(pair[2] for pair in found):
        return Verdict.MALFORMED
    try:
        return {pair[1].decode(): msgspec.Raw(_value(pair)) for pair in found}
    except _BadEscapeError:
        return Verdict.MALFORMED


def pairs(line: bytes) -> list[re.Match[bytes]] | None:
    """Matches with the groups key, `=`, quoted text, bare text; None if the line is not made of such."""
    found: list[re.Match[bytes]] = []
    at, end = 0, len(line.rstrip(_BLANK))
    while at < end:
        pair = _PAIR.match(line, at)
        if pair is None:
            return None
        found.append(pair)
        at = pair.end()
    return found


def _value(pair: re.Match[bytes]) -> bytes:
    """JSON text."""
    if pair[2] is None:
        return b"true"
    if pair[3] is None:
        return b"null" if pair[4] == b"null" else json_text(pair[4].decode()).encode()
    text = pair[3].decode()
    return json_text(_ESCAPE.sub(_unescaped, text) if "\\" in text else text).encode()


def _unescaped(escape: re.Match[str]) -> str:
    same, control, byte, unit, low, point, other = escape.groups()
    if same is not None or control is not None:
        return same or _CONTROLS[control]
    if other is not None:
        raise _BadEscapeError(escape[0])
    if byte is not None:
        return chr(int(byte, 16)) if int(byte, 16) < 0x80 else _REPLACEMENT
    if low is not None and unit[0] in "dD" and unit[1] in "89abAB":
        return chr(0x10000 + ((int(unit, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    return _character(int(unit or point, 16)) + (_REPLACEMENT if low is not None else "")


def _character(point: int) -> str:
    """Half a surrogate pair, or no code point at all, is U+FFFD."""
    return _REPLACEMENT if 0xD800 <= point < 0xE000 or point > 0x10FFFF else chr(point)


def rendered(values: dict[str, Any]) -> bytes:
    """A line that is read back as these members: texts, True (a key alone) or None (`null`). Keys must be keys of logfmt."""
    return b" ".join(_rendered(key, value) for key, value in values.items())


def _rendered(key: str, value: Any) -> bytes:
    if value is True:
        return key.encode()
    return f"{key}={'null' if value is None else json_text(value)}".encode()
