"""view(query) = finalize( merge( batch segments up to the frontier, speed segments after it ) ).

The two sides meet here and nowhere else. Every row of either is a mergeable state, so the merge is one GROUP BY in which
order and grouping cannot matter; the numbers are made only after it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from tailrace.errors import Corrupt, Invalid, TooLarge
from tailrace.model.window import iso
from tailrace.serving.pin import Pinned
from tailrace.serving.sources import BatchSource, batch_sources, from_what_is_kept
from tailrace.serving.view_query import ROWS_MAX, ViewQuery
from tailrace.states.manifest import ViewStates
from tailrace.states.octaves import OCTAVES
from tailrace.states.segment import Segment, checked_file
from tailrace.states.tables import concat_states
from tailrace.views import CompiledView
from tailrace.views.dialects.duckdb import extent_statement, finalize_statement, rows_statement, schemas, tables_read
from tailrace.views.dialects.duckdb.engine import open_engine, rows_as_arrow
from tailrace.views.dialects.duckdb.hop import Hop, hop_of
from tailrace.views.dialects.duckdb.quantiles import OCTAVE, octave_of

__all__ = ["ROWS_MAX", "Merger", "ViewAnswer", "ViewQuery", "check_step", "data_range", "rows_of"]

STEP_DAYS_MAX = 3650
HOPS_MAX = 5_000_000
"""Hopping windows of all keys that are computed for one answer; what a limit leaves out does not count."""
HOP_ROWS_MAX = 50_000_000
"""Rows of bins or of registers that these may hold, by an estimate from above: some gigabytes."""


@dataclass(frozen=True, slots=True)
class ViewAnswer:
    """Rows in the view's SELECT order, ordered by window and keys. `others`: keys merged into the row of null keys.

    `kept_from_us`: windows that start earlier are not kept any more as short as they were asked for (None: all are kept).
    """

    view: CompiledView
    columns: tuple[str, ...]
    table: pa.Table
    others: int
    truncated: bool
    kept_from_us: int | None = None


class Merger:
    """Answers queries from pinned states with an in-memory DuckDB; any thread may call, each gets a connection of its own."""

    def __init__(self, states_dir: Path, threads: int = 2, memory_bytes_max: int | None = None) -> None:
        """`memory_bytes_max`: of the engine; None leaves it what it takes by itself."""
        self._states_dir = states_dir
        self._root = open_engine(threads)
        if memory_bytes_max is not None:
            self._root.execute(f"SET memory_limit = '{memory_bytes_max >> 20}MiB'")
            self._root.execute("SET temp_directory = ''")
        self._local = threading.local()
        self._connections: list[duckdb.DuckDBPyConnection] = []

    def answer(self, pinned: Pinned, name: str, query: ViewQuery) -> ViewAnswer:
        """Raises NotFound, Unavailable, Invalid (a filter or step the view cannot answer), Corrupt (a segment is damaged)."""
        return self.of_version(pinned, *pinned.view(name), query)

    def of_version(self, pinned: Pinned, view: CompiledView, states: ViewStates, query: ViewQuery) -> ViewAnswer:
        """The same, of a version that the pin carries: the one that is served, or the one before it."""
        check_step(view, query)
        speed = [part for epoch in pinned.speed.of(view.version).epochs for part in epoch.parts]
        return self.finalize(view, states.segments, concat_states(speed, schemas(view)), query)

    def finalize(
        self, view: CompiledView, segments: Sequence[Segment], speed: Mapping[str, pa.Table], query: ViewQuery
    ) -> ViewAnswer:
        """Merge batch `segments` with `speed` states (either may be empty) and finalize."""
        query, kept_from_us = from_what_is_kept(view, segments, query)
        sources = batch_sources(view, segments, query, *data_range(view, query))
        connection = self._connection()
        tables = tables_read(view, _columns_read(query))
        names = {table: f"merge_{table}" for table in tables}
        counted = (
            "bins" in names and query.over_us is None and any(OCTAVES in x.files for y in sources for x in y.levels)
        )
        relations = names | ({OCTAVES: f"merge_{OCTAVES}"} if counted else {})
        try:
            for table in tables:
                connection.register(f"speed_{table}", speed[table])
            for table, relation in relations.items():
                both = self._both_sides(table, sources, speed["bins" if table == OCTAVES else table].column_names)
                connection.execute(f"CREATE OR REPLACE TEMP VIEW {relation} AS {both}")
            query = self._within_reach(connection, view, names, query)
            statement = finalize_statement(
                view,
                scalars=names["scalars"],
                bins=names.get("bins"),
                registers=names.get("registers"),
                octaves=relations.get(OCTAVES),
                step_us=query.step_us,
                over_us=query.over_us,
                total=query.total,
                where=query.where,
                time_from=query.from_us,
                time_to=query.to_us,
                top=query.top,
                top_key=query.top_key,
                limit=query.limit + 1,
                columns=query.columns,
                by=query.by,
            )
            table_out = rows_as_arrow(connection, statement)
        except (duckdb.IOException, duckdb.InvalidInputException, duckdb.SerializationException) as error:
            raise Corrupt(str(self._states_dir), str(error).splitlines()[0]) from error
        finally:
            for relation in relations.values():
                connection.execute(f"DROP VIEW IF EXISTS {relation}")
            for table in tables:
                connection.unregister(f"speed_{table}")
        return _answer(view, table_out, query, kept_from_us)

    def interrupt(self) -> None:
        """Make what runs now, in any thread, end with the engine's InterruptException."""
        for connection in list(self._connections):
            connection.interrupt()

    def close(self) -> None:
        """When no thread uses it any more."""
        for connection in self._connections:
            connection.close()
        self._root.close()

    def _within_reach(
        self, connection: duckdb.DuckDBPyConnection, view: CompiledView, names: Mapping[str, str], query: ViewQuery
    ) -> ViewQuery:
        """The query without the hopping windows that its limit leaves out. Raises TooLarge if too many are left, or they hold too much.

        `names`: state table -> relation.
        """
        hop = _hop(view, query)
        if hop is None:
            return query
        found = connection.execute(extent_statement(view, names["scalars"], hop, query.where, query.by)).fetchall()
        if query.top is None:
            # A window has at least the keys of its first step; so these alone are rows enough.
            rows = accumulate(n for _, n, _ in found)
            last = next((w for (w, _, _), sum_ in zip(found, rows, strict=True) if sum_ > query.limit), None)
            if last is not None and (hop.end is None or last < hop.end):
                query = replace(query, to_us=last + hop.step_us)
                hop = replace(hop, end=last + hop.step_us)
                found = [row for row in found if hop.data_to is None or row[0] < hop.data_to]
        _check_size(_windows(found, hop, query), HOPS_MAX, "hopping windows")
        starts = (found[-1][0] - found[0][0]) // hop.step_us + hop.count if found else 0
        for table in names.keys() - {"scalars"}:
            statement = rows_statement(view, table, names[table], hop, query.where, query.by)
            rows_read, of_keys, of_all = connection.execute(statement).fetchall()[0]
            if query.top is not None and query.top_key is None:
                of_keys = min(of_keys, of_all * (query.top[1] + 1))
            _check_size(min(rows_read * hop.count, of_keys * starts), HOP_ROWS_MAX, f"{table} of hopping windows")
        return query

    def _both_sides(self, table: str, sources: Sequence[BatchSource], names: Sequence[str]) -> str:
        """SELECT of all rows of one table. `names`: of the columns of the states that it is made of."""
        made_of = "bins" if table == OCTAVES else table
        parts = [f"SELECT {_selected(table, names, stored=False)} FROM speed_{made_of}"]
        for source in sources:
            for stored in (True, False):
                levels = [x for x in source.levels if (OCTAVES in x.files) is stored]
                read = table if stored else made_of
                files = [str(checked_file(self._states_dir, x, read)) for x in levels if read in x.files]
                if files:
                    listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
                    columns = _selected(table, names, stored=stored)
                    parts.append(f"SELECT {columns} FROM read_parquet([{listed}]){source.condition}")
        return " UNION ALL ".join(parts)

    def _connection(self) -> duckdb.DuckDBPyConnection:
        connection: duckdb.DuckDBPyConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._root.cursor()
            connection.execute("SET TimeZone = 'UTC'")
            self._connections.append(connection)
        return connection


def _selected(table: str, names: Sequence[str], *, stored: bool) -> str:
    """The columns of `table` that a query reads; `stored`: the octave of a bin is in the file."""
    octave = [OCTAVE if stored else f"{octave_of('bin')} AS {OCTAVE}"] if table in ("bins", OCTAVES) else []
    kept = [f'"{name}"' for name in names if not (table == OCTAVES and name == "bin")]
    return ", ".join([*kept, *octave])


def _columns_read(query: ViewQuery) -> list[str] | None:
    """Those that are wanted, and the one to rank by."""
    if query.columns is None:
        return None
    return [*query.columns, *([query.top[0]] if query.top else [])]


def data_range(view: CompiledView, query: ViewQuery) -> tuple[int | None, int | None]:
    """Beginnings of the view's windows that an answer is made of: in [from, to), None for no bound."""
    hop = _hop(view, query)
    return (query.from_us, query.to_us) if hop is None else (hop.data_from, hop.data_to)


def _hop(view: CompiledView, query: ViewQuery) -> Hop | None:
    if query.over_us is None:
        return None
    return hop_of(view, query.over_us, query.step_us, query.from_us, query.to_us)


def _check_size(found: int, most: int, what: str) -> None:
    if found > most:
        raise TooLarge(
            f"about `{found:,}` {what} would have to be computed, more than {most:,}",
            hint="narrow it with from, to, where or top, or take a longer step or a shorter over",
        )


def _windows(found: Sequence[tuple[int, int, int]], hop: Hop, query: ViewQuery) -> int:
    """At most so many hopping windows, each key's counted by itself, come of the steps `found` (start, keys in it, keys in all)."""
    if not found:
        return 0
    keys = found[0][2]
    if query.top is not None and query.top_key is None:
        keys = min(keys, query.top[1] + 1)
    starts = (found[-1][0] - found[0][0]) // hop.step_us + hop.count
    return min(sum(min(n, keys) for _, n, _ in found) * hop.count, keys * starts)


def check_step(view: CompiledView, query: ViewQuery) -> None:
    for name, value in (("step", query.step_us), ("over", query.over_us)):
        if value is not None and value > STEP_DAYS_MAX * 86_400_000_000:
            raise Invalid(
                f"{name} of `{value // 86_400_000_000}d` is too long",
                hint=f"use at most {STEP_DAYS_MAX}d, or total=true for one window of all",
            )
    if query.step_us is not None and (query.step_us <= 0 or query.step_us % view.window_us):
        raise Invalid(
            f"step of `{query.step_us // 1_000_000}s` is not a multiple of the view's window",
            hint=f"use a multiple of {view.window_us // 1_000_000}s",
        )


def _answer(view: CompiledView, table: pa.Table, query: ViewQuery, kept_from_us: int | None) -> ViewAnswer:
    truncated = table.num_rows > query.limit
    table = table.slice(0, query.limit)
    others = 0
    if "_others" in table.column_names:
        counts = [n for n in table["_others"].to_pylist() if n]
        others = max(counts, default=0)
        table = table.drop_columns(["_others"])
    return ViewAnswer(view, tuple(table.column_names), table, others, truncated, kept_from_us)


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
