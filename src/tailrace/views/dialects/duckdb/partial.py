"""Records -> states, one SELECT a state table.

Two things keep it cheap: values are made distinct before they are hashed, and a costly key such as `network(ip)` is computed once
for each distinct input, from states that were already grouped by that input.

Inside a statement the keys are k0, k1...; they get their own names in its outermost SELECT, so no name can clash.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tailrace.views.aggregates.distinct import RANK_MAX, REGISTER_DIGITS
from tailrace.views.aggregates.quantile import SUB_BITS
from tailrace.views.aggregates.variance import SQUARE_BITS
from tailrace.views.dialects.duckdb.expression import print_expression, quoted
from tailrace.views.dialects.duckdb.merge import merged_state
from tailrace.views.dialects.duckdb.window import window_sql
from tailrace.views.expression import Call, Column, Expression, inputs, nodes, substitute
from tailrace.views.functions import HEAVY_OPS
from tailrace.views.plan import WINDOW_COLUMN, BinAgg, CompiledView, KeyColumn, RegisterAgg, ScalarState

_TIMESTAMP = 'r."timestamp"'


def partial_statements(view: CompiledView, source: str) -> dict[str, str]:
    """`scalars`, and `bins` and `registers` if the view has them: each a SELECT over the relation `source` of good records.

    Columns and types are those of `schemas(view)`, rows in no order, each key once a table (bins and registers: once an agg).
    """
    keys = _Keys.of(view.keys)
    statements = {"scalars": _scalars(view, keys, source)}
    if view.bin_aggs:
        statements["bins"] = "\nUNION ALL\n".join(_bins(view, keys, agg, source) for agg in view.bin_aggs)
    if view.register_aggs:
        statements["registers"] = "\nUNION ALL\n".join(
            _registers(view, keys, agg, source) for agg in view.register_aggs
        )
    return statements


@dataclass(frozen=True, slots=True)
class _Keys:
    """`inner`: what records are first grouped by; `outer`: (name, the view's key over the names k0, k1... of `inner`).

    `regroup`: two inner groups can make one key, so states must be merged once more.
    """

    inner: tuple[Expression, ...]
    outer: tuple[tuple[str, Expression], ...]
    regroup: bool

    @staticmethod
    def of(keys: tuple[KeyColumn, ...]) -> _Keys:
        read: dict[Expression, Column] = {}
        for key in keys:
            for part in inputs(key.expression) if is_heavy(key.expression) else (key.expression,):
                read.setdefault(part, Column(f"k{len(read)}", part.type))
        outer = tuple((k.name, over(k.expression, read)) for k in keys)
        return _Keys(tuple(read), outer, any(is_heavy(k.expression) for k in keys))

    @property
    def names(self) -> list[str]:
        return [f"k{i}" for i in range(len(self.inner))]

    def from_record(self) -> list[str]:
        return [f"{print_expression(e)} AS k{i}" for i, e in enumerate(self.inner)]

    def named(self) -> list[str]:
        return [f"{print_expression(e)} AS {quoted(name)}" for name, e in self.outer]


def is_heavy(expression: Expression) -> bool:
    return any(isinstance(node, Call) and node.op in HEAVY_OPS for node in nodes(expression))


def over(expression: Expression, read: dict[Expression, Column]) -> Expression:
    """`expression` computed from the columns that hold it, or its inputs."""
    return read.get(expression) or substitute(expression, read)


def _scalars(view: CompiledView, keys: _Keys, source: str) -> str:
    window = _window(view)
    states = [f"{state_sql(s)} AS {s.name}" for s in view.scalars]
    if not keys.regroup:
        columns = [window, *(f"{print_expression(k.expression)} AS {quoted(k.name)}" for k in view.keys)]
        return grouped_sql(columns, states, f"{source} AS r{where_sql(view.where)}")
    inner = grouped_sql([window, *keys.from_record()], states, f"{source} AS r{where_sql(view.where)}")
    merged = [f"{merged_state(s, f'r.{s.name}')} AS {s.name}" for s in view.scalars]
    return grouped_sql([f"r.{WINDOW_COLUMN}", *keys.named()], merged, f"({inner}) AS r")


def state_sql(state: ScalarState) -> str:
    """An aggregate over records. A sum leaves its decimal point out by a product that cannot round."""
    passing = f" FILTER (WHERE {print_expression(state.filter)})" if state.filter is not None else ""
    if state.argument is None:
        return f"count(*){passing}"
    if state.function in _SQUARES:
        return f"CAST(sum({_SQUARES[state.function](units_sql(state.argument))}){passing} AS {state.sql_type})"
    several = f", {state.n}" if state.n else ""
    call = f"{state.function}({print_expression(state.argument)}{several}){passing}"
    if state.function != "sum":
        return call
    scale = state.argument.type.scale
    return f"CAST({call}{f' * {10**scale}' if scale else ''} AS {state.sql_type})"


_SQUARES: dict[str, Callable[[str], str]] = {
    "squares": lambda v: f"{v} * {v}",
    "squares_low": lambda v: f"CAST((CAST({v} AS HUGEINT) * {v}) & {2**SQUARE_BITS - 1} AS BIGINT)",
    "squares_high": lambda v: f"CAST((CAST({v} AS HUGEINT) * {v}) >> {SQUARE_BITS} AS BIGINT)",
}
"""What a state of `variance.py` adds up, from a number as BIGINT."""


def _bins(view: CompiledView, keys: _Keys, agg: BinAgg, source: str) -> str:
    columns = [_window(view), *keys.from_record()]
    present = f"{print_expression(agg.argument)} IS NOT NULL"
    records = f"FROM {source} AS r{where_sql(view.where, agg.filter, present)}"
    binned = binned_sql(columns, [WINDOW_COLUMN, *keys.names], agg.argument, records)
    if not keys.regroup:
        outer = [f"r.{WINDOW_COLUMN}", *keys.named(), _agg(agg.index), "r.bin"]
        return grouped_sql(outer, ["count(*) AS n"], f"({binned}) AS r")
    inner = grouped_sql([WINDOW_COLUMN, *keys.names, "bin"], ["count(*) AS n"], f"({binned}) AS r")
    columns = [f"r.{WINDOW_COLUMN}", *keys.named(), _agg(agg.index), "r.bin"]
    return grouped_sql(columns, ["CAST(sum(r.n) AS BIGINT) AS n"], f"({inner}) AS r")


def binned_sql(columns: Sequence[str], names: Sequence[str], argument: Expression, records: str) -> str:
    """A row a record of `records` (a FROM clause): `columns` under their `names`, and the bucket of `argument` as `bin`.

    The buckets are those of `quantile.py`; the shift is the number of bits above the 7 kept, counted by smearing the highest bit
    downwards, four places at a step, as a CASE over 56 powers of two costs four times as much.
    """
    kept = _list(names)
    above = SUB_BITS + 1
    rows = f"SELECT {_list([*columns, f'{units_sql(argument)} AS v'])}\n{records}"
    rows = f"SELECT {kept}, v, {_or('abs(v)', range(above, above + 4))} AS x\nFROM ({rows})"
    rows = f"SELECT {kept}, v, {_or('x', range(0, 16, 4))} AS x\nFROM ({rows})"
    rows = f"SELECT {kept}, v, CAST(bit_count({_or('x', range(0, 64, 16))}) AS INTEGER) AS shift\nFROM ({rows})"
    rows = f"SELECT {kept}, v, CAST(shift * {1 << SUB_BITS} + (abs(v) >> shift) AS INTEGER) AS b\nFROM ({rows})"
    return f"SELECT {kept}, CASE WHEN v >= 0 THEN b ELSE -1 - b END AS bin\nFROM ({rows})"


def units_sql(argument: Expression) -> str:
    """A number as BIGINT in units of 10**-scale.

    DECIMAL(18, s) times 10**s keeps to 64-bit integers, which is three times as fast, and stops at 18 digits; so larger values go
    through 128 bits.
    """
    printed, scale = print_expression(argument), argument.type.scale
    if not scale:
        return f"CAST({printed} AS BIGINT)"
    wide = f"CAST(CAST({printed} AS DECIMAL(38,{scale})) * {10**scale} AS BIGINT)"
    if 2 * scale > 18:
        return wide
    limit = f"CAST({10 ** (18 - 2 * scale)} AS DECIMAL(18,{scale}))"
    narrow = f"CAST({printed} * {10**scale} AS BIGINT)"
    return f"CASE WHEN {printed} < {limit} AND {printed} > -{limit} THEN {narrow} ELSE {wide} END"


def _or(value: str, shifts: range) -> str:
    return "(" + " | ".join(f"({value} >> {s})" if s else value for s in shifts) + ")"


def _registers(view: CompiledView, keys: _Keys, agg: RegisterAgg, source: str) -> str:
    """Registers of `distinct.py`: distinct values first, then MD5 of each, then the highest rank of each register."""
    read = {e: Column(f"k{i}", e.type) for i, e in enumerate(keys.inner)}
    heavy = is_heavy(agg.argument)
    for part in inputs(agg.argument) if heavy else (agg.argument,):
        read.setdefault(part, Column(f"v{len(read)}", part.type))
    columns = [_window(view), *(f"{print_expression(e)} AS {column.name}" for e, column in read.items())]
    present = "" if heavy else f"{print_expression(agg.argument)} IS NOT NULL"
    distinct = f"SELECT DISTINCT {_list(columns)}\nFROM {source} AS r{where_sql(view.where, agg.filter, present)}"
    texts = [f"r.{WINDOW_COLUMN}", *(f"r.{name}" for name in keys.names), f"{text_sql(over(agg.argument, read))} AS t"]
    values = f"SELECT {_list(texts)}\nFROM ({distinct}) AS r"
    hashed = hashed_sql([WINDOW_COLUMN, *keys.names], f"FROM ({values})\nWHERE t IS NOT NULL")
    columns = [f"r.{WINDOW_COLUMN}", *keys.named(), _agg(agg.index), "r.register"]
    return grouped_sql(columns, ["max(r.rank) AS rank"], f"({hashed}) AS r")


def text_sql(argument: Expression) -> str:
    """What is hashed: the value as SQL prints it."""
    printed = print_expression(argument)
    return printed if argument.type.kind == "text" else f"CAST({printed} AS VARCHAR)"


def hashed_sql(names: Sequence[str], texts: str) -> str:
    """A row a row of `texts` (a FROM clause): `names`, and the register and rank of its column t, as in `distinct.py`.

    `h` holds the first eight bytes of the MD5 with the first byte lowest: the register is bits 7..0 and 15..12; the twelve bits
    after it, in `next`, are bits 11..8 and 23..16. Nearly all ranks are decided by these; the rest read the hex text.
    """
    kept = _list(names) + ", " if names else ""
    low_half = "CAST(md5_number(t) & 18446744073709551615 AS UBIGINT) AS h"
    register = "CAST(((h & 255) << 4) | ((h >> 12) & 15) AS SMALLINT) AS register"
    digits = f"ltrim(substr(md5(t), {REGISTER_DIGITS + 1}), '0')"
    zeros = f"4 * ({32 - REGISTER_DIGITS} - length({digits}))"
    inside = f"CASE WHEN {digits} >= '8' THEN 1 WHEN {digits} >= '4' THEN 2 WHEN {digits} >= '2' THEN 3 ELSE 4 END"
    tests = " ".join(f"WHEN next >= {2048 >> zero_bits} THEN {zero_bits + 1}" for zero_bits in range(12))
    rank = f"CASE {tests} WHEN next = 0 THEN least({RANK_MAX}, {zeros} + {inside}) END"
    split = f"SELECT {kept}t, {register}, (h & 3840) | ((h >> 16) & 255) AS next\nFROM (SELECT {kept}t, {low_half}\n{texts})"
    return f"SELECT {kept}register, CAST({rank} AS TINYINT) AS rank\nFROM ({split})"


def _window(view: CompiledView) -> str:
    return f"{window_sql(_TIMESTAMP, view.window_us)} AS {WINDOW_COLUMN}"


def _agg(index: int) -> str:
    return f"CAST({index} AS SMALLINT) AS agg"


def grouped_sql(keys: Sequence[str], values: Sequence[str], relation: str) -> str:
    """SELECT with GROUP BY the first columns."""
    ordinals = _list([str(i + 1) for i in range(len(keys))])
    return f"SELECT {_list([*keys, *values])}\nFROM {relation}\nGROUP BY {ordinals}"


def where_sql(*conditions: Expression | str | None) -> str:
    """A WHERE clause of what is given, or nothing."""
    printed = [c if isinstance(c, str) else print_expression(c) for c in conditions if c]
    return f"\nWHERE {' AND '.join(printed)}" if printed else ""


def _list(parts: Sequence[str]) -> str:
    return ", ".join(parts)
