"""Puts the records of several blocks into one table. Speed calls it; it computes nothing and reads no files."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """All rows of tables with the same columns. Each block decides for itself whether a text column is dictionary-encoded; where
    blocks disagree, that column becomes plain text.
    """
    names = tables[0].column_names
    mixed = {name for name in names if len({pa.types.is_dictionary(t.schema.field(name).type) for t in tables}) > 1}
    if mixed:
        tables = [_with_plain(table, mixed) for table in tables]
    return pa.concat_tables(tables, promote_options="permissive")


def _with_plain(table: pa.Table, names: set[str]) -> pa.Table:
    for index, column in enumerate(table.schema):
        if column.name in names and pa.types.is_dictionary(column.type):
            table = table.set_column(index, column.name, table.column(index).cast(column.type.value_type))
    return table
