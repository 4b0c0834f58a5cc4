"""Short ways to decode in tests, and rows as plain Python."""

from __future__ import annotations

from typing import Any

from tailrace.formats.base import Decoded, Format, Limits, Options
from tailrace.formats.decode import decode
from tailrace.model.fields import DEFAULT_FIELDS, RAW_SCHEMA, Fields
from tailrace.model.window import datetime_us, iso

LIMITS = Limits(line_bytes_max=4096, depth_max=8)
STAMP = "2026-11-22T10:00:00Z"


def decoded(
    body: bytes,
    format_: Format | str = "json",
    *,
    fields: Fields = DEFAULT_FIELDS,
    limits: Limits = LIMITS,
    options: Options | None = None,
) -> Decoded:
    """A decode whose result has been checked for what every result must be."""
    found = decode(body, format_, fields, limits, options)
    found.columns.validate(full=True)
    found.raw.validate(full=True)
    found.keys.validate(full=True)
    assert found.columns.schema == fields.block_schema()
    assert found.raw.schema == RAW_SCHEMA
    assert found.columns.num_rows == found.raw.num_rows == len(found.keys) == len(found.lines)
    bad = found.columns.column("verdict").to_pylist()
    for name in found.columns.column_names[1:]:
        values = found.columns.column(name).to_pylist()
        assert all(value is None for value, verdict in zip(values, bad, strict=True) if verdict)
    reasons = found.raw.column("reason").to_pylist()
    assert [reason is not None for reason in reasons] == [verdict != 0 for verdict in bad]
    return found


def rows(body: bytes | str, format_: Format | str = "json", **more: Any) -> list[dict[str, Any]]:
    """Each line as a dict, `timestamp` as ISO text."""
    text = body.encode() if isinstance(body, str) else body
    found = decoded(text, format_, **more).columns.to_pylist()
    for row in found:
        if row["timestamp"] is not None:
            row["timestamp"] = iso(datetime_us(row["timestamp"]))
    return found


def row(body: bytes | str, format_: Format | str = "json", **more: Any) -> dict[str, Any]:
    (found,) = rows(body, format_, **more)
    return found
