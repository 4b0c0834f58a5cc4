"""The formats by name, and the whole way from a body to a block's columns. Called by ingest for each post.

Registering a format: one entry in FORMATS, and its name in `model.line_format`; the settings may define more.
A body is worked on in chunks, so that memory and cache use do not grow with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.errors import Invalid
from tailrace.formats import clf, json, json_frame, logfmt
from tailrace.formats.arrays import gather
from tailrace.formats.base import Decoded, Format, Limits, Lines, Options
from tailrace.formats.columns import build
from tailrace.formats.lines import frame_lines, judge_bytes, part
from tailrace.formats.regex import regex_format
from tailrace.model.fields import EXTRA, RAW_SCHEMA, FieldKind, Fields
from tailrace.model.line_format import LineFormat
from tailrace.model.verdict import REASONS, Verdict

_JSON = Format("json", "NDJSON, a JSON array, or one object", json_frame.frame, json.tokenize)
_ACCESS = tuple(
    Format(name, f"access log of nginx or Apache ({about}), response time at the end or not", frame_lines, clf.tokenize)
    for name, about in (("combined", "Combined or Common"), ("common", "the same"), ("clf", "the same"))
)
_LOGFMT = Format("logfmt", 'key=value key="quoted value", as Go\'s loggers write it', frame_lines, logfmt.tokenize)

FORMATS: dict[str, Format] = {each.name: each for each in (_JSON, *_ACCESS, _LOGFMT)}

_CHUNK_BYTES = 4 << 20
_REASONS = pa.array([None if verdict == 0 else REASONS[verdict] for verdict in Verdict], pa.string())


def known_formats(defined: Sequence[LineFormat] = ()) -> dict[str, Format]:
    """By name: the formats that are built in, and those that the settings define."""
    return FORMATS | {each.name: regex_format(each) for each in defined}


def known_format(name: str, defined: Sequence[LineFormat] = ()) -> Format:
    """Raises Invalid, naming the formats there are."""
    found = FORMATS.get(name) or next((regex_format(each) for each in defined if each.name == name), None)
    if found is None:
        raise Invalid(f"format `{name}` is not known", hint=f"use one of: {', '.join(sorted(known_formats(defined)))}")
    return found


def decode(
    body: bytes | memoryview, format_: Format | str, fields: Fields, limits: Limits, options: Options | None = None
) -> Decoded:
    """Every non-blank line of `body` as one row, good or dead. Raises Invalid only for a name of a format that is not known."""
    chosen = known_format(format_) if isinstance(format_, str) else format_
    return decode_lines(chosen.frame(body), chosen, fields, limits, options or Options())


def decode_lines(lines: Lines, chosen: Format, fields: Fields, limits: Limits, options: Options) -> Decoded:
    """Every one of the framed `lines` as one row, good or dead. Those that have a verdict already keep it."""
    judge_bytes(lines, limits)
    chunks = [_decode_chunk(chunk, chosen, fields, limits, options) for chunk in _chunks(lines)]
    columns = pa.concat_tables([fields.block_schema().empty_table()] if not chunks else [each[0] for each in chunks])
    raw = pa.concat_tables([RAW_SCHEMA.empty_table()] if not chunks else [each[1] for each in chunks])
    keys = pa.concat_arrays([pa.array([], pa.string()), *(each[2] for each in chunks)])
    if len(chunks) > 1:
        columns, raw = columns.combine_chunks(), raw.combine_chunks()
    return Decoded(columns, raw, keys, lines.number)


def with_whole(decoded: Decoded, lines: Lines, start: Any, end: Any) -> Decoded:
    """`decoded` with the bytes at `start`..`end` of the buffer of `lines` as the raw lines: what was read is only part of them."""
    raw = gather(lines.buffer, start, end, np.zeros(lines.count, bool), pa.binary())
    return replace(decoded, raw=decoded.raw.set_column(0, RAW_SCHEMA.field(0), raw))


def _chunks(lines: Lines) -> Iterator[Lines]:
    """The lines in order, about _CHUNK_BYTES at a time."""
    if lines.count and lines.size <= _CHUNK_BYTES:
        yield lines
        return
    first = 0
    while first < lines.count:
        last = int(np.searchsorted(lines.start, lines.start[first] + _CHUNK_BYTES))
        yield part(lines, first, last)
        first = last


def _decode_chunk(
    lines: Lines, chosen: Format, fields: Fields, limits: Limits, options: Options
) -> tuple[pa.Table, pa.Table, pa.Array]:
    record = chosen.tokenize(lines, fields, limits, options)
    columns = build(lines, record, fields, limits, options.endpoint_rules).cast(fields.block_schema())
    nobody = np.zeros(lines.count, bool)
    raw = gather(lines.buffer, lines.start, lines.end, nobody, pa.binary())
    reason = _REASONS.take(pa.array(lines.verdict)) if lines.verdict.any() else pa.nulls(lines.count, pa.string())
    return (
        columns,
        pa.Table.from_arrays([raw, reason], schema=RAW_SCHEMA),
        field_texts(columns, fields, options.key_field),
    )


def field_texts(columns: pa.Table, fields: Fields, name: str) -> pa.Array:
    """The text of a field, typed or from `extra`; null where it is missing."""
    field = fields.get(name)
    if field is not None:
        values = columns.column(name).combine_chunks()
        return values if field.kind is FieldKind.TEXT else pc.cast(values, pa.string())
    extra = columns.column(EXTRA)
    if extra.null_count == len(extra):
        return pa.nulls(len(extra), pa.string())
    return pa.array([_member_text(text, name) for text in extra.to_pylist()], pa.string())


def _member_text(extra: str | None, name: str) -> str | None:
    if extra is None:
        return None
    value: Any = msgspec.json.decode(extra, type=dict[str, msgspec.Raw]).get(name)
    if value is None:
        return None
    text = bytes(value)
    return msgspec.json.decode(text, type=str) if text[:1] == b'"' else text.decode()
