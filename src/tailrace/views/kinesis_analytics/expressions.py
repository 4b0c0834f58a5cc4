"""Expressions of an application over the fields of our records: columns put in, types and functions as our views have them."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp, parse_one

from tailrace.views.kinesis_analytics.mapping import Mapping, Target
from tailrace.views.kinesis_analytics.select import CannotTurnError
from tailrace.views.kinesis_analytics.statements import Name
from tailrace.views.kinesis_analytics.times import ARRIVAL

_SUMMED = (exp.Sum, exp.Avg, exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Variance, exp.VariancePop)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg, exp.Abs)
_COMPARED = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In)
_FLOATS = (exp.DType.DOUBLE, exp.DType.FLOAT)
SCALES = (6, 3, 2)
"""Digits behind the point of numbers in `extra`: the first with which the view can be computed without overflow."""

Resolve = Callable[[exp.Column], exp.Expr]


def name_of_column(column: exp.Column) -> Name:
    identifier = column.this
    quoted = bool(identifier.args.get("quoted"))
    shown = identifier.name
    return Name(shown if quoted else shown.upper(), shown, identifier.meta.get("start", 0), quoted)


def field_of(column: exp.Column, mapping: Mapping, scale: int, *, number: bool | None = None) -> exp.Expr:
    """A column of the application's input as an expression over our record."""
    name = name_of_column(column)
    if name.key in ARRIVAL:
        return _parsed("timestamp")
    target = mapping.target(name)
    if target.field:
        return _parsed(_quoted(target.field))
    numeric = target.number if target.number is not None else is_number(column) if number is None else number
    return _parsed(_cast(target, scale) if numeric else target.sql)


def _quoted(name: str) -> str:
    return exp.to_identifier(name).sql("duckdb")


def _cast(target: Target, scale: int) -> str:
    return f"CAST({target.sql} AS DECIMAL(18, {scale}))"


def _parsed(sql: str) -> exp.Expr:
    return parse_one(sql, dialect="duckdb")


def is_number(column: exp.Expr) -> bool:
    """Whether what stands around a column needs it to be a number."""
    parent = column.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    if isinstance(parent, (*_SUMMED, *_ARITHMETIC)):
        return True
    return isinstance(parent, _COMPARED) and any(
        isinstance(each, exp.Literal) and not each.is_string for each in parent.iter_expressions()
    )


def turned(node: exp.Expr, resolve: Resolve) -> exp.Expr:
    """A copy of the expression over our fields. Raises CannotTurnError for what has no counterpart."""
    holder = exp.Paren(this=node.copy())
    for found in list(holder.find_all(exp.Subquery, exp.Select)):
        raise CannotTurnError("a subquery", found, "make a stream of it, or join when you read: POST /v1/query")
    for column in list(holder.find_all(exp.Column)):
        replacement = resolve(column)
        if isinstance(replacement, exp.Binary) and column.parent is not holder:
            replacement = exp.Paren(this=replacement)
        column.replace(replacement)
    for cast in list(holder.find_all(exp.Cast)):
        _plain_type(cast)
    whole: exp.Expr = holder.this
    return whole


def _plain_type(cast: exp.Cast) -> None:
    """Types that our views cast to: no floats, and text of any length."""
    to = cast.to
    if to.this in _FLOATS:
        cast.set("to", exp.DataType.build("DECIMAL(18, 6)", dialect="duckdb"))
    elif to.this in exp.DataType.TEXT_TYPES:
        cast.set("to", exp.DataType.build("VARCHAR", dialect="duckdb"))
    elif to.this in (exp.DType.SMALLINT, exp.DType.TINYINT):
        cast.set("to", exp.DataType.build("INTEGER", dialect="duckdb"))


def as_sql(node: exp.Expr) -> str:
    return node.sql("duckdb")
