"""Pinned results: what is kept of an answer, and whether the same comes out again. Pure but for the store's own rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import msgspec

from tailrace.errors import Invalid
from tailrace.model.window import instant_us, iso

LIVE, DIFFERS, ARCHIVED, UNCHECKED = "equal", "differs", "archived", "unchecked"
"""What may come of looking a pin up, as its metric counts them."""


class Answered(msgspec.Struct, kw_only=True):
    """An answer of a view, of now or of a position, its values left as the JSON they are, so that no digit can change."""

    version: str
    columns: msgspec.Raw
    rows: msgspec.Raw
    others: int
    truncated: bool
    kept_from: str | None
    position: dict[str, str | None]
    position_token: str
    source: msgspec.Raw = msgspec.Raw(b"null")


class Result(msgspec.Struct, kw_only=True):
    """What a pin keeps of an answer."""

    columns: msgspec.Raw
    rows: msgspec.Raw
    others: int
    truncated: bool


class Difference(msgspec.Struct, kw_only=True):
    """Where an answer that was computed again is another one. `row`: the first that differs, from 0; None: not the rows do."""

    stored_rows: int
    recomputed_rows: int
    row: int | None = None
    stored: list[Any] | None = None
    recomputed: list[Any] | None = None


def absolute(query: Mapping[str, Any], now_us: int) -> dict[str, str]:
    """A pin's query as parameters of `/v1/views/{name}`, with `from` and `to` of now. Raises Invalid."""
    params = {name: _text(name, value) for name, value in query.items() if value is not None}
    for name in ("from", "to"):
        if name in params:
            params[name] = iso(instant_us(params[name], now_us))
    return params


def _text(name: str, value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int():
            return str(value)
        case list() if name in ("columns", "keys") and all(isinstance(each, str) for each in value):
            return ",".join(value)
        case dict() if name == "at":
            return msgspec.json.encode(value).decode()
        case _:
            raise Invalid(f"`{name}` of the query is neither text nor a number", hint="write it as in /v1/views/{name}")


def result_of(answered: Answered) -> bytes:
    kept = Result(columns=answered.columns, rows=answered.rows, others=answered.others, truncated=answered.truncated)
    return msgspec.json.encode(kept)


def count_rows(answered: Answered) -> int:
    return len(msgspec.json.decode(answered.rows, type=list[msgspec.Raw]))


def compared(stored: bytes, found: bytes) -> Difference | None:
    """None if both results hold the same values, digit by digit; how JSON writes them may change with time."""
    if stored == found:
        return None
    before, after = _values(stored), _values(found)
    if before == after:
        return None
    left, right = before["rows"], after["rows"]
    row = next((n for n, (a, b) in enumerate(zip_longest(left, right)) if a != b), None)
    return Difference(
        stored_rows=len(left),
        recomputed_rows=len(right),
        row=row,
        stored=_row(left, row),
        recomputed=_row(right, row),
    )


def _values(result: bytes) -> dict[str, Any]:
    """Every number exactly."""
    found: dict[str, Any] = json.loads(result, parse_float=Decimal)
    return found


def _row(rows: list[Any], at: int | None) -> list[Any] | None:
    return rows[at] if at is not None and at < len(rows) else None
