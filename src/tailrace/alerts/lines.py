"""The newest records behind an alert: those that its view counts, of its key, that the rule's `lines` is true for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tailrace.alerts.rule import Rule
from tailrace.errors import TailraceError
from tailrace.model.fields import Fields
from tailrace.serving.follower import Follower
from tailrace.serving.tail import TailBuffer, TailPage, tail_table
from tailrace.views import CompiledView
from tailrace.views.dialects.duckdb.engine import registered, rows_as_arrow, thread_engine
from tailrace.views.dialects.duckdb.expression import print_expression
from tailrace.views.record_filter import bind_record_filter
from tailrace.views.stream import LOGS

LINES_MAX, CHARS_MAX = 5, 500
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class Lines:
    """Any thread may ask."""

    def __init__(self, follower: Follower, fields: Fields) -> None:
        self._follower = follower
        self._fields = fields

    def of(self, rule: Rule, key: Mapping[str, str | None], limit: int = LINES_MAX) -> list[str]:
        """As JSON, newest first; empty where none is among the newest records that the node holds, or none can be told."""
        try:
            condition = self._condition(rule, key)
            return newest(self._follower.tail, condition, limit) if condition is not None else []
        except TailraceError:
            return []

    def _condition(self, rule: Rule, key: Mapping[str, str | None]) -> str | None:
        parts: list[str] = []
        if rule.lines:
            parts.append(print_expression(bind_record_filter(rule.lines, self._fields)))
        if rule.stream:
            if rule.stream.lower() != LOGS:
                parts += [print_expression(c) for c in self._follower.catalog.state.stream(rule.stream).conditions]
            if rule.where:
                parts.append(print_expression(bind_record_filter(rule.where, self._fields)))
        elif rule.view:
            pinned = self._follower.pinned
            view = pinned.views.get(rule.view) if pinned else None
            if view is None:
                return None
            parts += view_conditions(view, key)
        else:
            return None
        return " AND ".join(f"({part})" for part in parts) or "true"


def view_conditions(view: CompiledView, key: Mapping[str, str | None]) -> list[str]:
    """What a record fulfils that the view counts under `key`."""
    parts = [] if view.where is None else [print_expression(view.where)]
    for column in view.keys:
        if column.name in key:
            value = key[column.name]
            text = "NULL" if value is None else "'" + value.replace("'", "''") + "'"
            parts.append(f"CAST({print_expression(column.expression)} AS VARCHAR) IS NOT DISTINCT FROM {text}")
    return parts


def newest(buffer: TailBuffer, condition: str, limit: int) -> list[str]:
    page: TailPage = buffer.after(-1_000_000_000)
    found: list[str] = []
    connection = thread_engine()
    for block in reversed(page.blocks):
        with registered(connection, alert_records=tail_table(block)):
            sql = f"SELECT * FROM alert_records AS r WHERE {condition} ORDER BY _offset DESC LIMIT {limit - len(found)}"
            found += [_line(row) for row in rows_as_arrow(connection, sql).to_pylist()]
        if len(found) >= limit:
            break
    return found


def _line(row: Mapping[str, Any]) -> str:
    shown = {name: value for name, value in row.items() if value is not None and not name.startswith("_")}
    text = _ENCODER.encode(shown).decode()
    return text if len(text) <= CHARS_MAX else text[: CHARS_MAX - 1] + "\N{HORIZONTAL ELLIPSIS}"
