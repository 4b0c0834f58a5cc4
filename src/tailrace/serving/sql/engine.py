"""The locked engine: runs checked statements over `logs` and the views, bounded in memory and threads, and stops them when asked.

One in-memory DuckDB for the process, a connection for each statement. Locked before the first statement: no file but the lake's
data, no network, no extension, no variable of Python, no change of a setting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import duckdb
import msgspec
import pyarrow as pa

from tailrace.batch.base import Lake
from tailrace.batch.evolution import quoted
from tailrace.config.settings import QuerySettings, Settings
from tailrace.errors import Forbidden, Invalid, TailraceError
from tailrace.serving.sql.blocks import BlockCache
from tailrace.serving.sql.failures import ENGINE_ERRORS, translate
from tailrace.serving.sql.logs import LOGS, LogsRelation, logs_schema, take_moment
from tailrace.serving.sql.statement import Statement, StatementCheck
from tailrace.stream.base import StreamBackend
from tailrace.views import compile_stream
from tailrace.views.dialects.duckdb.expression import print_expression

Relations = Callable[[duckdb.DuckDBPyConnection, Statement], LogsRelation | None]
_LOSSY = re.compile(r"\b(UHUGEINT|BIT|BIGNUM|TIME WITH TIME ZONE)\b")
BATCH_ROWS = 8_192
THREADS = 2
STREAMS_KEPT = 256
"""Conditions of streams that are kept printed."""


class ViewRelations(Protocol):
    """The views as relations, and the streams. Any thread may call."""

    def names(self) -> Iterable[str]:
        """Of all views that can be read now."""
        ...

    def __call__(self, connection: duckdb.DuckDBPyConnection, names: frozenset[str]) -> Iterable[str]:
        """Make those of `names` (lower case) that are views, and return their names. They must need no file: Arrow tables, say."""
        ...

    def streams(self) -> Mapping[str, str]:
        """Lower-case name -> definition over `logs` of all streams that can be read now."""
        ...


class NoViews:
    """An installation without views and streams."""

    def names(self) -> Iterable[str]:
        return ()

    def __call__(self, connection: duckdb.DuckDBPyConnection, names: frozenset[str]) -> Iterable[str]:
        return ()

    def streams(self) -> Mapping[str, str]:
        return {}


def open_locked(memory_bytes_max: int, readable: Path, threads: int = THREADS) -> duckdb.DuckDBPyConnection:
    """A DuckDB that can read files under `readable` and do nothing else with the machine."""
    root = duckdb.connect(
        config={
            "threads": threads,
            "memory_limit": f"{memory_bytes_max >> 20}MiB",
            "temp_directory": "",
            "python_enable_replacements": False,
            "python_scan_all_frames": False,
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
            "allow_community_extensions": False,
        }
    )
    root.execute("SET GLOBAL TimeZone = 'UTC'")
    root.execute("SET GLOBAL parquet_metadata_cache = true")
    root.execute("SET allowed_directories = $1", [[f"{readable}/"]])
    root.execute("SET enable_external_access = false")
    root.execute("SET lock_configuration = true")
    return root


class SqlEngine:
    """One per query process."""

    def __init__(
        self, stream: StreamBackend, lake: Lake, settings: Settings, view_relations: ViewRelations | None = None
    ) -> None:
        self._stream = stream
        self._lake = lake
        self._settings = settings
        self._views = view_relations or NoViews()
        self._cache = BlockCache(stream, logs_schema(settings.fields))
        self._check = StatementCheck()
        self._conditions: dict[str, str] = {}
        self._root = open_locked(settings.query.memory_bytes_max, lake.data_dir)

    def open(self, readable: frozenset[str] | None = None) -> Execution:
        """A place to run one statement. The caller closes it, whatever comes. `readable`: what it may name, in lower case; None: all."""
        hidden = (f"{self._lake.data_dir}/", f"{self._settings.data_dir}/")
        relations = partial(self._relations, readable)
        return Execution(self._root.cursor(), self._check.check, relations, self._settings.query, hidden)

    def _relations(
        self, readable: frozenset[str] | None, connection: duckdb.DuckDBPyConnection, statement: Statement
    ) -> LogsRelation | None:
        """Make what the statement names. Raises Invalid for a name that is no relation, Forbidden for one that may not be read."""
        if readable is not None and (others := sorted(statement.names - readable)):
            known = ", ".join(sorted(readable)) or "none"
            raise Forbidden(f"relation `{others[0]}` is not among what you may read", hint=f"relations: {known}")
        if statement.lists_tables:
            for name in self._known() if readable is None else sorted(readable):
                connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS SELECT 1")
            return None
        wanted = statement.names - {LOGS}
        made = {name.lower() for name in self._views(connection, wanted)} if wanted else set[str]()
        rest = sorted(wanted - made)
        streams = self._views.streams() if rest else {}
        if unknown := [name for name in rest if name not in streams]:
            raise Invalid(f"there is no relation `{unknown[0]}`", hint=f"relations: {', '.join(self._known())}")
        if LOGS not in statement.names and not rest:
            return None
        logs = LogsRelation(self._cache, take_moment(self._stream, self._lake), self._settings.fields)
        logs.open(connection)
        for name in rest:
            condition = self._condition(streams[name])
            connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS SELECT * FROM {LOGS} AS r WHERE {condition}")
        return logs

    def _condition(self, definition: str) -> str:
        """The condition of a stream, parsed, checked and printed anew."""
        if definition not in self._conditions:
            if len(self._conditions) >= STREAMS_KEPT:
                self._conditions.clear()
            self._conditions[definition] = print_expression(compile_stream(definition, self._settings.fields).condition)
        return self._conditions[definition]

    def _known(self) -> list[str]:
        return sorted({LOGS, *self._views.names(), *self._views.streams()})

    @property
    def cache(self) -> BlockCache:
        """Of the stream's part; shared by all that reads it."""
        return self._cache

    @property
    def lake(self) -> Lake:
        return self._lake

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A connection behind the same lock, for statements that are ours. The caller closes it."""
        return self._root.cursor()

    def close(self) -> None:
        self._root.close()


class Execution:
    """One statement being run, on a connection of its own. `stop` may be called from any thread, all else from one at a time.

    `columns`: names and SQL types of the answer. `rows_scanned`: records of `logs` that the statement may have to look at, those
    of the lake files it needs and of the stream's part.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        check: Callable[[str], Statement],
        relations: Relations,
        limits: QuerySettings,
        hidden: Sequence[str],
    ) -> None:
        """`hidden`: texts that plans and errors name and no answer may, such as this machine's folders."""
        self.columns: list[tuple[str, str]] = []
        self.rows_scanned = 0
        self._connection = connection
        self._check = check
        self._relations = relations
        self._limits = limits
        self._hidden = hidden
        self._explains = False
        self._logs: LogsRelation | None = None
        self._reader: Any = None
        self._timed_out = False
        self._stopped = False

    def prepare(self, sql: str) -> None:
        """Check the statement, give it its relations, plan it. Raises Invalid or TooLarge."""
        statement = self._check(sql)
        self._explains = statement.explains
        with self._translated():
            # One transaction from planning to the last row: `now()` is the same in all of it.
            self._connection.execute("BEGIN")
            self._logs = self._relations(self._connection, statement)
            plan = self._plan(statement.query)
            if self._logs:
                self._logs.narrow(self._connection, plan)
                self._logs.check(lambda: self._stopped)
                self.rows_scanned = self._logs.rows
        with self._translated():
            relation = self._connection.sql(statement.text)
            self.columns = [(n, str(t)) for n, t in zip(relation.columns, relation.types, strict=True)]
            _check_types(self.columns)
            self._reader = relation.to_arrow_reader(BATCH_ROWS)

    def _plan(self, query: str) -> Any:
        """Planning comes first and by itself, because here the engine says where in the text a mistake is."""
        try:
            planned = self._connection.execute(f"EXPLAIN (FORMAT json)\n{query}").fetchall()
        except duckdb.Error as error:
            raise self._failure(error, lines_before=1) from error
        return msgspec.json.decode(planned[0][1])

    @property
    def schema(self) -> pa.Schema:
        return self._reader.schema

    def next_batch(self) -> pa.RecordBatch | None:
        """The next rows, None at the end. Raises Invalid for what the data make impossible, Timeout, TooLarge, Interrupted."""
        with self._translated():
            try:
                batch = self._reader.read_next_batch()
            except StopIteration:
                return None
        return self._without_paths(batch) if self._explains else batch

    def batches(self) -> Iterator[pa.RecordBatch]:
        while (batch := self.next_batch()) is not None:
            yield batch

    def _without_paths(self, plan: pa.RecordBatch) -> pa.RecordBatch:
        rows = [{k: _without(v, self._hidden) for k, v in row.items()} for row in plan.to_pylist()]
        return pa.RecordBatch.from_pylist(rows, schema=plan.schema)

    def stop(self, *, timed_out: bool = False) -> None:
        """Make whatever runs now end soon with Timeout or Interrupted."""
        self._timed_out |= timed_out
        self._stopped = True
        self._connection.interrupt()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        if self._stopped:
            raise self._failure(duckdb.InterruptException("INTERRUPT Error: Interrupted!"))
        try:
            yield
        except TailraceError:
            raise
        except ENGINE_ERRORS as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception, lines_before: int = 0) -> TailraceError:
        raised_by_stream = self._logs.tail.failure if self._logs else None
        if isinstance(raised_by_stream, TailraceError):
            return raised_by_stream
        return translate(error, self._limits, timed_out=self._timed_out, hidden=self._hidden, lines_before=lines_before)


def _check_types(columns: Sequence[tuple[str, str]]) -> None:
    """Raises Invalid for types that the engine gives away changed: wrapped, without their zone, or as bytes of its own."""
    for name, kind in columns:
        if lossy := _LOSSY.search(kind):
            raise Invalid(
                f"column `{name}` is of type `{lossy[0]}`, which no answer can hold exactly", hint="cast it to VARCHAR"
            )


def _without(text: str, hidden: Sequence[str]) -> str:
    for secret in hidden:
        text = text.replace(secret, "")
    return text
