"""Scalar expressions as values: what `bind` makes of SQL, and what a dialect prints.

An expression here is checked: every name is known, every type fits, and no record can make it fail. Nothing in it comes from a
user's text except names, literals and patterns, which a dialect quotes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

RAW_MAX = 10**18 - 1
"""Largest stored unit of a number: DECIMAL(18, s) and everything that is summed or bucketed stays within it."""

WIDE_MAX = 10**38 - 1
"""Largest unit of an intermediate result, DECIMAL(38, s)."""


@dataclass(frozen=True, slots=True)
class Type:
    """`kind`: text | boolean | timestamp | integer | decimal | null. `sql`: how it is stored.

    For numbers, `scale` is the digits after the point and `bound` the largest absolute value in units of 10**-scale: an
    operation whose result could pass its engine type is refused while the view is compiled, not met at run time.
    """

    kind: str
    sql: str
    scale: int = 0
    bound: int = 0

    @property
    def is_number(self) -> bool:
        return self.kind in ("integer", "decimal")


TEXT = Type("text", "VARCHAR")
BOOLEAN = Type("boolean", "BOOLEAN")
TIMESTAMP = Type("timestamp", "TIMESTAMP WITH TIME ZONE")
NULL = Type("null", "VARCHAR")
INTEGER = Type("integer", "INTEGER", bound=2**31)


def integer(bound: int) -> Type:
    return Type("integer", "BIGINT", bound=bound)


def decimal(scale: int, bound: int) -> Type:
    width = 18 if bound <= RAW_MAX else 38
    return Type("decimal", f"DECIMAL({width},{scale})", scale, bound)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the relation at hand: a field of a record, or a key of a state table."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class ExtraText:
    """The text found at `path` in the JSON object of a record's `extra`, or NULL."""

    path: tuple[str, ...]
    type: Type = TEXT


@dataclass(frozen=True, slots=True)
class Literal:
    """`value`: text, a boolean, None, or a number in units of 10**-type.scale."""

    value: str | int | bool | None
    type: Type


@dataclass(frozen=True, slots=True)
class Call:
    """An operation by its canonical name (`functions.py`, `bind_expression.py`); `dialects` prints each."""

    op: str
    args: tuple[Expression, ...]
    type: Type


Expression = Column | ExtraText | Literal | Call


def conjunction(conditions: Sequence[Expression]) -> Expression | None:
    """One condition that holds where all do; None for none."""
    if len(conditions) < 2:
        return conditions[0] if conditions else None
    return Call("and", tuple(conditions), BOOLEAN)


_Tree = str | int | bool | list["_Tree"] | None
"""What `json.dumps` takes."""


def canonical(expression: Expression | None) -> _Tree:
    """Equal for equal expressions only, whatever their text looked like; the ground of a view's version."""
    match expression:
        case None:
            return None
        case Column(name, type_):
            return ["column", name, type_.sql]
        case ExtraText(path):
            return ["extra", *path]
        case Literal(value, type_):
            return ["literal", value, type_.kind, type_.scale]
        case Call(op, args, type_):
            return [op, type_.sql, *(canonical(a) for a in args)]


def nodes(expression: Expression) -> Iterator[Expression]:
    """The expression and everything in it."""
    yield expression
    if isinstance(expression, Call):
        for argument in expression.args:
            yield from nodes(argument)


def inputs(expression: Expression) -> tuple[Column | ExtraText, ...]:
    """The distinct columns and extra paths that it reads, in order of appearance."""
    found = (node for node in nodes(expression) if isinstance(node, Column | ExtraText))
    return tuple(dict.fromkeys(found))


def substitute(expression: Expression, columns: dict[Expression, Column]) -> Expression:
    """The same with each input that is in `columns` read from that column."""
    if isinstance(expression, Call):
        return Call(expression.op, tuple(substitute(a, columns) for a in expression.args), expression.type)
    return columns.get(expression, expression)
