"""Records -> states of one micro-batch, by the views' own SQL. Owned by the speed layer; batch has its own."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tailrace.states.tables import StateTables, concat_states
from tailrace.views import CompiledView
from tailrace.views.dialects.duckdb import merge_statement, partial_statements, schemas
from tailrace.views.dialects.duckdb.engine import open_engine, registered, rows_as_arrow

_SOURCE = "speed_records"
_STATES = "speed_states"


class PartialEngine:
    """One in-memory DuckDB connection; for one thread."""

    def __init__(self) -> None:
        self._connection = open_engine()
        self._statements: dict[str, dict[str, str]] = {}

    def partial(self, view: CompiledView, records: pa.Table) -> StateTables:
        """The view's states of `records` (good records only, with the fields that it reads)."""
        statements = self._statements.get(view.version)
        if statements is None:
            statements = self._statements[view.version] = partial_statements(view, _SOURCE)
        wanted = schemas(view)
        with registered(self._connection, **{_SOURCE: records}):
            return {name: rows_as_arrow(self._connection, sql).cast(wanted[name]) for name, sql in statements.items()}

    def merge(self, view: CompiledView, parts: Sequence[StateTables]) -> StateTables:
        """One row a key. The order of `parts` does not matter."""
        wanted = schemas(view)
        merged: dict[str, pa.Table] = {}
        for name, table in concat_states(parts, wanted).items():
            with registered(self._connection, **{_STATES: table}):
                statement = merge_statement(view, name, _STATES)
                merged[name] = rows_as_arrow(self._connection, statement).cast(wanted[name])
        return merged


def good_records(columns: pa.Table) -> pa.Table:
    """The records of a block: its rows with verdict 0, without the verdict."""
    verdicts = columns["verdict"]
    bare = columns.drop_columns(["verdict"])
    if pc.max(verdicts).as_py() in (0, None):
        return bare
    return bare.filter(pc.equal(verdicts, 0))


def newest_event_us(records: pa.Table) -> int | None:
    newest = pc.max(records["timestamp"].cast(pa.int64())).as_py()
    return None if newest is None else int(newest)
