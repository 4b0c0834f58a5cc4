"""Runs the emitted statements on small tables, and gives rows that can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.views import CompiledView
from tailrace.views.dialects.duckdb import finalize_statement, merge_statement, partial_statements, schemas
from tailrace.views.dialects.duckdb.engine import open_engine, rows_as_arrow

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US = 1_000_000

States = Mapping[str, pa.Table]
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Record:
    """A good record of the default fields; `at_us`: its timestamp, microseconds since 1970."""

    at_us: int = 0
    service: str | None = None
    endpoint: str | None = None
    method: str | None = None
    status: int | None = None
    response_ms: Decimal | None = None
    ip: str | None = None
    level: str | None = None
    trace_id: str | None = None
    message: str | None = None
    extra: Mapping[str, Any] | None = field(default=None, hash=False)


def table(records: Iterable[Record]) -> pa.Table:
    rows = []
    for record in records:
        row = asdict(record)
        row["timestamp"] = EPOCH + timedelta(microseconds=row.pop("at_us"))
        row["extra"] = None if record.extra is None else json.dumps(record.extra)
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=DEFAULT_FIELDS.record_schema())


class Engine:
    """One connection, for any number of views."""

    def __init__(self) -> None:
        self._connection = open_engine()

    def close(self) -> None:
        self._connection.close()

    def run(self, statement: str, **relations: pa.Table) -> pa.Table:
        for name, relation in relations.items():
            self._connection.register(name, relation)
        try:
            return rows_as_arrow(self._connection, statement)
        finally:
            for name in relations:
                self._connection.unregister(name)

    def partial(self, view: CompiledView, records: pa.Table | Sequence[Record]) -> States:
        """The types are checked, not mended: what DuckDB gives must be what the schemas say."""
        source = records if isinstance(records, pa.Table) else table(records)
        made = {name: self.run(sql, source=source) for name, sql in partial_statements(view, "source").items()}
        for name, schema in schemas(view).items():
            assert made[name].schema.equals(schema), (name, made[name].schema, schema)
        return made

    def merge(self, view: CompiledView, *parts: States) -> States:
        merged = {}
        for name, schema in schemas(view).items():
            rows = pa.concat_tables([schema.empty_table(), *(part[name] for part in parts)])
            merged[name] = self.run(merge_statement(view, name, "source"), source=rows)
            assert merged[name].schema.equals(schema), (name, merged[name].schema, schema)
        return merged

    def finalize(self, view: CompiledView, states: States, **asked: Any) -> pa.Table:
        relations = {f"in_{name}": rows for name, rows in states.items()}
        statement = finalize_statement(
            view,
            scalars="in_scalars",
            bins="in_bins" if "bins" in states else None,
            registers="in_registers" if "registers" in states else None,
            **asked,
        )
        return self.run(statement, **relations)


def empty_states(view: CompiledView) -> States:
    return {name: schema.empty_table() for name, schema in schemas(view).items()}


def rows(of: pa.Table) -> list[Row]:
    return list(zip(*(_values(column) for column in of.columns), strict=True)) if of.num_columns else []


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Instants as microseconds: some are outside the years that Python's datetime has."""
    return (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()


def by_key(states: States) -> dict[str, list[Row]]:
    """The rows of each table, in one order, so that equal states are equal."""
    return {name: sorted(rows(of), key=_order) for name, of in states.items()}


def _order(row: Row) -> tuple[tuple[bool, str], ...]:
    return tuple((value is None, repr(value)) for value in row)
