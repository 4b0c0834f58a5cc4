"""The model's rows as the HTTP API writes them, for comparison value by value."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_json_rows(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """Windows as ISO text with Z; floats as the decimal that their shortest text names (as JSON read with Decimal has them)."""
    return [[window_text(row[0]), *(_number(value) for value in row[1:])] for row in rows]


def window_text(us: int | None) -> str | None:
    if us is None:
        return None
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _number(value: Any) -> Any:
    return Decimal(repr(value)) if isinstance(value, float) else value
