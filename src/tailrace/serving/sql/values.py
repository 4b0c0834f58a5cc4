"""A column of an answer as values that JSON has, whatever its type: also instants, days and times that Python's types cannot hold.

Numbers keep all their digits; what JSON has no number for (NaN, infinities) is text; instants, days and times are ISO 8601, instants
with Z where the type has a zone; intervals are ISO 8601 durations; blobs are base64.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice, pairwise
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.model.window import iso

_EXACT = msgspec.json.Encoder(decimal_format="number")
_DAY_US = 86_400_000_000
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_INFINITE_INSTANT = (1 << 63) - 1
_INFINITE_DAY = (1 << 31) - 1


def json_values(column: pa.Array) -> list[Any]:
    """One value a row, null as None."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return _instants(column)
    if pa.types.is_date32(kind):
        return [None if day is None else _day(day) for day in column.cast(pa.int32()).to_pylist()]
    if pa.types.is_time64(kind):
        per_us = _PER_SECOND[kind.unit] // 1_000_000
        return [None if at is None else _time(at, per_us) for at in column.cast(pa.int64()).to_pylist()]
    if pa.types.is_dictionary(kind):
        return json_values(column.dictionary_decode())
    if pa.types.is_nested(kind):
        return _nested(column)
    values: list[Any] = column.to_pylist()
    if pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
        return values
    return [_value(value) for value in values]


def text_values(column: pa.Array) -> list[str | None]:
    """The same as text: JSON text for what JSON does not have as text."""
    return [None if value is None else _text(value) for value in json_values(column)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _EXACT.encode(value).decode()


def _value(value: Any) -> Any:
    match value:
        case None:
            return None
        case float():
            return value if value - value == 0 else str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case pa.MonthDayNano():
            return f"P{value.months}M{value.days}DT{Decimal(value.nanoseconds).scaleb(-9).normalize():f}S"
        case _:
            return str(value)


# -- time ----------------------------------------------------------------------------------------------------------------


def _instants(column: pa.Array) -> list[str | None]:
    per_second = _PER_SECOND[column.type.unit]
    zone = "Z" if column.type.tz else ""
    texts: list[str | None] = []
    for number in column.cast(pa.int64()).to_pylist():
        if number is None:
            texts.append(None)
        elif abs(number) == _INFINITE_INSTANT:
            texts.append(_infinite(number))
        elif per_second == 1_000_000_000 and number % 1_000:
            second, rest = divmod(number, per_second)
            texts.append(f"{_local(second * 1_000_000)}.{rest:09d}{zone}")
        else:
            texts.append(_local(number * 1_000_000 // per_second) + zone)
    return texts


def _local(at_us: int) -> str:
    return iso(at_us).removesuffix("Z")


def _day(days: int) -> str:
    return _infinite(days) if abs(days) == _INFINITE_DAY else iso(days * _DAY_US).removesuffix("T00:00:00Z")


def _infinite(number: int) -> str:
    return "infinity" if number > 0 else "-infinity"


def _time(at: int, per_us: int) -> str:
    """`10:00:00`, with six or nine digits of a second where there are any. The end of a day is `24:00:00`."""
    second, rest = divmod(at, 1_000_000 * per_us)
    clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    if rest % per_us:
        return f"{clock}.{rest:09d}"
    return f"{clock}.{rest // per_us:06d}" if rest else clock


# -- values in values ----------------------------------------------------------------------------------------------------


def _nested(column: pa.Array) -> list[Any]:
    """By columns, never by rows: one value that Python cannot hold would fail the whole row."""
    kind = column.type
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        rows = zip(*(json_values(child) for child in column.flatten()), strict=True)
        return _where_valid(column, [dict(zip(names, row, strict=True)) for row in rows])
    if pa.types.is_map(kind):
        keys = [_text(key) for key in json_values(column.keys)]
        items = json_values(column.items)
        return _where_valid(column, [dict(zip(keys[a:b], items[a:b], strict=True)) for a, b in _spans(column)])
    if pa.types.is_fixed_size_list(kind):
        left = iter(json_values(column.flatten()))  # without those of null rows
        lengths = pc.list_value_length(column).to_pylist()
        return [None if length is None else list(islice(left, length)) for length in lengths]
    if pa.types.is_union(kind):
        members = [json_values(column.field(number)) for number in range(kind.num_fields)]
        return [members[code][row] for row, code in enumerate(column.type_codes.to_pylist())]
    items = json_values(column.values)
    return _where_valid(column, [items[a:b] for a, b in _spans(column)])


def _spans(column: pa.Array) -> Iterator[tuple[int, int]]:
    """First and end of each row's items."""
    return pairwise(column.offsets.to_pylist())


def _where_valid(column: pa.Array, values: list[Any]) -> list[Any]:
    return [value if valid else None for value, valid in zip(values, column.is_valid().to_pylist(), strict=True)]
