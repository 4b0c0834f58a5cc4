"""An in-memory DuckDB as the emitted statements expect it: UTC, no reach into Python's variables, results as Arrow.

DuckDB is an engine here, never a store. Opening one costs about 20 ms of CPU, so short work uses the one of its thread.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

# `execute` plans a statement once, `sql` twice (to know its columns before it runs). For the short statements of the
# micro-batches planning is most of the cost (measured: 29 against 52 ms for all shipped views over 100 records), so
# the copy of the result that this warning is about is the cheaper side.
warnings.filterwarnings("ignore", message="Arrow output on a DB-API result", category=UserWarning)


_LOCAL = threading.local()


def thread_engine() -> duckdb.DuckDBPyConnection:
    """The calling thread's connection, of one worker. Leave no name registered in it."""
    connection: duckdb.DuckDBPyConnection | None = getattr(_LOCAL, "connection", None)
    if connection is None:
        connection = _LOCAL.connection = open_engine()
    return connection


@contextmanager
def registered(connection: duckdb.DuckDBPyConnection, **tables: pa.Table) -> Iterator[None]:
    """The tables as relations of these names, while the block runs."""
    for name, table in tables.items():
        connection.register(name, table)
    try:
        yield
    finally:
        for name in tables:
            connection.unregister(name)


def open_engine(threads: int = 1) -> duckdb.DuckDBPyConnection:
    """A connection of its own, with `threads` workers."""
    connection = duckdb.connect(config={"threads": threads, "python_enable_replacements": False})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def rows_as_arrow(connection: duckdb.DuckDBPyConnection, statement: str) -> pa.Table:
    """Run one statement and take all of its rows."""
    return connection.execute(statement).to_arrow_table()
