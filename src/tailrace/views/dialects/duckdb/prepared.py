"""A statement that is planned once and run over ever new Arrow tables.

DuckDB keeps the Arrow object that a prepared statement was planned with, whatever is registered under its name later. So the object
is a slot: it hands out the stream of whichever table it holds when the statement runs.
"""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa


class _Slot:
    """An Arrow stream (PyCapsule interface) whose table can be replaced by one of the same schema."""

    def __init__(self, schema: pa.Schema) -> None:
        self.table: pa.Table = schema.empty_table()
        self._schema = schema

    def __arrow_c_schema__(self) -> Any:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


class PreparedStatement:
    """Runs `statement` over the relation `name`, whose columns are those of `schema`; both are its own on the connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema, statement: str) -> None:
        self.schema = schema
        self._connection = connection
        self._name = name
        self._slot = _Slot(schema)
        connection.register(name, self._slot)
        connection.execute(f"PREPARE {name}_run AS {statement}")

    def run(self, table: pa.Table) -> pa.Table:
        """`table`: exactly the columns of `schema`."""
        assert table.schema.equals(self.schema), (table.schema, self.schema)
        self._slot.table = table
        try:
            return self._connection.execute(f"EXECUTE {self._name}_run").to_arrow_table()
        finally:
            self._slot.table = self.schema.empty_table()

    def close(self) -> None:
        """Take the statement and its relation off the connection."""
        self._connection.execute(f"DEALLOCATE {self._name}_run")
        self._connection.unregister(self._name)
