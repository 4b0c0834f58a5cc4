"""Tokens to a block's typed columns: the casts, the verdicts that need them, and what goes back to `extra`.

Called by `decode` for every format. A value of the wrong type becomes null and is kept in `extra` under its field's name;
only the timestamp decides over a line.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.formats.arrays import (
    decimals,
    gather,
    integers,
    json_strings,
    json_text,
    stamps,
    with_members,
)
from tailrace.formats.base import ABSENT, PAD_BYTES, STRING, Limits, Lines, Record, Tokens, dead
from tailrace.formats.endpoints import templated
from tailrace.formats.numbers import UNITS_MAX, scaled, scan
from tailrace.formats.timestamps import instants
from tailrace.model.endpoint_rules import EndpointRule
from tailrace.model.fields import EXTRA, VERDICT, Field, FieldKind, Fields
from tailrace.model.verdict import Verdict

_INT32 = range(-(2**31), 2**31)


def build(
    lines: Lines, record: Record, fields: Fields, limits: Limits, rules: tuple[EndpointRule, ...] = ()
) -> pa.Table:
    """`Fields.block_schema()`, one row a line; sets the verdicts that depend on the timestamp."""
    buffer = _with_side(lines, record)
    stamped = _judge_timestamp(lines, record, fields, limits, buffer)
    bad = lines.verdict != 0
    if bad.any():
        for found in record.tokens.values():
            found.drop(bad)
    query = _cut_query(record.tokens["endpoint"], buffer) if "endpoint" in record.tokens else None
    columns: dict[str, pa.Array] = {}
    failed: list[tuple[str, Tokens, Any]] = []
    for each in fields.all:
        tokens = record.tokens[each.name]
        values, good = stamped if each.name == "timestamp" else _cast(each, tokens, buffer)
        columns[each.name] = _array(each, tokens, buffer, values, good)
        wrong = (tokens.kind != ABSENT) & ~good
        if wrong.any():
            failed.append((each.name, tokens, wrong))
    extra = _without(record.extra, bad)
    if query is not None:
        extra = with_members(extra, "query", query[0], json_strings(query[1]))
    if rules:
        columns["endpoint"], rows, paths = _templated(columns["endpoint"], rules)
        extra = with_members(extra, "path", rows, json_strings(paths))
    for name, tokens, wrong in failed:
        extra = _with_raw(extra, name, tokens, wrong, buffer)
    arrays = [pa.array(lines.verdict), *columns.values(), extra]
    return pa.Table.from_arrays(arrays, names=[VERDICT, *columns, EXTRA])


def _with_side(lines: Lines, record: Record) -> Any:
    """The buffer of the body, followed by the text beside it, padded anew."""
    if not record.side.parts:
        return lines.buffer
    side = np.frombuffer(b"".join([*record.side.parts, bytes(PAD_BYTES)]), np.uint8)
    return np.concatenate([lines.buffer[: lines.size], side])


def _judge_timestamp(lines: Lines, record: Record, fields: Fields, limits: Limits, buffer: Any) -> tuple[Any, Any]:
    field = fields.get("timestamp")
    tokens = record.tokens["timestamp"]
    micros, good = _instants(tokens, buffer, field.zone if field else "UTC")
    dead(lines, tokens.kind == ABSENT, Verdict.NO_TIMESTAMP)
    dead(lines, ~good, Verdict.BAD_TIMESTAMP)
    if limits.ahead_of_us is not None:
        dead(lines, micros > limits.ahead_of_us, Verdict.TOO_FAR_AHEAD)
    good &= lines.verdict == 0
    return micros, good


def _instants(tokens: Tokens, buffer: Any, zone: str) -> tuple[Any, Any]:
    present = tokens.kind != ABSENT
    if tokens.instants is None:
        return instants(buffer, tokens.start, tokens.end, present, zone)
    micros, good = tokens.instants
    return micros, good & present


def _cast(field: Field, tokens: Tokens, buffer: Any) -> tuple[Any, Any]:
    """(values, mask of those that fit) for a field's tokens; text has no values of its own."""
    present = tokens.kind != ABSENT
    if field.kind is FieldKind.TEXT:
        return None, present
    if field.kind is FieldKind.TIMESTAMP:
        return _instants(tokens, buffer, field.zone)
    exactly = field.kind is FieldKind.INTEGER
    low, high = (_INT32[0], _INT32[-1]) if exactly else (-UNITS_MAX, UNITS_MAX)
    found = tokens.numbers or scan(buffer, tokens.start, tokens.end)
    units, good, exact = found.units(field.scale + tokens.shift)
    good &= found.plain & present & (units >= low) & (units <= high)
    if exactly:
        good &= exact
    shift = np.broadcast_to(tokens.shift, present.shape)
    for row in np.flatnonzero(present & ~found.plain).tolist():
        value = scaled(bytes(buffer[tokens.start[row] : tokens.end[row]]), field.scale + int(shift[row]))
        if value is not None and low <= value[0] <= high and (value[1] or not exactly):
            units[row], good[row] = value[0], True
    return units, good


def typed(field: Field, tokens: Tokens, buffer: Any) -> tuple[pa.Array, Any]:
    """(the field's values, mask of those that fit) of tokens in the padded `buffer`."""
    values, good = _cast(field, tokens, buffer)
    return _array(field, tokens, buffer, values, good), good


def _array(field: Field, tokens: Tokens, buffer: Any, values: Any, good: Any) -> pa.Array:
    match field.kind:
        case FieldKind.TEXT:
            return gather(buffer, tokens.start, tokens.end, tokens.kind == ABSENT, pa.string())
        case FieldKind.INTEGER:
            return integers(values, good)
        case FieldKind.DECIMAL:
            return decimals(values, good, field.arrow_type)
        case FieldKind.TIMESTAMP:
            return stamps(values, good)


def _without(extra: pa.Array, bad: Any) -> pa.Array:
    if extra.null_count == len(extra) or not bad.any():
        return extra
    return pc.if_else(pa.array(bad), pa.scalar(None, pa.string()), extra)


def _cut_query(endpoint: Tokens, buffer: Any) -> tuple[Any, pa.Array] | None:
    """End the path where its query string begins. Returns (rows, query strings) for `extra`, less those that are empty."""
    marks = np.flatnonzero(buffer == ord("?"))
    if not len(marks):
        return None
    at = marks[np.minimum(np.searchsorted(marks, endpoint.start), len(marks) - 1)]
    cut = (at >= endpoint.start) & (at < endpoint.end) & (endpoint.kind == STRING)
    if not cut.any():
        return None
    rows = np.flatnonzero(cut & (endpoint.end > at + 1))
    nobody = np.zeros(len(rows), bool)
    queries = gather(buffer, at[rows] + 1, endpoint.end[rows], nobody, pa.string())
    endpoint.end = np.where(cut, at, endpoint.end)
    return rows, queries


def _templated(paths: pa.Array, rules: tuple[EndpointRule, ...]) -> tuple[pa.Array, Any, pa.Array]:
    """(endpoints, rows that a rule fitted, their paths)."""
    endpoints, rows = templated(paths, rules)
    return endpoints, rows, paths.take(pa.array(rows))


def _with_raw(extra: pa.Array, name: str, tokens: Tokens, wrong: Any, buffer: Any) -> pa.Array:
    """`extra` with the value that did not fit its field: the JSON it was, or its text as a JSON string."""
    rows = np.flatnonzero(wrong)
    raw = [bytes(buffer[tokens.start[row] : tokens.end[row]]).decode() for row in rows.tolist()]
    quoted = tokens.kind[rows] == STRING
    values = [json_text(text) if q else text for text, q in zip(raw, quoted.tolist(), strict=True)]
    return with_members(extra, name, rows, pa.array(values, pa.string()))
