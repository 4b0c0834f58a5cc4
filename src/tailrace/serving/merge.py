"""view(query) = finalize( merge( batch segments up to the frontier, speed segments after it ) ).

The two sides meet here and nowhere else. Every row of either is a mergeable state, so the merge is one GROUP BY in which
order and grouping cannot matter; the numbers are made only after it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from tailrace.errors import Corrupt, Invalid
from tailrace.model.window import iso
from tailrace.serving.pin import Pinned
from tailrace.states.segment import Segment, checked_file
from tailrace.states.tables import concat_states
from tailrace.views import CompiledView
from tailrace.views.dialects.duckdb import finalize_statement, schemas
from tailrace.views.dialects.duckdb.engine import open_engine, rows_as_arrow

ROWS_MAX = 50_000
"""Rows of one answer, unless asked for fewer."""
STEP_DAYS_MAX = 3650


@dataclass(frozen=True, slots=True)
class ViewQuery:
    """What is asked of a view. Times in microseconds; windows that start in [from_us, to_us).

    `step_us`: coarser windows, a multiple of the view's. `total`: all windows merged to one row a key. `top`: (column, n): the n
    largest keys by that column, all others merged exactly into one row. `top_key`: rank by this key column alone, the others keep
    their other keys. `where`: SQL over the key columns.
    """

    from_us: int | None = None
    to_us: int | None = None
    step_us: int | None = None
    total: bool = False
    where: str | None = None
    top: tuple[str, int] | None = None
    top_key: str | None = None
    limit: int = ROWS_MAX


@dataclass(frozen=True, slots=True)
class ViewAnswer:
    """Rows in the view's SELECT order, ordered by window and keys. `others`: keys merged into the row of null keys."""

    view: CompiledView
    columns: tuple[str, ...]
    table: pa.Table
    others: int
    truncated: bool


class Merger:
    """Answers queries from pinned states with an in-memory DuckDB; any thread may call, each gets a connection of its own."""

    def __init__(self, states_dir: Path, threads: int = 2) -> None:
        self._states_dir = states_dir
        self._root = open_engine(threads)
        self._local = threading.local()

    def answer(self, pinned: Pinned, name: str, query: ViewQuery) -> ViewAnswer:
        """Raises NotFound, Unavailable, Invalid (a filter or step the view cannot answer), Corrupt (a segment is damaged)."""
        view, states = pinned.view(name)
        _check_step(view, query)
        segments = [s for s in states.segments if s.overlaps(query.from_us, query.to_us)]
        speed = [part for epoch in pinned.speed.of(view.version).epochs for part in epoch.parts]
        return self.finalize(view, segments, concat_states(speed, schemas(view)), query)

    def finalize(
        self, view: CompiledView, segments: Sequence[Segment], speed: Mapping[str, pa.Table], query: ViewQuery
    ) -> ViewAnswer:
        """Merge batch `segments` with `speed` states (either may be empty) and finalize."""
        connection = self._connection()
        names = {table: f"merge_{table}" for table in schemas(view)}
        try:
            for table, relation in names.items():
                connection.register(f"speed_{table}", speed[table])
                connection.execute(
                    f"CREATE OR REPLACE TEMP VIEW {relation} AS {self._both_sides(table, segments, speed)}"
                )
            statement = finalize_statement(
                view,
                scalars=names["scalars"],
                bins=names.get("bins"),
                registers=names.get("registers"),
                step_us=query.step_us,
                total=query.total,
                where=query.where,
                time_from=query.from_us,
                time_to=query.to_us,
                top=query.top,
                top_key=query.top_key,
                limit=query.limit + 1,
            )
            table_out = rows_as_arrow(connection, statement)
        except (duckdb.IOException, duckdb.InvalidInputException, duckdb.SerializationException) as error:
            raise Corrupt(str(self._states_dir), str(error).splitlines()[0]) from error
        finally:
            for table, relation in names.items():
                connection.execute(f"DROP VIEW IF EXISTS {relation}")
                connection.unregister(f"speed_{table}")
        return _answer(view, table_out, query)

    def _both_sides(self, table: str, segments: Sequence[Segment], speed: Mapping[str, pa.Table]) -> str:
        columns = ", ".join(f'"{name}"' for name in speed[table].column_names)
        live = f"SELECT {columns} FROM speed_{table}"
        files = [str(checked_file(self._states_dir, s, table)) for s in segments if table in s.files]
        if not files:
            return live
        listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
        return f"SELECT {columns} FROM read_parquet([{listed}]) UNION ALL {live}"

    def _connection(self) -> duckdb.DuckDBPyConnection:
        connection: duckdb.DuckDBPyConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._root.cursor()
            connection.execute("SET TimeZone = 'UTC'")
        return connection


def _check_step(view: CompiledView, query: ViewQuery) -> None:
    if query.step_us is not None and query.step_us > STEP_DAYS_MAX * 86_400_000_000:
        raise Invalid(
            f"step of `{query.step_us // 86_400_000_000}d` is too long",
            hint=f"use at most {STEP_DAYS_MAX}d, or total=true for one window of all",
        )
    if query.step_us is not None and (query.step_us <= 0 or query.step_us % view.window_us):
        raise Invalid(
            f"step of `{query.step_us // 1_000_000}s` is not a multiple of the view's window",
            hint=f"use a multiple of {view.window_us // 1_000_000}s",
        )


def _answer(view: CompiledView, table: pa.Table, query: ViewQuery) -> ViewAnswer:
    truncated = table.num_rows > query.limit
    table = table.slice(0, query.limit)
    others = 0
    if "_others" in table.column_names:
        counts = [n for n in table["_others"].to_pylist() if n]
        others = max(counts, default=0)
        table = table.drop_columns(["_others"])
    return ViewAnswer(view, tuple(table.column_names), table, others, truncated)


def rows_of(table: pa.Table) -> list[list[Any]]:
    """Rows as Python values: timestamps as ISO text (a window may start before the year 1), decimals as Decimal."""
    return [list(row) for row in zip(*(_values(column) for column in table.columns), strict=True)]


def _values(column: pa.ChunkedArray) -> list[Any]:
    if not pa.types.is_timestamp(column.type):
        values: list[Any] = column.to_pylist()
        return values
    instants = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_pylist()
    texts = {us: iso(us) for us in set(instants) if us is not None}
    return [texts.get(us) for us in instants]
