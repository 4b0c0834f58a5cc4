"""The columns that all statements of a `PartialProgram` read: what is computed once for a batch, before anything is grouped.

What depends on one text column is computed on that column's distinct texts; a record only carries the code of its text, or the
result. Grouping by integers costs half of grouping by text, and a network or a hash is computed once for each distinct text.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tailrace.model.fields import EXTRA
from tailrace.views.dialects.duckdb.expression import print_expression, quoted
from tailrace.views.dialects.duckdb.partial import hashed_sql, text_sql
from tailrace.views.expression import INTEGER, TEXT, Call, Column, Expression, ExtraText, Type, inputs, integer

_REGISTER = Type("integer", "SMALLINT")
_RANK = Type("integer", "TINYINT")


@dataclass(frozen=True, slots=True)
class Hashed:
    """Columns with the register and rank of a value."""

    register: Column
    rank: Column


@dataclass(slots=True)
class Derived:
    """What is computed for each distinct text of one column. `codes`: those of `values` that are keys, as codes."""

    values: dict[Expression, Column] = field(default_factory=dict)
    codes: dict[Expression, Column] = field(default_factory=dict)
    hashes: dict[Expression, Hashed] = field(default_factory=dict)


@dataclass(slots=True)
class RowPlan:
    """Rewrites expressions over records to expressions over prepared columns, and remembers what those are made of.

    `windows`: by width in microseconds. `codes`, `derived`: by the text column they come from. `raw`: read as they are.
    """

    windows: dict[int, Column] = field(default_factory=dict)
    codes: dict[str, Column] = field(default_factory=dict)
    raw: dict[str, Column] = field(default_factory=dict)
    derived: dict[str, Derived] = field(default_factory=dict)
    _named: int = 0

    def window(self, width_us: int) -> Column:
        return self.windows.setdefault(width_us, Column(f"#w{width_us}", integer(2**63)))

    def key(self, expression: Expression) -> Expression:
        """A key; text that depends on one text column becomes its code."""
        text = _single_text(expression)
        if text is None or expression.type.kind != "text":
            return self.value(expression)
        if expression == text:
            return self._code(text)
        self._derive(text, expression)
        return self.derived[text.name].codes.setdefault(expression, self._column(INTEGER))

    def value(self, expression: Expression) -> Expression:
        """A condition, or the argument of an aggregate."""
        match expression:
            case Column(name):
                return self.raw.setdefault(name, expression)
            case ExtraText():
                self.raw.setdefault(EXTRA, Column(EXTRA, TEXT))
                return expression
            case Call(op, args, type_):
                text = _single_text(expression)
                if text is not None:
                    return self._derive(text, expression)
                return Call(op, tuple(self.value(a) for a in args), type_)
            case _:
                return expression

    def condition(self, expression: Expression | None) -> Expression | None:
        return None if expression is None else self.value(expression)

    def hashed(self, expression: Expression) -> Hashed | None:
        """Register and rank of a value that depends on one text column; None if it depends on anything else."""
        text = _single_text(expression)
        if text is None:
            return None
        self._code(text)
        hashes = self.derived.setdefault(text.name, Derived()).hashes
        return hashes.setdefault(expression, Hashed(self._column(_REGISTER), self._column(_RANK)))

    def _code(self, text: Column) -> Column:
        return self.codes.setdefault(text.name, Column(f"#c {text.name}", INTEGER))

    def _derive(self, text: Column, expression: Expression) -> Column:
        self._code(text)
        return self.derived.setdefault(text.name, Derived()).values.setdefault(
            expression, self._column(expression.type)
        )

    def _column(self, type_: Type) -> Column:
        self._named += 1
        return Column(f"#d{self._named}", type_)


def values_sql(derived: Derived, source: str) -> str:
    """SELECT of the derived values of each text in `source`, in its order."""
    columns = [f"{print_expression(e)} AS {quoted(column.name)}" for e, column in derived.values.items()]
    return f"SELECT {', '.join(columns)} FROM {source} AS r"


def hashes_sql(expression: Expression, source: str) -> str:
    """SELECT of register and rank of `expression` over each text in `source`, in its order; NULL has neither."""
    return hashed_sql([], f"FROM (SELECT {text_sql(expression)} AS t FROM {source} AS r)")


def _single_text(expression: Expression) -> Column | None:
    """The text column that is all the expression reads, if so."""
    read = inputs(expression)
    only = read[0] if len(read) == 1 else None
    return only if isinstance(only, Column) and only.type.kind == "text" else None
