"""A page of records, newest (or oldest) first: row groups are read in the order of their times, and no more of them than it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from tailrace.batch.evolution import quoted
from tailrace.errors import Invalid
from tailrace.model.fields import EXTRA, Fields
from tailrace.model.sequence import sequence_number
from tailrace.serving.search.asked import COLUMNS_MAX, Cursor, PageAsked, read_cursor
from tailrace.serving.search.ground import Part, Search, Wanted, instant_sql
from tailrace.serving.search.pieces import Piece, Times
from tailrace.serving.sql.values import json_values
from tailrace.views.dialects.duckdb.expression import print_expression
from tailrace.views.expression import ExtraText
from tailrace.views.scope import RecordScope

_FIRST_STEP, _STEP_MAX = 2, 32
"""Row groups that are read together: few at first, as most pages are full soon."""
PLACE = ("_shard", "_offset", "_arrived_at")


def search_page(search: Search, asked: PageAsked) -> dict[str, Any]:
    """Raises Invalid, SearchError, ViewError and what reading may raise."""
    cursor = read_cursor(asked.cursor) if asked.cursor else None
    search.take(cursor.position if cursor else asked.at)
    newest = asked.order == "newest"
    times = asked.times()
    if cursor:
        times = _after(times, cursor, newest)
    wanted = search.wanted(asked.query, asked.sql, times)
    names, columns = selected(search.fields, asked.columns)
    walk = _Walk(search, wanted, columns, asked.limit + 1, cursor, newest)
    found = walk.run(search.part(wanted))
    more = found.num_rows > asked.limit
    found = found.slice(0, asked.limit)
    return {
        "columns": [{"name": n, "type": t} for n, t in names],
        "rows": rows_of(search, found),
        "cursor": _cursor(found, search.position).text() if more else None,
        "position": search.position,
        "rows_scanned": walk.scanned,
    }


def _after(times: Times, cursor: Cursor, newest: bool) -> Times:
    if newest:
        return Times(times.first_us, min(times.end_us, cursor.at_us + 1))
    return Times(max(times.first_us, cursor.at_us), times.end_us)


def _cursor(found: pa.Table, position: str) -> Cursor:
    last = found.num_rows - 1
    at_us = found["_at_us"][last].as_py()
    return Cursor(at_us, found["_shard"][last].as_py(), found["_offset"][last].as_py(), position)


# -- columns and rows ----------------------------------------------------------------------------------------------------


def selected(fields: Fields, names: Sequence[str] | None) -> tuple[list[tuple[str, str]], str]:
    """Names and types of the columns of an answer, and the SQL that gives them, with a record's place last. Raises Invalid."""
    if names is not None and len(names) > COLUMNS_MAX:
        raise Invalid(f"there are more than `{COLUMNS_MAX}` columns", hint="ask for fewer")
    wanted = [*fields.names, EXTRA] if names is None else list(dict.fromkeys(names))
    scope = RecordScope(fields)
    found: list[tuple[str, str]] = []
    sql: list[str] = []
    for name in wanted:
        kind, text = column_sql(scope, name)
        found.append((name, kind))
        sql.append(f"{text} AS {quoted(name)}")
    place = [("_shard", "VARCHAR"), ("_sequence_number", "VARCHAR"), ("_arrived_at", "TIMESTAMP WITH TIME ZONE")]
    sql += [f"r.{quoted(name)}" for name in PLACE if name not in wanted]
    return [*found, *place], ", ".join([*sql, "epoch_us(r.timestamp) AS _at_us"])


def column_sql(scope: RecordScope, name: str) -> tuple[str, str]:
    """SQL type and text of a field, or of a value in `extra` by its dotted name. Raises Invalid."""
    if name == EXTRA:
        return "VARCHAR", f"r.{EXTRA}"
    field = scope.field(name)
    if field is not None:
        return field.sql_type, f"r.{quoted(field.name)}"
    path = tuple(name.removeprefix(f"{EXTRA}.").split("."))
    if name.startswith("_") or not all(path):
        raise Invalid(f"there is no field `{name[:100]}`", hint="GET what there is from /v1/search/fields")
    return "VARCHAR", print_expression(ExtraText(path))


def rows_of(search: Search, found: pa.Table) -> list[list[Any]]:
    """Rows with their place as the API names it."""
    shards = {shard.id: shard for shard in search.stream.shards()}
    hidden = {"_shard", "_offset", "_arrived_at", "_at_us"}
    columns = [json_values(found[name].combine_chunks()) for name in found.column_names if name not in hidden]
    ids, offsets = found["_shard"].to_pylist(), found["_offset"].to_pylist()
    numbers = [sequence_number(shards[s], o) for s, o in zip(ids, offsets, strict=True)]
    arrived = json_values(found["_arrived_at"].combine_chunks())
    return [list(row) for row in zip(*columns, ids, numbers, arrived, strict=True)]


# -- the walk ------------------------------------------------------------------------------------------------------------


class _Walk:
    """`scanned`: records of the row groups that were read."""

    def __init__(
        self, search: Search, wanted: Wanted, columns: str, limit: int, cursor: Cursor | None, newest: bool
    ) -> None:
        self.scanned = 0
        self._search = search
        self._columns = columns
        self._limit = limit
        self._newest = newest
        self._condition = " AND ".join([wanted.condition, *([_beyond(cursor, newest)] if cursor else [])])

    def run(self, part: Part) -> pa.Table:
        """The first `limit` records in order."""
        found: pa.Table | None = None
        ordered = sorted(part.pieces, key=self._edge, reverse=self._newest)
        for step, tail in _steps(ordered, part.tail):
            if found is not None and found.num_rows >= self._limit and self._settled(found, step, tail):
                break
            lines = part.rows - sum(p.rows for p in part.pieces) if tail else 0
            self.scanned += sum(piece.rows for piece in step) + lines
            read = self._read(Part(tuple(step), tail, 0))
            found = read if found is None else self._merged(found, read)
        return self._read(Part((), False, 0)) if found is None else found

    def _edge(self, piece: Piece) -> int:
        return piece.max_us if self._newest else piece.min_us

    def _settled(self, found: pa.Table, step: Sequence[Piece], tail: bool) -> bool:
        """Whether nothing that is left can come before the last record found."""
        last = found["_at_us"][self._limit - 1].as_py()
        if tail:
            return False
        edge = self._edge(step[0])
        return bool(edge < last if self._newest else edge > last)

    def _order(self) -> str:
        way = "DESC" if self._newest else "ASC"
        return f"ORDER BY r.timestamp {way}, r._shard {way}, r._offset {way} LIMIT {self._limit}"

    def _read(self, part: Part) -> pa.Table:
        relation = self._search.relation(part)
        return self._search.table(
            f"SELECT {self._columns} FROM {relation} AS r WHERE {self._condition} {self._order()}"
        )

    def _merged(self, one: pa.Table, other: pa.Table) -> pa.Table:
        way = "descending" if self._newest else "ascending"
        keys = [("_at_us", way), ("_shard", way), ("_offset", way)]
        return pa.concat_tables([one, other]).sort_by(keys).slice(0, self._limit)


def _steps(ordered: Sequence[Piece], tail: bool) -> Iterator[tuple[Sequence[Piece], bool]]:
    """What is read together; the stream's part, whose times nobody knows, with the first."""
    size, at = _FIRST_STEP, 0
    if tail and not ordered:
        yield (), True
    while at < len(ordered):
        yield ordered[at : at + size], tail and at == 0
        at += size
        size = min(2 * size, _STEP_MAX)


def _beyond(cursor: Cursor, newest: bool) -> str:
    sign = "<" if newest else ">"
    at = instant_sql(cursor.at_us)
    shard = "'" + cursor.shard.replace("'", "''") + "'"
    return (
        f"(r.timestamp {sign} {at} OR (r.timestamp = {at} AND (r._shard {sign} {shard} "
        f"OR (r._shard = {shard} AND r._offset {sign} {int(cursor.offset)}))))"
    )
