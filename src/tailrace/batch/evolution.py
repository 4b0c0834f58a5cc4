"""Lake files as a relation of an engine, read under the fields of now (`formats.evolve`), whichever they were written under.

Files whose columns are those of now are read as they are. For the others, what came or changed is computed by functions that are made
on the connection, only where a statement reads it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any

import duckdb
import pyarrow as pa

from tailrace.batch.base import LakeFile
from tailrace.formats.evolve import Evolution, evolution, extra_of, values_of
from tailrace.model.fields import EXTRA, LAKE_COLUMNS, Field, Fields

_SQL_TYPES = {"string": "VARCHAR", "int32": "INTEGER", "timestamp[us, tz=UTC]": "TIMESTAMP WITH TIME ZONE"}
_NUMBERS = count()
"""So that statements that run at the same time never make a function of the same name."""


class EvolvedFiles:
    """Makes the text of relations on `connection`; each function that is needed is made once."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, fields: Fields) -> None:
        self._connection = connection
        self._fields = fields
        self._columns: dict[pa.Schema | None, dict[str, str]] = {}

    def selects(self, files: Sequence[LakeFile]) -> Iterator[str]:
        """One SELECT for the files of each schema, with the columns of now in their order."""
        for schema, same in _alike(files):
            columns = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in self._of(schema).items())
            yield f"SELECT {columns} FROM read_parquet([{', '.join(path_text(file) for file in same)}])"

    def _of(self, schema: pa.Schema | None) -> dict[str, str]:
        """What each column is made of in files of `schema`."""
        if schema not in self._columns:
            self._columns[schema] = self._expressions(schema)
        return self._columns[schema]

    def _expressions(self, schema: pa.Schema | None) -> dict[str, str]:
        names = [*self._fields.names, EXTRA, *(name for name, _ in LAKE_COLUMNS)]
        found = {name: quoted(name) for name in names}
        if schema is None:
            return found
        change = evolution(schema, self._fields)
        for field in change.came:
            found[field.name] = self._function(partial(_came, change, field), (EXTRA,), schema, field.sql_type)
        for field, _ in change.changed:
            reads = (EXTRA, field.name)
            found[field.name] = self._function(partial(_changed, change, field), reads, schema, field.sql_type)
        if change.reads:
            found[EXTRA] = self._function(partial(_extra, change), (EXTRA, *change.reads), schema, "VARCHAR")
        return found

    def _function(self, made: Callable[..., pa.Array], reads: Iterable[str], schema: pa.Schema, result: str) -> str:
        """The call of a new function of the columns `reads`."""
        name = f"evolved_{next(_NUMBERS)}"
        kinds = [sql_type(schema.field(column).type) for column in reads]
        create: Any = self._connection.create_function
        create(
            name, _Function(made, len(kinds)), kinds, result, type="arrow", null_handling="special", side_effects=False
        )
        return f"{name}({', '.join(quoted(column) for column in reads)})"


def _alike(files: Sequence[LakeFile]) -> Iterator[tuple[pa.Schema | None, list[LakeFile]]]:
    """The files of each schema. Most share the very object, which is told without comparing."""
    by_object: dict[int, list[LakeFile]] = {}
    for file in files:
        by_object.setdefault(id(file.schema), []).append(file)
    found: dict[pa.Schema | None, list[LakeFile]] = {}
    for same in by_object.values():
        found.setdefault(same[0].schema, []).extend(same)
    yield from found.items()


def _came(change: Evolution, field: Field, extra: pa.Array) -> pa.Array:
    return values_of(change, field, extra, None)


def _changed(change: Evolution, field: Field, extra: pa.Array, old: pa.Array) -> pa.Array:
    return values_of(change, field, extra, old)


def _extra(change: Evolution, extra: pa.Array, *olds: pa.Array) -> pa.Array:
    return extra_of(change, extra, olds)


class _Function:
    """`made` as the engine wants it: with as many parameters as it says, and each an array of one piece."""

    def __init__(self, made: Callable[..., pa.Array], parameters: int) -> None:
        self._made = made
        only = inspect.Parameter.POSITIONAL_ONLY
        self.__signature__ = inspect.Signature([inspect.Parameter(f"c{n}", only) for n in range(parameters)])

    def __call__(self, *columns: Any) -> pa.Array:
        return self._made(*map(_array, columns))


def _array(values: Any) -> pa.Array:
    """An array of one piece without offset, as the engine may hand over several."""
    if not isinstance(values, pa.ChunkedArray):
        return pa.concat_arrays([values])
    whole = values.combine_chunks()
    return whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole


def sql_type(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    return _SQL_TYPES[str(kind)]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def path_text(file: LakeFile) -> str:
    return "'" + str(file.path).replace("'", "''") + "'"
