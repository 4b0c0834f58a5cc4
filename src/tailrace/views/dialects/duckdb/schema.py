"""The Arrow schemas of a view's state tables, as they are kept in memory, in segments and in Parquet."""

from __future__ import annotations

import re

import pyarrow as pa

from tailrace.views.plan import WINDOW_COLUMN, CompiledView

_TIMESTAMP = pa.timestamp("us", tz="UTC")
_TYPES: dict[str, pa.DataType] = {
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "TIMESTAMP WITH TIME ZONE": _TIMESTAMP,
}
_PAIR = re.compile(r"STRUCT\(us BIGINT, value (.+)\)")
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def arrow_type(sql_type: str) -> pa.DataType:
    """The Arrow type of one of the SQL types that plans use."""
    if sql_type.endswith("[]"):
        return pa.list_(arrow_type(sql_type.removesuffix("[]")))
    if match := _PAIR.fullmatch(sql_type):
        return pa.struct([("us", pa.int64()), ("value", arrow_type(match[1]))])
    if match := _DECIMAL.fullmatch(sql_type):
        return pa.decimal128(int(match[1]), int(match[2]))
    return _TYPES[sql_type]


def schemas(view: CompiledView) -> dict[str, pa.Schema]:
    """`scalars` always; `bins` and `registers` only if the view has quantiles or distinct counts.

    scalars    window_start, keys..., s0, s1, ...           one row a (window, keys) once merged
    bins       window_start, keys..., agg, bin, n           rows with n = 0 do not exist
    registers  window_start, keys..., agg, register, rank   registers not in use have no row
    """
    key = [pa.field(WINDOW_COLUMN, _TIMESTAMP), *(pa.field(k.name, arrow_type(k.sql_type)) for k in view.keys)]
    agg = pa.field("agg", pa.int16())
    tables = {"scalars": pa.schema([*key, *(pa.field(s.name, arrow_type(s.sql_type)) for s in view.scalars)])}
    if view.bin_aggs:
        tables["bins"] = pa.schema([*key, agg, pa.field("bin", pa.int32()), pa.field("n", pa.int64())])
    if view.register_aggs:
        tables["registers"] = pa.schema([*key, agg, pa.field("register", pa.int16()), pa.field("rank", pa.int8())])
    return tables
