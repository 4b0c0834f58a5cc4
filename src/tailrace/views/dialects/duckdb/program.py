"""All state tables of several views over one batch of records, as cheaply as they can be had together.

The states are those of `partial_statements`, row for row; only the way there differs. Meant for micro-batches, where planning a
statement costs more than running it: everything is planned once. For one thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.model.fields import EXTRA, TIMESTAMP_TYPE
from tailrace.views.dialects.duckdb.coding import CodedText, encode
from tailrace.views.dialects.duckdb.fuse import Cut, fuse, plan_parts
from tailrace.views.dialects.duckdb.partial import partial_statements
from tailrace.views.dialects.duckdb.prepared import PreparedStatement
from tailrace.views.dialects.duckdb.row_plan import Derived, RowPlan, hashes_sql, values_sql
from tailrace.views.dialects.duckdb.schema import arrow_type, schemas
from tailrace.views.expression import TEXT, Column, inputs
from tailrace.views.plan import WINDOW_COLUMN, CompiledView

States = dict[str, pa.Table]
"""State table name -> rows, as `schemas(view)` has them."""

_Prepare = Callable[[str, pa.Schema, str], PreparedStatement]
"""Source, its schema and the statement over it -> the statement, prepared."""

_TIMESTAMP = "timestamp"


class PartialProgram:
    """The statements of `views`, prepared on `connection` (of `open_engine`), which several programs may share."""

    def __init__(self, views: Iterable[CompiledView], connection: duckdb.DuckDBPyConnection) -> None:
        self.views = tuple(views)
        self._connection = connection
        self._open: list[PreparedStatement] = []
        self._schemas = {view.version: schemas(view) for view in self.views}
        self._rows = RowPlan()
        prefix = "p" + hashlib.sha256(" ".join(v.version for v in self.views).encode()).hexdigest()[:16]
        parts = plan_parts(self.views, self._rows)
        self.fused = fuse(parts, prefix)
        self._fused = [(f.cuts, self._prepared(f.source, _schema(f.reads), f.statement)) for f in self.fused]
        self._texts = {
            name: _TextValues(name, derived, f"{prefix}_texts_{i}", self._prepared)
            for i, (name, derived) in enumerate(self._rows.derived.items())
        }
        hashed = {part.view.version for part in parts if part.table == "registers"}
        self._alone = {
            view.version: self._registers_alone(view, f"{prefix}_alone_{i}")
            for i, view in enumerate(self.views)
            if view.register_aggs and view.version not in hashed
        }

    def run(self, records: pa.Table) -> dict[str, States]:
        """View version -> its states, a row a key. `records`: good ones, with the columns of `Fields.record_schema()`."""
        rows, codings = self._prepare(records)
        tables: dict[str, dict[str, list[pa.Table]]] = {
            version: {name: [] for name in tables} for version, tables in self._schemas.items()
        }
        for cuts, statement in self._fused:
            result = statement.run(_taken(rows, statement.schema))
            for cut in cuts:
                version, table = cut.part.view.version, cut.part.table
                tables[version][table].append(_cut(result, cut, codings, self._schemas[version][table]))
        for version, statement in self._alone.items():
            columns = {name: records[name] for name in statement.schema.names}
            tables[version]["registers"].append(statement.run(_taken(columns, statement.schema)))
        return {v: {name: pa.concat_tables(parts) for name, parts in of.items()} for v, of in tables.items()}

    def close(self) -> None:
        """Leave the connection as it was."""
        for statement in self._open:
            statement.close()
        self._open.clear()

    def _prepared(self, source: str, schema: pa.Schema, sql: str) -> PreparedStatement:
        statement = PreparedStatement(self._connection, source, schema, sql)
        self._open.append(statement)
        return statement

    def _registers_alone(self, view: CompiledView, source: str) -> PreparedStatement:
        """The registers table by its own statement, for values that are not of one text column."""
        roots = [view.where, *(k.expression for k in view.keys)]
        roots += [root for r in view.register_aggs for root in (r.argument, r.filter)]
        read = [i if isinstance(i, Column) else Column(EXTRA, TEXT) for root in roots if root for i in inputs(root)]
        fields = {_TIMESTAMP: TIMESTAMP_TYPE, **{column.name: arrow_type(column.type.sql) for column in read}}
        return self._prepared(source, pa.schema(fields), partial_statements(view, source)["registers"])

    def _prepare(self, records: pa.Table) -> tuple[dict[str, Any], dict[str, CodedText]]:
        """The columns that statements read, and what the codes among them stand for."""
        rows: dict[str, Any] = {column.name: records[name] for name, column in self._rows.raw.items()}
        instants = records[_TIMESTAMP].cast(TIMESTAMP_TYPE).cast(pa.int64()).to_numpy()
        for width_us, column in self._rows.windows.items():
            # NumPy rounds down, also before 1970.
            rows[column.name] = pa.array(np.floor_divide(instants, width_us) * width_us)
        codings: dict[str, CodedText] = {}
        for name, column in self._rows.codes.items():
            coded = codings[column.name] = encode(records[name])
            rows[column.name] = coded.codes
            if name in self._texts:
                self._texts[name].run(coded, rows, codings)
        return rows, codings


class _TextValues:
    """What is computed for each distinct text of one column."""

    def __init__(self, name: str, derived: Derived, source: str, prepared: _Prepare) -> None:
        self._derived = derived
        self._schema = pa.schema([pa.field(name, pa.string())])
        self._values = prepared(source, self._schema, values_sql(derived, source)) if derived.values else None
        self._hashes = [
            (hashed, prepared(f"{source}_{i}", self._schema, hashes_sql(e, f"{source}_{i}")))
            for i, (e, hashed) in enumerate(derived.hashes.items())
        ]

    def run(self, coded: CodedText, rows: dict[str, Any], codings: dict[str, CodedText]) -> None:
        """Adds the columns to `rows`, and what new codes stand for to `codings`."""
        texts = pa.table([coded.texts], schema=self._schema)
        if self._values is not None:
            values = self._values.run(texts)
            for expression, column in self._derived.values.items():
                value = values[column.name].combine_chunks()
                rows[column.name] = coded.spread(value)
                if expression in self._derived.codes:
                    code = self._derived.codes[expression]
                    again = codings[code.name] = encode(value)
                    rows[code.name] = coded.spread(again.codes)
        for hashed, statement in self._hashes:
            hashes = statement.run(texts)
            rows[hashed.register.name] = coded.spread(hashes["register"].combine_chunks())
            rows[hashed.rank.name] = coded.spread(hashes["rank"].combine_chunks())


def _schema(columns: Iterable[Column]) -> pa.Schema:
    return pa.schema([pa.field(c.name, arrow_type(c.type.sql)) for c in columns])


def _taken(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """The columns of `schema`, in its types: text may come coded."""
    return pa.table({f.name: columns[f.name] for f in schema}).cast(schema)


def _cut(result: pa.Table, cut: Cut, codings: Mapping[str, CodedText], schema: pa.Schema) -> pa.Table:
    """A part's rows, under its names and in its types."""
    rows = result if cut.grouping is None else result.filter(pc.equal(result["g"], cut.grouping))
    columns: dict[str, Any] = {WINDOW_COLUMN: rows["w"].cast(TIMESTAMP_TYPE)}
    for column, name, made_of in cut.keys:
        coding = codings.get(made_of.name) if isinstance(made_of, Column) else None
        columns[name] = rows[column] if coding is None else coding.decode(rows[column])
    if "agg" in schema.names:
        columns["agg"] = pa.array(np.full(rows.num_rows, cut.part.agg, np.int16))
    for column, name in cut.states:
        columns[name] = rows[column]
    return pa.table(columns).select(schema.names).cast(schema)
